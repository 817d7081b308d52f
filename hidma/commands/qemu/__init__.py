# SPDX-License-Identifier: GPL-2.0-only
"""A real Linux on the hardware model: a stock QEMU boots a stock arm64 kernel, whose own HIDMA driver binds to the model of
`hidma.hw`, which watches the pages of registers that lie in the guest's memory (`hidma.hw.watch`).

`packages` finds or fetches what the guest is made of, `build` compiles modules for its kernel, `initrd` packs all of it and
chooses the firmware, `board` describes the hardware, `model` puts it there, `emulator` runs QEMU, `session` runs a guest to its
end, `cli` is the command. `compare` lays side by side what two drivers did, `sysdiff` what two kernels show; `assign` gives a
channel to VFIO.
"""
