# SPDX-License-Identifier: GPL-2.0-only
"""Devices and drivers: probing, deferring, unbinding, and what goes with a driver."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from linux_rig import Rig

from hidma.linux.device import (
    BusType,
    Device,
    DeviceDriver,
    Devres,
    device_add,
    device_attach,
    device_del,
    device_release_driver,
    driver_probe_device,
    driver_register,
    driver_unregister,
)
from hidma.linux.errno import EBUSY, EEXIST, EINVAL, ENODEV, ENXIO, EPROBE_DEFER
from hidma.linux.pm_runtime import pm_runtime_enable, pm_runtime_set_active, runtime_status


class TestBus:
    """A bus where a driver matches the devices whose names begin with its own; probes return what they are told."""

    __test__ = False

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.log: list[str] = []
        self.rc: dict[str, int] = {}
        self.during: dict[str, Callable[[Device], object]] = {}
        self.bus = BusType(rig.kernel, "test", self.match, self.probe, self.remove)

    def match(self, dev: Device, driver: DeviceDriver) -> bool:
        return dev.name.startswith(driver.name.split("-")[0])

    def probe(self, dev: Device) -> int:
        self.log.append(f"probe {dev.name} by {dev.driver.name}")
        if dev.name in self.during:
            self.during[dev.name](dev)
        dev.driver_data = "data"
        dev.devres.add("thing", lambda: self.log.append(f"undo {dev.name}"))
        return self.rc.get(f"{dev.driver.name} {dev.name}", self.rc.get(dev.name, 0))

    def remove(self, dev: Device) -> int:
        self.log.append(f"remove {dev.name} (data {dev.driver_data})")
        return 0

    def device(self, name: str, parent: Device | None = None) -> Device:
        dev = Device(name, parent)
        dev.bus = self.bus
        if parent is None:
            dev.kobj.parent = self.rig.kernel.sysfs_root
        return dev

    def driver(self, name: str) -> DeviceDriver:
        driver = DeviceDriver(name)
        assert driver_register(driver, self.bus) == 0
        return driver


@pytest.fixture
def world(rig: Rig) -> TestBus:
    return TestBus(rig)


# --- devres ---------------------------------------------------------------------------------------------------------


def test_resources_are_undone_in_reverse_order() -> None:
    log: list[str] = []
    devres = Devres()
    for name in "abc":
        devres.add("kind", lambda name=name: log.append(name), key=name)
    devres.release_all()
    devres.release_all()
    assert log == ["c", "b", "a"]


def test_one_resource_may_be_undone_early_the_latest_that_fits() -> None:
    log: list[str] = []
    devres = Devres()
    for name in ("a1", "a2", "b1"):
        devres.add(name[0], lambda name=name: log.append(name), key=1)
    assert devres.release("a", 1)
    assert log == ["a2"]
    assert not devres.release("a", 2)
    assert not devres.release("c", 1)
    devres.release_all()
    assert log == ["a2", "b1", "a1"]


def test_a_resource_added_while_others_are_undone_is_undone_too() -> None:
    log: list[str] = []
    devres = Devres()

    def undo() -> None:
        log.append("first")
        devres.add("late", lambda: log.append("late"))

    devres.add("early", undo)
    devres.release_all()
    assert log == ["first", "late"]


# --- binding --------------------------------------------------------------------------------------------------------


def test_it_does_not_matter_who_comes_first(world: TestBus) -> None:
    device_add(world.device("a0"))
    driver = world.driver("a")
    device_add(world.device("a1"))
    device_add(world.device("b0"))
    assert world.log == ["probe a0 by a", "probe a1 by a"]
    assert [dev.name for dev in driver.devices] == ["a0", "a1"]
    assert [dev.driver for dev in world.bus.devices] == [driver, driver, None]


def test_the_first_driver_that_takes_the_device_has_it(world: TestBus) -> None:
    world.rc = {"a-1 a0": -EINVAL, "a-2 a0": -EPROBE_DEFER}
    for name in ("a-1", "a-2", "a-3", "a-4"):
        world.driver(name)
    dev = world.device("a0")
    assert device_add(dev) == 0
    assert [line for line in world.log if line.startswith("probe")] == [f"probe a0 by a-{i}" for i in (1, 2, 3)]
    assert dev.driver is not None and dev.driver.name == "a-3"


@pytest.mark.parametrize(("rc", "text"), [
    (-EINVAL, ["a: probe of a0 failed with error -22"]), (-ENODEV, []), (-ENXIO, []), (-EPROBE_DEFER, [])])
def test_a_probe_that_fails_leaves_the_device_as_it_was(world: TestBus, rc: int, text: list[str]) -> None:
    world.rc["a0"] = rc
    world.driver("a")
    dev = world.device("a0")
    assert device_add(dev) == 0
    assert dev.driver is None and dev.driver_data is None
    assert world.log == ["probe a0 by a", "undo a0"]
    assert world.rig.log() == text


def test_a_failed_probe_leaves_runtime_pm_suspended(world: TestBus) -> None:
    world.rc["a0"] = -EINVAL
    world.during["a0"] = pm_runtime_set_active
    world.driver("a")
    dev = world.device("a0")
    device_add(dev)
    pm_runtime_enable(dev)
    assert runtime_status(dev) == "suspended"


def test_a_device_that_is_bound_is_not_bound_again(world: TestBus) -> None:
    first, second = world.driver("a"), world.driver("a-2")
    dev = world.device("a0")
    device_add(dev)
    assert driver_probe_device(second, dev) == -EBUSY
    assert dev.driver is first
    assert device_attach(dev) == 1


def test_names_are_taken_once(world: TestBus) -> None:
    assert device_add(world.device("a0")) == 0
    assert device_add(world.device("a0")) == -EEXIST
    parent = world.device("p")
    device_add(parent)
    assert device_add(world.device("a0", parent)) == -EEXIST
    assert world.rig.log() == ["WARNING: sysfs: cannot create duplicate filename '/a0'",
                               "WARNING: sysfs: cannot create duplicate filename '/bus/test/devices/a0'"]
    assert "a0" not in parent.kobj.children
    assert [d.name for d in world.bus.devices] == ["a0", "p"]


def test_a_driver_is_registered_once(world: TestBus) -> None:
    world.driver("a")
    assert driver_register(DeviceDriver("a"), world.bus) == -EBUSY
    assert world.rig.log() == ["Error: Driver 'a' is already registered, aborting..."]


def test_without_autoprobe_nobody_is_probed(world: TestBus) -> None:
    world.bus.autoprobe = False
    world.driver("a")
    device_add(world.device("a0"))
    assert world.log == []


# --- unbinding ------------------------------------------------------------------------------------------------------


def test_unbinding_removes_then_undoes(world: TestBus) -> None:
    driver = world.driver("a")
    dev = world.device("a0")
    device_add(dev)
    device_release_driver(dev)
    device_release_driver(dev)
    assert world.log == ["probe a0 by a", "remove a0 (data data)", "undo a0"]
    assert (dev.driver, dev.driver_data, driver.devices) == (None, None, [])
    assert device_attach(dev) == 1


def test_a_driver_that_goes_lets_its_devices_go_the_last_one_first(world: TestBus) -> None:
    driver = world.driver("a")
    for i in range(3):
        device_add(world.device(f"a{i}"))
    world.log.clear()
    driver_unregister(driver)
    driver_unregister(driver)
    assert [line for line in world.log if line.startswith("remove")] == [f"remove a{i} (data data)" for i in (2, 1, 0)]
    assert world.bus.drivers == []
    assert world.driver("a").devices != []


def test_a_device_that_goes_is_unbound_and_leaves_the_tree(world: TestBus) -> None:
    world.driver("a")
    parent = world.device("p")
    device_add(parent)
    dev = world.device("a0", parent)
    device_add(dev)
    assert parent.children == [dev]
    assert parent.kobj.children["a0"] is dev.kobj
    device_del(dev)
    assert world.log[-2:] == ["remove a0 (data data)", "undo a0"]
    assert parent.children == [] and parent.kobj.children == {}
    assert not dev.kobj.alive and dev not in world.bus.devices
    assert device_add(world.device("a0", parent)) == 0


# --- deferring ------------------------------------------------------------------------------------------------------


def test_a_deferred_device_is_probed_again_when_another_was_bound(world: TestBus) -> None:
    world.rc["a0"] = -EPROBE_DEFER
    world.driver("a")
    world.driver("b")
    dev = world.device("a0")
    device_add(dev)
    device_add(world.device("c0"))  # bound by nobody
    assert world.log.count("probe a0 by a") == 1
    device_add(world.device("b0"))
    assert world.log.count("probe a0 by a") == 2
    assert dev.driver is None
    world.rc["a0"] = 0
    device_add(world.device("b1"))
    assert world.log.count("probe a0 by a") == 3
    assert dev.driver is not None
    device_add(world.device("b2"))
    assert world.log.count("probe a0 by a") == 3


def test_devices_that_defer_for_ever_do_not_probe_for_ever(world: TestBus) -> None:
    for i in range(4):
        world.rc[f"a{i}"] = -EPROBE_DEFER
    world.driver("a")
    world.driver("b")
    for i in range(4):
        device_add(world.device(f"a{i}"))
    world.log.clear()
    device_add(world.device("b0"))
    assert len([line for line in world.log if line.startswith("probe a")]) == 4


def test_a_chain_of_deferred_devices_comes_up_in_the_end(world: TestBus) -> None:
    """a0 wants a1, which wants a2, which wants b0."""
    bound: set[str] = set()

    def wants(dev: Device) -> None:
        needed = {"a0": "a1", "a1": "a2", "a2": "b0"}.get(dev.name)
        world.rc[dev.name] = 0 if needed is None or needed in bound else -EPROBE_DEFER
        if world.rc[dev.name] == 0:
            bound.add(dev.name)

    world.during = dict.fromkeys(("a0", "a1", "a2", "b0"), wants)
    world.driver("a")
    world.driver("b")
    for name in ("a0", "a1", "a2"):
        device_add(world.device(name))
    assert bound == set()
    device_add(world.device("b0"))
    assert bound == {"a0", "a1", "a2", "b0"}
    assert world.bus.deferred == []


def test_a_device_that_defers_while_another_was_bound_is_probed_again(world: TestBus) -> None:
    """What it waited for came during its own probe."""
    world.driver("a")
    world.driver("b")

    def body(dev: Device) -> None:
        if world.log.count("probe a0 by a") == 1:
            world.rc["a0"] = -EPROBE_DEFER
            device_add(world.device("b0"))
        else:
            world.rc["a0"] = 0

    world.during["a0"] = body
    dev = world.device("a0")
    device_add(dev)
    assert dev.driver is not None


def test_a_deferred_device_that_goes_is_forgotten(world: TestBus) -> None:
    world.rc["a0"] = -EPROBE_DEFER
    world.driver("a")
    world.driver("b")
    dev = world.device("a0")
    device_add(dev)
    device_del(dev)
    device_add(world.device("b0"))
    assert world.log.count("probe a0 by a") == 1


def test_deferral_is_told_to_a_kernel_that_debugs(world: TestBus) -> None:
    world.rig.kernel.debug = True
    world.rc = {"a0": -EPROBE_DEFER, "a1": -ENODEV}
    world.driver("a")
    device_add(world.device("a0"))
    device_add(world.device("a1"))
    assert world.rig.log() == ["test a0: Driver a requests probe deferral", "a: probe of a1 rejects match -19"]
