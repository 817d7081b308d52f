# SPDX-License-Identifier: GPL-2.0-only
"""The device tree of a guest, generated as QEMU's machine ``virt`` generates it: RAM, CPUs, interrupt controller, timer, and
the devices that were given to the guest on its platform bus.

It stands for what ``hw/core/platform-bus.c`` and ``hw/arm/sysbus-fdt.c`` of QEMU do with VFIO platform devices. The node of
a device says which registers and interrupts it has and what it is compatible with, nothing else: no property of the host's
firmware reaches the guest, so that V14 takes nr_desc_prm, else 10 descriptors there. What this machine has no hardware
for (flash, UART, RTC, PCI, virtio) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hidma.firmware.board import ADDRESS_BITS, MAX_CPUS, PAGE_SIZE
from hidma.firmware.fdt import MAX_SPANS_BYTES, FirmwareError, Node, Region, Tree, dump, text, u32, u64

MEMORY_BASE = 0x40000000
BUS = Region(0x0C000000, 0x02000000)
"""The platform bus: guest-physical addresses that devices are placed in."""
BUS_SPI = 112
"""First shared interrupt of the platform bus."""
BUS_INTERRUPTS = 64
CONTROLLER = (Region(0x08000000, 0x10000), Region(0x08010000, 0x10000))
CONTROLLER_PHANDLE = 0x8001
LEVEL_HIGH = 4
NODE_NAME = re.compile(r"[0-9A-Za-z,._+:-]{1,200}")


class GuestDevice(NamedTuple):
    """A device as the guest sees it.

    ``name`` is what the host calls it (``hidma.0``, ``QCOM8061:00``); ``compatible`` are strings, the most specific first;
    ``regions`` are guest-physical and lie in :data:`BUS`; ``interrupts`` are shared interrupts (SPI numbers).
    """

    name: str
    compatible: tuple[str, ...]
    regions: tuple[Region, ...]
    interrupts: tuple[int, ...]


class PlatformBus:
    """Places devices as QEMU's platform bus does: a region at the first free address that is a multiple of its size rounded
    up to a power of two (and of a page, so that no two share one), an interrupt at the first free number.

    :ivar devices: what was placed, in this order
    """

    def __init__(self) -> None:
        self.devices: list[GuestDevice] = []
        self._taken: list[Region] = []
        self._lines = 0

    def add(self, name: str, compatible: Sequence[str], sizes: Sequence[int], interrupts: int) -> GuestDevice:
        """Place a device.

        Parameters:
            name: what the host calls it.
            compatible: what the guest's driver matches by, the most specific string first.
            sizes: bytes of each memory region, in the order of the device.
            interrupts: how many it has.

        Returns where it is. Raises FirmwareError: no such name or size, or no room.
        """
        device = GuestDevice(name, tuple(compatible), tuple(Region(BUS.base, size) for size in sizes),
                             tuple(range(BUS_SPI, BUS_SPI + interrupts)))
        _check_device(device)
        if self._lines + interrupts > BUS_INTERRUPTS:
            raise FirmwareError(f"guest: {name}: {interrupts} interrupts do not fit; of the {BUS_INTERRUPTS} of the platform "
                                f"bus {BUS_INTERRUPTS - self._lines} are free.")
        regions: list[Region] = []
        for size in sizes:
            regions.append(self._place(name, size, regions))
        lines = tuple(range(BUS_SPI + self._lines, BUS_SPI + self._lines + interrupts))
        device = device._replace(regions=tuple(regions), interrupts=lines)
        self._taken.extend(regions)
        self._lines += interrupts
        self.devices.append(device)
        return device

    def _place(self, name: str, size: int, own: list[Region]) -> Region:
        step = max(PAGE_SIZE, 1 << (size - 1).bit_length())
        at = BUS.base
        while at + size <= BUS.end:
            region = Region(at, size)
            there = next((taken for taken in (*self._taken, *own) if taken.overlaps(region)), None)
            if there is None:
                return region
            # the next multiple of the step behind what is there
            at = max(at + step, BUS.base + -(-(there.end - BUS.base) // step) * step)
        raise FirmwareError(f"guest: {name}: a region of {size:#x} bytes does not fit into what is left of the platform bus "
                            f"({BUS}); give the guest fewer devices.")


def guest_tree(devices: Iterable[GuestDevice], memory: int = 256 << 20, cpus: int = 1) -> Tree:
    """The device tree of a guest.

    Parameters:
        devices: what was given to it, as :class:`PlatformBus` has placed it or as somebody else has.
        memory: bytes of RAM, whole pages, from 0x40000000 on.
        cpus: 1 to 64.

    Returns the tree. Raises FirmwareError: a device without registers, one that lies elsewhere or on another, a number that
    is none.
    """
    placed = list(devices)
    if memory <= 0 or memory % PAGE_SIZE or MEMORY_BASE + memory > 1 << ADDRESS_BITS:
        raise FirmwareError(f"guest: {memory} bytes of RAM are no whole number of 4 KiB pages that fit behind "
                            f"{MEMORY_BASE:#x}; give 268435456, say.")
    if not 1 <= cpus <= MAX_CPUS:
        raise FirmwareError(f"guest: {cpus} CPUs are none; give 1 to {MAX_CPUS}.")
    _check_places(placed)
    root = Node("", {"interrupt-parent": u32(CONTROLLER_PHANDLE), "#size-cells": u32(2), "#address-cells": u32(2),
                     "compatible": text("linux,dummy-virt"), "model": text("linux,dummy-virt")})
    tree = Tree(root, "guest")
    root.add("psci", {"method": text("hvc"), "compatible": text("arm,psci-0.2", "arm,psci")})
    root.add(f"memory@{MEMORY_BASE:x}", {"reg": u64(MEMORY_BASE, memory), "device_type": text("memory")})
    if placed:
        bus = root.add(f"platform-bus@{BUS.base:x}", {
            "interrupt-parent": u32(CONTROLLER_PHANDLE), "ranges": u32(0, BUS.base >> 32, BUS.base & 0xFFFFFFFF, BUS.size),
            "#address-cells": u32(1), "#size-cells": u32(1), "compatible": text("qemu,platform", "simple-bus")})
        for device in placed:
            properties = {
                "compatible": text(*device.compatible),
                "reg": u32(*(n for region in device.regions for n in (region.base - BUS.base, region.size)))}
            if device.interrupts:
                properties["interrupts"] = u32(*(n for line in device.interrupts for n in (0, line, LEVEL_HIGH)))
            bus.add(f"{device.name}@{device.regions[0].base - BUS.base:x}", properties)
    root.add(f"intc@{CONTROLLER[0].base:x}", {
        "phandle": u32(CONTROLLER_PHANDLE), "reg": u64(*(n for region in CONTROLLER for n in region)),
        "compatible": text("arm,cortex-a15-gic"), "interrupt-controller": b"", "#interrupt-cells": u32(3),
        "#address-cells": u32(0)})
    processors = root.add("cpus", {"#size-cells": u32(0), "#address-cells": u32(1)})
    for number in range(cpus):
        processors.add(f"cpu@{number:x}", {"reg": u32(number), "device_type": text("cpu"),
                                           "compatible": text("arm,cortex-a57")}
                       | ({"enable-method": text("psci")} if cpus > 1 else {}))
    flags = ((1 << min(cpus, 8)) - 1) << 8 | LEVEL_HIGH
    root.add("timer", {"interrupts": u32(*(n for line in (13, 14, 11, 10) for n in (1, line, flags))), "always-on": b"",
                       "compatible": text("arm,armv8-timer", "arm,armv7-timer")})
    return tree


def guest_blob(devices: Iterable[GuestDevice], memory: int = 256 << 20, cpus: int = 1) -> bytes:
    """:func:`guest_tree` as a blob, which ``hidma.boot()`` takes."""
    return dump(guest_tree(devices, memory, cpus))


def _check_device(device: GuestDevice) -> None:
    if not NODE_NAME.fullmatch(device.name):
        raise FirmwareError(f"guest: {device.name!r} is no name of a device; one is made of letters, digits and , . _ + : -.")
    if not device.compatible or not all(name.isascii() and name.isprintable() and name for name in device.compatible):
        raise FirmwareError(f"guest: {device.name}: compatible is {list(device.compatible)}; give at least one string, such as "
                            "qcom,hidma-1.0, for the guest finds its driver by it.")
    if not device.regions:
        raise FirmwareError(f"guest: {device.name}: it has no memory region; a channel has two.")
    # the reader takes no longer property
    if len(device.regions) > MAX_SPANS_BYTES // 8 or len(device.interrupts) > BUS_INTERRUPTS:
        raise FirmwareError(f"guest: {device.name}: {len(device.regions)} regions and {len(device.interrupts)} interrupts are "
                            f"more than the {MAX_SPANS_BYTES // 8} and {BUS_INTERRUPTS} that a device may have.")
    for region in device.regions:
        if region.size <= 0:
            raise FirmwareError(f"guest: {device.name}: a region of {region.size} bytes is none; give it one or more.")


def _check_places(devices: list[GuestDevice]) -> None:
    taken: list[tuple[Region, str]] = []
    lines: dict[int, str] = {}
    for device in devices:
        _check_device(device)
        for region in device.regions:
            if region.base % PAGE_SIZE or region.base < BUS.base or region.end > BUS.end:
                raise FirmwareError(f"guest: {device.name}: {region} does not lie on pages of the platform bus ({BUS}).")
            for other, whose in taken:
                if other.overlaps(region):
                    raise FirmwareError(f"guest: {device.name}: {region} overlaps {other} of {whose}.")
            taken.append((region, device.name))
        for line in device.interrupts:
            if not BUS_SPI <= line < BUS_SPI + BUS_INTERRUPTS:
                raise FirmwareError(f"guest: {device.name}: interrupt {line} is none of the platform bus's, which are {BUS_SPI} "
                                    f"to {BUS_SPI + BUS_INTERRUPTS - 1}.")
            if line in lines:
                raise FirmwareError(f"guest: {device.name}: interrupt {line} is that of {lines[line]} already.")
            lines[line] = device.name
