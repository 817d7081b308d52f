# SPDX-License-Identifier: GPL-2.0-only
"""Where the hardware lies in the guest's machine (QEMU's ``virt``), and the device tree that says so.

The pages of registers are the last MiB of the guest's RAM, reserved and not mapped by its kernel: management block first, then
TRCA and EVCA of each channel. Interrupts are SPIs that ``virt`` leaves free.
"""

from __future__ import annotations

from dataclasses import dataclass

from hidma.commands.qemu.errors import QemuError
from hidma.firmware import Tree, fdt, text, u32, u64
from hidma.hw.registers import MAX_CHANNELS, PAGE

RAM_BASE = 0x40000000
WINDOW = 1 << 20
SPI_MANAGEMENT = 176
SPI_CHANNELS = 177
LEVEL_HIGH = 4


@dataclass(frozen=True)
class Layout:
    """Addresses and interrupts of one machine.

    :param memory: bytes of RAM, the registers included
    :param channels: how many channels the core has, 1..64
    :param desc_count: descriptors of a channel
    :param nested: whether the channel nodes stand below the management node, as a host's do, and not at the root
    """

    memory: int
    channels: int
    desc_count: int
    nested: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"a core has 1 to {MAX_CHANNELS} channels, not {self.channels}")

    @property
    def window(self) -> int:
        """Where the registers begin, a physical address."""
        return RAM_BASE + self.memory - WINDOW

    def trca(self, channel: int) -> int:
        """Physical address of the transfer channel's page."""
        return self.window + (1 + 2 * channel) * PAGE

    def evca(self, channel: int) -> int:
        """Physical address of the event channel's page."""
        return self.trca(channel) + PAGE

    def spi(self, channel: int) -> int:
        """Interrupt of a channel."""
        return SPI_CHANNELS + channel


def _interrupt(spi: int) -> bytes:
    return u32(0, spi, LEVEL_HIGH)


def add_hardware(tree: Tree, layout: Layout) -> None:
    """Put the core into the device tree of the machine: a reserved window, a management node, channel nodes at the root.

    The channels stand at the root, as a hypervisor shows them to a guest, unless ``layout.nested``: Linux 6.1 creates no device
    for a node below the management node (row 27 of the quirks).
    """
    root = tree.root
    cells = (root.number("#address-cells"), root.number("#size-cells"))
    if cells != (2, 2):
        raise QemuError(f"QEMU's device tree has {cells} cells for addresses and sizes where (2, 2) are expected; this QEMU is "
                        "too different")
    reserved = root.child("reserved-memory")
    if reserved is None:
        reserved = root.add("reserved-memory", {"#address-cells": u32(2), "#size-cells": u32(2), "ranges": b""})
    reserved.add(f"hidma@{layout.window:x}", {"reg": u64(layout.window, WINDOW), "no-map": b""})
    management = root.add(f"hidma-mgmt@{layout.window:x}", {
        "compatible": text("qcom,hidma-mgmt-1.0"),
        "reg": u64(layout.window, PAGE),
        "interrupts": _interrupt(SPI_MANAGEMENT),
        "dma-channels": u32(layout.channels),
        "max-write-burst-bytes": u32(1024),
        "max-read-burst-bytes": u32(1024),
        "max-write-transactions": u32(31),
        "max-read-transactions": u32(31),
        "channel-reset-timeout-cycles": u32(0x500),
    })
    above = root
    if layout.nested:
        management.properties |= {"#address-cells": u32(2), "#size-cells": u32(2), "ranges": b""}
        above = management
    for channel in range(layout.channels):
        above.add(f"dma-controller@{layout.trca(channel):x}", {
            "compatible": text("qcom,hidma-1.0"),
            "reg": u64(layout.trca(channel), PAGE, layout.evca(channel), PAGE),
            "interrupts": _interrupt(layout.spi(channel)),
            "desc-count": u32(layout.desc_count),
            "dma-coherent": b"",
        })


def blob(virt: bytes, layout: Layout) -> bytes:
    """QEMU's own device tree with the hardware in it.

    :param virt: what ``-machine virt,dumpdtb=`` wrote
    """
    tree = fdt.parse(virt, "the device tree of QEMU")
    add_hardware(tree, layout)
    return fdt.dump(tree)

