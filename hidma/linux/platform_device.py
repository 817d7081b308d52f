# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/platform_device.h>``: the platform bus.

Devices match drivers by driver_override, device tree, ACPI, then by id table, or by name where a driver has none, as in
4.5. Note that 4.5's platform_device_register_full() leaves ``of_node`` unset (V14 row 27 hangs on it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hidma.linux import sched
from hidma.linux.acpi import AcpiDevice, AcpiDeviceId, acpi_bind_one, acpi_driver_match_device, acpi_unbind_one
from hidma.linux.device import BusType, Device, DeviceDriver, device_add, device_del, driver_register, driver_unregister
from hidma.linux.errno import ENXIO
from hidma.linux.ioport import IORESOURCE_IRQ, Resource
from hidma.linux.kobject import Kobject
from hidma.linux.of import OfDeviceId, of_match_node

if TYPE_CHECKING:
    from hidma.linux.kernel import Kernel

PLATFORM_DEVID_NONE = -1
PLATFORM_DEVID_AUTO = -2


class PlatformDevice:
    """``struct platform_device``."""

    def __init__(self, name: str, id: int, parent: Device | None = None) -> None:
        self.name = name
        self.id = id
        self.dev = Device(name if id == PLATFORM_DEVID_NONE else f"{name}.{id}", parent)
        self.dev.container = self
        self.resource: list[Resource] = []
        self.driver_override: str | None = None
        self.id_entry: PlatformDeviceId | None = None


@dataclass
class PlatformDeviceInfo:
    """``struct platform_device_info``."""

    parent: Device | None = None
    fwnode: Any = None
    name: str = ""
    id: int = PLATFORM_DEVID_NONE
    res: list[Resource] = field(default_factory=list)
    num_res: int = 0
    data: Any = None
    dma_mask: int = 0


@dataclass(frozen=True)
class PlatformDeviceId:
    """``struct platform_device_id``."""

    name: str
    driver_data: Any = None


@dataclass(frozen=True)
class PlatformDriver:
    """``struct platform_driver`` as it stands in a module; each kernel makes its own driver of it."""

    name: str
    probe: Callable[[PlatformDevice], int]
    remove: Callable[[PlatformDevice], int] | None = None
    of_match_table: tuple[OfDeviceId, ...] = ()
    acpi_match_table: tuple[AcpiDeviceId, ...] = ()
    owner: str = ""
    id_table: tuple[PlatformDeviceId, ...] = ()


def to_platform_device(dev: Device) -> PlatformDevice:
    """The platform device that ``dev`` is part of."""
    pdev: PlatformDevice = dev.container
    return pdev


def platform_get_drvdata(pdev: PlatformDevice) -> Any:
    """What the driver stored."""
    return pdev.dev.driver_data


def platform_set_drvdata(pdev: PlatformDevice, data: Any) -> None:
    """Store the driver's data."""
    pdev.dev.driver_data = data


def platform_match(dev: Device, driver: DeviceDriver) -> bool:
    """Whether ``driver`` is for ``dev``."""
    pdev = to_platform_device(dev)
    if pdev.driver_override:
        return pdev.driver_override == driver.name
    if of_match_node(list(driver.of_match_table), dev.of_node) is not None:
        return True
    if acpi_driver_match_device(dev, driver):
        return True
    table = driver.container.id_table if driver.container is not None else ()
    if table:
        pdev.id_entry = next((entry for entry in table if entry.name == pdev.name), pdev.id_entry)
        return any(entry.name == pdev.name for entry in table)
    return pdev.name == driver.name


def platform_bus(kernel: Kernel) -> BusType:
    """The platform bus of ``kernel``."""
    bus = kernel.buses.get("platform")
    if bus is None:
        def probe(dev: Device) -> int:
            return int(dev.driver.container.probe(to_platform_device(dev)))

        def remove(dev: Device) -> int:
            function = dev.driver.container.remove
            return int(function(to_platform_device(dev))) if function is not None else 0

        bus = BusType(kernel, "platform", platform_match, probe, remove)
        kernel.buses["platform"] = bus
    return bus


