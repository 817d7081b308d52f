# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""``<linux/device.h>``: devices, drivers, buses, and the resources that go with a driver (devres).

The platform bus builds on it. Deferred probing, class devices and the order of unbinding are as in 4.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.linux import pm_runtime
from hidma.linux.errno import EBUSY, EEXIST, ENODEV, ENXIO, EPROBE_DEFER
from hidma.linux.kobject import Kobject
from hidma.linux.pm_runtime import DevPmInfo


class Devres:
    """Resources of a device, undone in reverse order when it loses its driver (``devres_release_all``)."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Any, Callable[[], None]]] = []

    def add(self, kind: str, undo: Callable[[], None], key: Any = None) -> None:
        """Remember ``undo``; ``kind`` and ``key`` find it again."""
        self.entries.append((kind, key, undo))

    def release(self, kind: str, key: Any) -> bool:
        """Undo one entry early; False when there is none."""
        for index in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[index]
            if entry[0] == kind and entry[1] == key:
                del self.entries[index]
                entry[2]()
                return True
        return False

    def release_all(self) -> None:
        """Undo everything."""
        while self.entries:
            self.entries.pop()[2]()


class Device:
    """``struct device``. ``name`` is ``dev_name()``; ``power`` its runtime PM; ``kobj`` its directory in sysfs."""

    def __init__(self, name: str, parent: Device | None = None) -> None:
        self.name = name
        self.parent = parent
        self.bus: BusType | None = None
        self.driver: Any = None
        self.driver_data: Any = None
        self.of_node: Any = None
        self.fwnode: Any = None
        self.acpi_companion: Any = None
        self.dma_mask: int | None = None
        self.coherent_dma_mask = 0
        self.iommu_group: Any = None
        self.devres = Devres()
        self.power = DevPmInfo(self)
        self.kobj: Kobject = Kobject(name, parent.kobj if parent is not None else None)
        self.kobj.owner = self
        self.container: Any = None
        self.async_suspend = False
        self.children: list[Device] = []
        self.release: Callable[[], None] | None = None


def dev_name(dev: Device) -> str:
    """Name of ``dev``."""
    return dev.name


def dev_get_drvdata(dev: Device) -> Any:
    """What the driver stored with :func:`dev_set_drvdata`."""
    return dev.driver_data


def dev_set_drvdata(dev: Device, data: Any) -> None:
    """Store the driver's data."""
    dev.driver_data = data


class DeviceDriver:
    """``struct device_driver``."""

    def __init__(self, name: str, of_match_table: list[Any] | None = None, acpi_match_table: list[Any] | None = None,
                 owner: str | None = None) -> None:
        self.name = name
        self.of_match_table = of_match_table or []
        self.acpi_match_table = acpi_match_table or []
        self.owner = owner
        self.bus: BusType | None = None
        self.devices: list[Device] = []
        self.container: Any = None


class BusType:
    """``struct bus_type`` of one kernel: its devices, drivers, and how they match."""

    def __init__(self, kernel: Any, name: str, match: Callable[[Device, DeviceDriver], bool],
                 probe: Callable[[Device], int], remove: Callable[[Device], int]) -> None:
        self.kernel = kernel
        self.name = name
        self.match = match
        self.probe = probe
        self.remove = remove
        self.devices: list[Device] = []
        self.drivers: list[DeviceDriver] = []
        self.deferred: list[Device] = []
        self.bound = 0
        self.autoprobe = True


def device_add(dev: Device) -> int:
    """Make ``dev`` known to its bus and look for a driver: 0, or -EEXIST when the name is taken there."""
    bus = dev.bus
    assert bus is not None
    if not dev.kobj.add():
        bus.kernel.warn(f"sysfs: cannot create duplicate filename '/{dev.kobj.path()}'")
        return -EEXIST
    if any(d.name == dev.name for d in bus.devices):
        bus.kernel.warn(f"sysfs: cannot create duplicate filename '/bus/{bus.name}/devices/{dev.name}'")
        dev.kobj.remove()
        return -EEXIST
    if dev.parent is not None:
        dev.parent.children.append(dev)
    bus.devices.append(dev)
    if bus.autoprobe:
        device_attach(dev)
    return 0


