# SPDX-License-Identifier: GPL-2.0-only
"""The platform bus: how drivers match, how devices are named, what resources they have."""

from __future__ import annotations

import pytest
from linux_rig import Rig

from hidma.linux.acpi import AcpiDevice, AcpiDeviceId
from hidma.linux.device import Device
from hidma.linux.errno import EBUSY, EEXIST, EINVAL, ENXIO
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, Resource
from hidma.linux.of import DeviceNode, OfDeviceId
from hidma.linux.platform_device import (
    PLATFORM_DEVID_AUTO,
    PLATFORM_DEVID_NONE,
    PlatformDevice,
    PlatformDeviceId,
    PlatformDeviceInfo,
    PlatformDriver,
    platform_bus,
    platform_device_add,
    platform_device_register_full,
    platform_device_unregister,
    platform_driver_register,
    platform_driver_unregister,
    platform_get_drvdata,
    platform_get_irq,
    platform_get_resource,
    platform_set_drvdata,
)

OF = (OfDeviceId(compatible="qcom,hidma-1.0"),)
ACPI = (AcpiDeviceId("QCOM8061"),)
IDS = (PlatformDeviceId("hidma-old", 1), PlatformDeviceId("hidma-new", 2))


class Probes:
    """Drivers by name, and the devices that they were probed with."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def driver(self, name: str, rc: int = 0, **tables: object) -> PlatformDriver:
        def probe(pdev: PlatformDevice) -> int:
            self.seen.append((name, pdev.dev.name))
            return rc

        driver = PlatformDriver(name=name, probe=probe, **tables)  # type: ignore[arg-type]
        assert platform_driver_register(driver) == 0
        return driver


@pytest.fixture
def probes(rig: Rig) -> Probes:
    return Probes()


def device(name: str, compatible: str = "", hid: str | None = None, cids: tuple[str, ...] = (),
           override: str | None = None) -> PlatformDevice:
    pdev = PlatformDevice(name, PLATFORM_DEVID_NONE)
    if compatible:
        pdev.dev.of_node = DeviceNode(name)
        pdev.dev.of_node.properties["compatible"] = compatible.encode() + b"\0"
    if hid is not None:
        pdev.dev.acpi_companion = AcpiDevice("\\_SB.DMA", hid, cids=list(cids))
    pdev.driver_override = override
    assert platform_device_add(pdev) == 0
    return pdev


def driver_of(pdev: PlatformDevice) -> str | None:
    return None if pdev.dev.driver is None else str(pdev.dev.driver.name)


# --- matching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "bound"), [
    ({"name": "hidma"}, "hidma"),
    ({"name": "hidma2"}, None),
    ({"name": "other", "compatible": "qcom,hidma-1.0"}, "hidma"),
    ({"name": "other", "compatible": "qcom,hidma-1.1"}, None),
    ({"name": "hidma", "compatible": "qcom,hidma-1.1"}, "hidma"),
    ({"name": "other", "hid": "QCOM8061"}, "hidma"),
    ({"name": "other", "hid": "QCOM8060"}, None),
    ({"name": "other", "hid": "PNP0000", "cids": ("PNP0001", "QCOM8061")}, "hidma"),
    ({"name": "hidma", "override": "another"}, None),
    ({"name": "other", "override": "hidma"}, "hidma"),
    ({"name": "hidma", "override": ""}, "hidma"),
])
def test_a_driver_matches_by_override_tree_acpi_or_name(probes: Probes, options: dict[str, object],
                                                        bound: str | None) -> None:
    probes.driver("hidma", of_match_table=OF, acpi_match_table=ACPI)
    assert driver_of(device(**options)) == bound  # type: ignore[arg-type]


def test_a_driver_with_an_id_table_does_not_match_by_its_own_name(probes: Probes) -> None:
    probes.driver("hidma", id_table=IDS, of_match_table=OF)
    assert driver_of(device("hidma")) is None
    old, new = device("hidma-old"), device("hidma-new")
    assert (driver_of(old), driver_of(new)) == ("hidma", "hidma")
    assert old.id_entry is not None and old.id_entry.driver_data == 1
    assert new.id_entry is not None and new.id_entry.driver_data == 2
    assert driver_of(device("other", compatible="qcom,hidma-1.0")) == "hidma"


def test_an_override_holds_other_drivers_off_until_it_is_lifted(probes: Probes, rig: Rig) -> None:
    pdev = device("hidma", override="vfio-platform")
    probes.driver("hidma")
    assert driver_of(pdev) is None
    probes.driver("vfio-platform")
    assert driver_of(pdev) == "vfio-platform"
    assert probes.seen == [("vfio-platform", "hidma")]


def test_a_driver_without_remove_is_unbound_quietly(probes: Probes) -> None:
    driver = probes.driver("hidma")
    pdev = device("hidma")
    platform_set_drvdata(pdev, "data")
    assert platform_get_drvdata(pdev) == "data"
    platform_driver_unregister(driver)
    assert driver_of(pdev) is None
    assert platform_get_drvdata(pdev) is None


def test_each_kernel_has_a_bus_of_its_own(probes: Probes, rig: Rig) -> None:
    driver = probes.driver("hidma")
    guest = rig.boot("guest")
    guest.enter()
    assert platform_driver_register(driver) == 0
    device("hidma")
    assert platform_bus(rig.kernel).devices == []
    assert [d.name for d in platform_bus(guest).devices] == ["hidma"]


def test_a_driver_registers_once(probes: Probes) -> None:
    driver = probes.driver("hidma")
    assert platform_driver_register(driver) == -EBUSY


# --- devices --------------------------------------------------------------------------------------------------------


def test_names_are_made_of_name_and_number(rig: Rig) -> None:
    parent = PlatformDevice("soc", PLATFORM_DEVID_NONE)
    platform_device_add(parent)
    names = []
    for id in (PLATFORM_DEVID_NONE, 0, 7, PLATFORM_DEVID_AUTO, PLATFORM_DEVID_AUTO):
        pdev = PlatformDevice("hidma", id, parent.dev)
        assert platform_device_add(pdev) == 0
        names.append(pdev.dev.kobj.path())
    assert names == [f"devices/platform/soc/hidma{n}" for n in ("", ".0", ".7", ".0.auto", ".1.auto")]


def test_registering_in_full_sets_all_but_the_of_node(rig: Rig) -> None:
    """V14 row 27 hangs on it."""
    node = DeviceNode("hidma")
    node.properties["compatible"] = b"qcom,hidma-1.0\0"
    parent = PlatformDevice("mgmt", PLATFORM_DEVID_NONE)
    platform_device_add(parent)
    info = PlatformDeviceInfo(parent=parent.dev, fwnode=node, name="hidma", id=3, dma_mask=(1 << 64) - 1, num_res=2,
                              res=[Resource(0x1000, 0x1FFF, IORESOURCE_MEM), Resource(5, 5, IORESOURCE_IRQ),
                                   Resource(9, 9, IORESOURCE_IRQ)])
    pdev = platform_device_register_full(info)
    assert isinstance(pdev, PlatformDevice)
    assert (pdev.dev.name, pdev.dev.parent, pdev.dev.fwnode, pdev.dev.of_node) == ("hidma.3", parent.dev, node, None)
    assert (pdev.dev.dma_mask, pdev.dev.coherent_dma_mask) == ((1 << 64) - 1, (1 << 64) - 1)
    assert [(r.start, r.end) for r in pdev.resource] == [(0x1000, 0x1FFF), (5, 5)]
    assert pdev.resource[0] is not info.res[0]
    assert platform_device_register_full(info) == -EEXIST
    platform_device_unregister(pdev)
    assert isinstance(platform_device_register_full(info), PlatformDevice)


def test_a_device_without_a_mask_cannot_do_dma(rig: Rig) -> None:
    pdev = platform_device_register_full(PlatformDeviceInfo(name="x"))
    assert isinstance(pdev, PlatformDevice)
    assert pdev.dev.dma_mask is None


def test_registering_can_be_made_to_fail(rig: Rig) -> None:
    rig.kernel.fault_inject.values["platform_device_register_full"] = 0
    assert platform_device_register_full(PlatformDeviceInfo(name="x")) is None
    rig.kernel.fault_inject.values["platform_device_register_full"] = -EINVAL
    assert platform_device_register_full(PlatformDeviceInfo(name="x")) == -EINVAL


def test_resources_are_found_by_type_and_number(rig: Rig) -> None:
    pdev = PlatformDevice("x", PLATFORM_DEVID_NONE)
    pdev.resource = [Resource(1, 2, IORESOURCE_MEM), Resource(33, 33, IORESOURCE_IRQ),
                     Resource(3, 4, IORESOURCE_MEM | 0x4000)]
    second = platform_get_resource(pdev, IORESOURCE_MEM, 1)
    assert second is pdev.resource[2]
    assert platform_get_resource(pdev, IORESOURCE_MEM, 2) is None
    assert platform_get_irq(pdev, 0) == 33
    assert platform_get_irq(pdev, 1) == -ENXIO
    rig.kernel.fault_inject.values["platform_get_irq"] = -EINVAL
    assert platform_get_irq(pdev, 0) == -EINVAL


def test_a_device_is_traced_with_its_resources(rig: Rig) -> None:
    events = rig.record()
    parent = Device("mgmt")
    platform_device_register_full(PlatformDeviceInfo(
        parent=parent, name="hidma", id=0, dma_mask=7, num_res=1, res=[Resource(1, 2, IORESOURCE_MEM, "n")]))
    assert ("platform_device", "hidma", 0, "mgmt", 7, [[1, 2, 512, "n"]]) in events
