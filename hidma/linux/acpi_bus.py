# SPDX-License-Identifier: GPL-2.0-only
"""``<acpi/acpi_bus.h>``: the ACPI bus: devices of the namespace become devices, and platform devices with companions.

It stands for what ``drivers/acpi/{scan,acpi_platform,bus}.c`` do at boot. The namespace comes ready evaluated; power
management, hotplug, wakeup and notifications are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hidma.linux import sched
from hidma.linux.acpi import AcpiDevice, acpi_device_is_present
from hidma.linux.device import BusType, Device, device_add
from hidma.linux.dma_mapping import DMA_BIT_MASK
from hidma.linux.platform_device import (
    PLATFORM_DEVID_NONE,
    PlatformDevice,
    PlatformDeviceInfo,
    platform_device_register_full,
    platform_root,
)
from hidma.linux.printk import dev_dbg, dev_err

HANDLERS = ("ACPI0007", "LNXCPU", "PNP0C80", "ACPI0004", "PNP0A05", "PNP0A06", "PNP0A03", "PNP0C0F")
"""IDs of devices that a scan handler of the core knows, so that no platform device is made of them."""
FORBIDDEN = ("PNP0000", "PNP0100", "PNP0200")
"""Interrupt controller, timer and DMA controller of a PC: never platform devices."""


class AcpiTable(Protocol):
    """``struct acpi_table_header``, and in ``data`` the whole table."""

    @property
    def signature(self) -> str: ...
    @property
    def length(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def oem_id(self) -> str: ...
    @property
    def oem_table_id(self) -> str: ...
    @property
    def oem_revision(self) -> int: ...
    @property
    def creator_id(self) -> str: ...
    @property
    def creator_revision(self) -> int: ...
    @property
    def data(self) -> bytes: ...


def acpi_bus(kernel: Any) -> BusType:
    """The bus ``acpi`` of ``kernel``. It has no drivers here."""
    bus = kernel.buses.get("acpi")
    if bus is None:
        bus = BusType(kernel, "acpi", lambda dev, driver: False, lambda dev: 0, lambda dev: 0)
        kernel.buses["acpi"] = bus
    return bus


def acpi_init_coherency(adev: AcpiDevice) -> None:
    """``_CCA``: a device above that has it decides."""
    parent = adev.parent
    if parent is not None and parent.cca_seen:
        adev.cca_seen = True
        adev.coherent_dma = parent.coherent_dma
    elif adev.cca is not None:
        adev.cca_seen = True
        adev.coherent_dma = bool(adev.cca)


def acpi_device_add(adev: AcpiDevice) -> int:
    """Name the device by its first ID and register it on the bus: 0 or -EEXIST."""
    kernel = sched.running_cpu().kernel
    statics = kernel.module("acpi")
    if not hasattr(statics, "bus_ids"):
        statics.bus_ids = {}
    bus_id = adev.ids[0] if adev.ids else "device"
    number = statics.bus_ids.get(bus_id, -1) + 1
    statics.bus_ids[bus_id] = number
    dev = Device(f"{bus_id}:{number:02x}", adev.parent.dev if adev.parent is not None else None)
    dev.container = adev
    dev.bus = acpi_bus(kernel)
    if dev.parent is None:
        dev.kobj.parent = platform_root(kernel).parent
    adev.dev = dev
    return device_add(dev)


def acpi_load_tables(tables: Sequence[AcpiTable]) -> None:
    """Take over the tables of firmware, and say so in the log, as ACPICA and ``acpi_bus_init()`` do."""
    kernel = sched.running_cpu().kernel
    kernel.module("acpi").tables = [(table.signature, table.data) for table in tables]
    for table in tables:
        kernel.printk(6, f"ACPI: {table.signature} {table.length:06X} (v{table.revision:02d} {table.oem_id:<6} "
                         f"{table.oem_table_id:<8} {table.oem_revision:08X} {table.creator_id:<4} "
                         f"{table.creator_revision:08X})")
    kernel.printk(6, f"ACPI: {len(tables)} ACPI AML tables successfully acquired and loaded")
    kernel.printk(6, "ACPI: Interpreter enabled")


def acpi_bus_scan(root: AcpiDevice) -> None:
    """Register every device of the namespace, then attach: platform devices for what is present, from the top."""
    for adev in root.walk():
        acpi_init_coherency(adev)
        acpi_device_add(adev)
    acpi_bus_attach(root)


def acpi_bus_attach(adev: AcpiDevice) -> None:
    """Enumerate ``adev`` and what is below; a device that is not present hides what is below it."""
    if not acpi_device_is_present(adev):
        return
    if adev.platform_id and not any(name in HANDLERS for name in adev.ids):
        acpi_create_platform_device(adev)
    for child in adev.children:
        acpi_bus_attach(child)


def acpi_create_platform_device(adev: AcpiDevice) -> PlatformDevice | None:
    """The platform device of ``adev``, with its name, below the device of which its parent is the companion."""
    if adev.physical_nodes or any(name in FORBIDDEN for name in adev.ids):
        return None
    info = PlatformDeviceInfo()
    if adev.parent is not None and adev.parent.physical_nodes:
        info.parent = adev.parent.physical_nodes[0]
    info.name = adev.dev.name
    info.id = PLATFORM_DEVID_NONE
    info.res = adev.resources
    info.num_res = len(adev.resources)
    info.fwnode = adev
    info.dma_mask = DMA_BIT_MASK(32) if adev.cca_seen else 0  # acpi_dma_supported() with CONFIG_ACPI_CCA_REQUIRED, as on ARM
    pdev = platform_device_register_full(info)
    if not isinstance(pdev, PlatformDevice):
        dev_err(adev.dev, f"platform device creation failed: {pdev}\n")
        return None
    dev_dbg(adev.dev, f"created platform device {pdev.dev.name}\n")
    return pdev