def platform_root(kernel: Kernel) -> Kobject:
    """The directory /sys/devices/platform."""
    node = kernel.sysfs_root
    for name in ("devices", "platform"):
        if name not in node.children:
            Kobject(name, node).add()
        node = node.children[name]
    return node


def platform_device_add(pdev: PlatformDevice) -> int:
    """Register ``pdev``: 0 or -EEXIST."""
    kernel = sched.running_cpu().kernel
    dev = pdev.dev
    if pdev.id == PLATFORM_DEVID_AUTO:
        ids = kernel.module("platform")
        pdev.id = getattr(ids, "next_auto", 0)
        ids.next_auto = pdev.id + 1
        dev.name = dev.kobj.name = f"{pdev.name}.{pdev.id}.auto"
    dev.bus = platform_bus(kernel)
    if dev.parent is None:
        dev.kobj.parent = platform_root(kernel)
    return device_add(dev)


def platform_device_unregister(pdev: PlatformDevice) -> None:
    """Remove ``pdev``."""
    device_del(pdev.dev)
    acpi_unbind_one(pdev.dev)


def platform_device_register_full(pdevinfo: PlatformDeviceInfo) -> PlatformDevice | int | None:
    """Make and register a device: the device, or a negative errno for an error pointer; never NULL, unless made to."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit((
            "platform_device", pdevinfo.name, pdevinfo.id,
            pdevinfo.parent.name if pdevinfo.parent is not None else None, pdevinfo.dma_mask,
            [[r.start, r.end, r.flags, r.name] for r in pdevinfo.res[: pdevinfo.num_res]]))
    if "platform_device_register_full" in kernel.fault_inject.values:
        return kernel.fault_inject.values["platform_device_register_full"] or None
    pdev = PlatformDevice(pdevinfo.name, pdevinfo.id, pdevinfo.parent)
    pdev.dev.fwnode = pdevinfo.fwnode
    if isinstance(pdevinfo.fwnode, AcpiDevice):
        acpi_bind_one(pdev.dev, pdevinfo.fwnode)
    if pdevinfo.dma_mask:
        pdev.dev.dma_mask = pdevinfo.dma_mask
        pdev.dev.coherent_dma_mask = pdevinfo.dma_mask
    pdev.resource = [Resource(r.start, r.end, r.flags, r.name) for r in pdevinfo.res[: pdevinfo.num_res]]
    rc = platform_device_add(pdev)
    if rc:
        acpi_unbind_one(pdev.dev)
    return rc if rc else pdev


def platform_get_resource(pdev: PlatformDevice, type: int, num: int) -> Resource | None:
    """The ``num``-th resource of ``type``."""
    found = [r for r in pdev.resource if r.flags & 0x1F00 == type]
    return found[num] if num < len(found) else None


def platform_get_irq(pdev: PlatformDevice, num: int) -> int:
    """The ``num``-th interrupt; -ENXIO when there is none."""
    rc: int = sched.running_cpu().kernel.fault_inject.value("platform_get_irq")
    if rc:
        return rc
    res = platform_get_resource(pdev, IORESOURCE_IRQ, num)
    return res.start if res is not None else -ENXIO


def platform_driver_register(drv: PlatformDriver) -> int:
    """Make ``drv`` a driver of the running kernel: 0 or -EBUSY."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit(("driver_register", drv.name))
    driver = DeviceDriver(drv.name, list(drv.of_match_table), list(drv.acpi_match_table), drv.owner)
    driver.container = drv
    return driver_register(driver, platform_bus(kernel))


def platform_driver_unregister(drv: PlatformDriver) -> None:
    """Undo :func:`platform_driver_register`."""
    bus = platform_bus(sched.running_cpu().kernel)
    for driver in list(bus.drivers):
        if driver.container is drv:
            driver_unregister(driver)
