# SPDX-License-Identifier: GPL-2.0-only
"""Where the hardware lies in the guest's machine (QEMU's ``virt``), and the device tree or the SSDT that describes it.

The pages of registers are a window of 1 MiB: management block first, then TRCA and EVCA of each channel. With a device tree the
window is the end of the guest's RAM, reserved and not mapped by its kernel. With ACPI the firmware itself uses that place, so the
window is memory of its own (an NVDIMM to QEMU, for which the guest gets no driver) at the next GiB behind the RAM. Interrupts are
SPIs that ``virt`` leaves free.
"""

from __future__ import annotations

from dataclasses import dataclass

from hidma.commands.qemu.errors import QemuError
from hidma.firmware import Tree, amlwrite, fdt, text, u32, u64
from hidma.firmware.acpi import MANAGEMENT_HID, MEMORY_HID, PROCESSOR_HID
from hidma.firmware.board import CHANNEL_HID
from hidma.hw.registers import MAX_CHANNELS, PAGE

RAM_BASE = 0x40000000
WINDOW = 1 << 20
GIB = 1 << 30
SPI_MANAGEMENT = 176
SPI_CHANNELS = 177
FIRST_SPI = 32
FIRST_STREAM = 0x100
LEVEL_HIGH = 4
OEM = "HIDMA"
LIMITS = {
    "max-write-burst-bytes": 1024,
    "max-read-burst-bytes": 1024,
    "max-write-transactions": 31,
    "max-read-transactions": 31,
    "channel-reset-timeout-cycles": 0x500,
}
"""Properties of the management device, but for the number of channels."""


@dataclass(frozen=True)
class Layout:
    """Addresses and interrupts of one machine.

    :param memory: bytes of RAM, with a device tree the registers included
    :param channels: how many channels the core has, 1..64
    :param desc_count: descriptors of a channel
    :param nested: whether the channel nodes stand below the management node, as a host's do, and not at the root; with
        ACPI they always do
    :param smmu: whether the channels stand behind the machine's SMMU, each with a stream of its own
    :param acpi: whether ACPI tables describe the machine, and not a device tree
    """

    memory: int
    channels: int
    desc_count: int
    nested: bool = False
    acpi: bool = False
    smmu: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"a core has 1 to {MAX_CHANNELS} channels, not {self.channels}")

    @property
    def window(self) -> int:
        """Where the registers begin, a physical address."""
        end = RAM_BASE + self.memory
        return -(-end // GIB) * GIB if self.acpi else end - WINDOW

    @property
    def usable(self) -> int:
        """Bytes of RAM without the registers."""
        return self.memory if self.acpi else self.memory - WINDOW

    def trca(self, channel: int) -> int:
        """Physical address of the transfer channel's page."""
        return self.window + (1 + 2 * channel) * PAGE

    def evca(self, channel: int) -> int:
        """Physical address of the event channel's page."""
        return self.trca(channel) + PAGE

    def stream(self, channel: int) -> int:
        """Stream of a channel in the SMMU, past those of PCI devices."""
        return FIRST_STREAM + channel

    def spi(self, channel: int) -> int:
        """Interrupt of a channel."""
        return SPI_CHANNELS + channel


def _interrupt(spi: int) -> bytes:
    return u32(0, spi, LEVEL_HIGH)


def _smmu(tree: Tree) -> int:
    """The phandle of the SMMU that QEMU put into its tree (``-machine iommu=smmuv3``)."""
    phandle = next((node.number("phandle") for node in tree.compatible("arm,smmu-v3")), None)
    if phandle is None:
        raise QemuError("QEMU's device tree has no SMMUv3; this QEMU is too different")
    return phandle


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
        **{name: u32(number) for name, number in LIMITS.items()},
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
            **({"iommus": u32(_smmu(tree), layout.stream(channel))} if layout.smmu else {}),
        })


def blob(virt: bytes, layout: Layout) -> bytes:
    """QEMU's own device tree with the hardware in it.

    :param virt: what ``-machine virt,dumpdtb=`` wrote
    """
    tree = fdt.parse(virt, "the device tree of QEMU")
    add_hardware(tree, layout)
    return fdt.dump(tree)

def _core(layout: Layout) -> bytes:
    """The management device with its channels below it, in AML."""
    channels = [amlwrite.device(
        f"CH{channel:02X}", amlwrite.name("_HID", CHANNEL_HID), amlwrite.name("_UID", channel), amlwrite.name("_CCA", 1),
        amlwrite.resources([(layout.trca(channel), PAGE), (layout.evca(channel), PAGE)], [FIRST_SPI + layout.spi(channel)]),
        amlwrite.properties({"desc-count": layout.desc_count})) for channel in range(layout.channels)]
    return amlwrite.device(
        "HDMA", amlwrite.name("_HID", MANAGEMENT_HID), amlwrite.name("_UID", 0), amlwrite.name("_CCA", 1),
        amlwrite.resources([(layout.window, PAGE)], [FIRST_SPI + SPI_MANAGEMENT]),
        amlwrite.properties({"dma-channels": layout.channels, **LIMITS}), *channels)


def ssdt(layout: Layout) -> bytes:
    """The table that adds the hardware to QEMU's own DSDT. The kernel takes it from its initrd (CONFIG_ACPI_TABLE_UPGRADE)."""
    return amlwrite.table("SSDT", OEM, "HIDMAHW", amlwrite.scope("\\_SB", _core(layout)))


def dsdt(layout: Layout, cpus: int) -> bytes:
    """The same hardware as a board of this program, with RAM and CPUs, which a real machine's other tables describe."""
    return amlwrite.table("DSDT", OEM, "HIDMABRD", amlwrite.scope(
        "\\_SB",
        *[amlwrite.device(f"CPU{number:X}", amlwrite.name("_HID", PROCESSOR_HID), amlwrite.name("_UID", number))
          for number in range(cpus)],
        amlwrite.device("MEM0", amlwrite.name("_HID", MEMORY_HID), amlwrite.name("_UID", 0),
                        amlwrite.resources([(RAM_BASE, layout.memory)])),
        _core(layout)))
