# SPDX-License-Identifier: GPL-2.0-only
"""A real Linux on the hardware model: a stock QEMU boots a stock arm64 kernel, whose own HIDMA driver binds to the model of
`hidma.hw`, which watches the pages of registers that lie in the guest's memory (`hidma.hw.watch`).

`packages` finds or fetches what the guest is made of, `initrd` packs it, `board` says where the hardware lies, `model` puts the
hardware there, `emulator` runs QEMU, `session` runs all of it to an end, `cli` is the command.
"""