def device_del(dev: Device) -> None:
    """Undo :func:`device_add`; a bound driver is unbound first."""
    device_release_driver(dev)
    bus = dev.bus
    if bus is not None and dev in bus.devices:
        bus.devices.remove(dev)
        if dev in bus.deferred:
            bus.deferred.remove(dev)
    if dev.parent is not None and dev in dev.parent.children:
        dev.parent.children.remove(dev)
    dev.kobj.remove()


def driver_probe_device(driver: DeviceDriver, dev: Device) -> int:
    """``really_probe()``: bind ``driver`` to ``dev``; the errno of a probe that failed, 0 when it is bound."""
    bus = dev.bus
    assert bus is not None
    kernel = bus.kernel
    if dev.driver is not None:
        return -EBUSY
    bound = bus.bound
    dev.driver = driver
    rc = bus.probe(dev)
    if rc == 0:
        driver.devices.append(dev)
        bus.bound += 1
        if dev in bus.deferred:
            bus.deferred.remove(dev)
        driver_deferred_probe_trigger(bus)
        return 0
    dev.devres.release_all()
    dev.driver = None
    dev.driver_data = None
    pm_runtime.pm_runtime_reinit(dev)
    if rc == -EPROBE_DEFER:
        if kernel.debug:
            kernel.printk(7, f"{bus.name} {dev.name}: Driver {driver.name} requests probe deferral")
        if dev not in bus.deferred:
            bus.deferred.append(dev)
        if bus.bound != bound:
            # something was bound while this one was probed: it may have been what was missing
            driver_deferred_probe_trigger(bus)
    elif rc in (-ENODEV, -ENXIO):
        if kernel.debug:
            kernel.printk(7, f"{driver.name}: probe of {dev.name} rejects match {rc}")
    else:
        kernel.printk(4, f"{driver.name}: probe of {dev.name} failed with error {rc}")
    return rc


def driver_deferred_probe_trigger(bus: BusType) -> None:
    """A device was bound: those that asked to be probed again get their turn (once for each trigger)."""
    again, bus.deferred = bus.deferred, []
    for dev in again:
        device_attach(dev)


def device_attach(dev: Device) -> int:
    """Look for a driver of ``dev``, whatever became of those before: 1 when one is bound."""
    bus = dev.bus
    assert bus is not None
    for driver in list(bus.drivers):
        if dev.driver is None and bus.match(dev, driver):
            driver_probe_device(driver, dev)
    return 1 if dev.driver is not None else 0


def device_release_driver(dev: Device) -> None:
    """``__device_release_driver()``: unbind, remove, undo what devres holds."""
    driver = dev.driver
    bus = dev.bus
    if driver is None or bus is None:
        return
    bus.remove(dev)
    dev.devres.release_all()
    dev.driver = None
    dev.driver_data = None
    pm_runtime.pm_runtime_reinit(dev)
    if dev in driver.devices:
        driver.devices.remove(dev)


def driver_register(driver: DeviceDriver, bus: BusType) -> int:
    """Make ``driver`` known and let it bind the devices that match."""
    if any(d.name == driver.name for d in bus.drivers):
        bus.kernel.printk(3, f"Error: Driver '{driver.name}' is already registered, aborting...")
        return -EBUSY
    driver.bus = bus
    bus.drivers.append(driver)
    for dev in list(bus.devices) if bus.autoprobe else ():
        if dev.driver is None and bus.match(dev, driver):
            driver_probe_device(driver, dev)
    return 0


def driver_unregister(driver: DeviceDriver) -> None:
    """Unbind every device and forget ``driver``."""
    bus = driver.bus
    if bus is None:
        return
    for dev in reversed(list(driver.devices)):
        device_release_driver(dev)
    bus.drivers.remove(driver)
    driver.bus = None
