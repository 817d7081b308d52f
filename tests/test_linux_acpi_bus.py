# SPDX-License-Identifier: GPL-2.0-only
"""The ACPI bus: names, platform devices and their parents, what is not present, coherency, matching, modaliases."""

from __future__ import annotations

from typing import Any

import pytest
from linux_rig import Rig

from hidma.linux.acpi import AcpiDevice, AcpiDeviceId, create_of_modalias, create_pnp_modalias
from hidma.linux.acpi_bus import acpi_bus_scan
from hidma.linux.base import mount_root
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, Resource
from hidma.linux.of import OfDeviceId
from hidma.linux.platform_device import (
    PlatformDriver,
    platform_bus,
    platform_device_unregister,
    platform_driver_register,
    platform_get_irq,
    platform_get_resource,
    to_platform_device,
)


def device(hid: str | None, *children: AcpiDevice, **fields: Any) -> AcpiDevice:
    """An ACPI device with children; what has a _HID becomes a platform device."""
    adev = AcpiDevice(fields.pop("path", "\\_SB_.TEST"), hid, platform_id=hid is not None, children=list(children),
                      **({"cca": 1} | fields))
    for child in children:
        child.parent = adev
    return adev


def scan(*children: AcpiDevice) -> AcpiDevice:
    """A namespace with these devices below \\_SB, scanned."""
    root = device("LNXSYSTM", device("LNXSYBUS", *children, cca=None), cca=None)
    root.platform_id = root.children[0].platform_id = False
    acpi_bus_scan(root)
    return root


def paths(rig: Rig) -> list[str]:
    return [dev.kobj.path() for dev in platform_bus(rig.kernel).devices]


def driver(name: str, *hids: str, compatible: str = "") -> list[str]:
    """A driver whose probe remembers the names of its devices."""
    seen: list[str] = []
    table = (OfDeviceId(compatible=compatible),) if compatible else ()

    def probe(pdev: Any) -> int:
        seen.append(pdev.name)
        return 0

    platform_driver_register(PlatformDriver(name, probe, acpi_match_table=tuple(AcpiDeviceId(hid) for hid in hids),
                                            of_match_table=table))
    return seen


def test_devices_are_named_by_their_id_and_counted(rig: Rig) -> None:
    scan(device("QCOM8060", device("QCOM8061"), device("QCOM8061")), device("QCOM8060", device("QCOM8061")), device(None))
    assert [d.name for d in rig.kernel.buses["acpi"].devices] == [
        "LNXSYSTM:00", "LNXSYBUS:00", "QCOM8060:00", "QCOM8061:00", "QCOM8061:01", "QCOM8060:01", "QCOM8061:02", "device:00"]
    assert paths(rig) == [
        "devices/platform/QCOM8060:00", "devices/platform/QCOM8060:00/QCOM8061:00",
        "devices/platform/QCOM8060:00/QCOM8061:01", "devices/platform/QCOM8060:01",
        "devices/platform/QCOM8060:01/QCOM8061:02"]


def test_a_device_that_is_not_present_is_counted_and_hides_what_is_below(rig: Rig) -> None:
    scan(device("QCOM8060", device("QCOM8061"), status=0, has_status=True), device("QCOM8061"), device("QCOM8060", status=8))
    assert paths(rig) == ["devices/platform/QCOM8061:01", "devices/platform/QCOM8060:01"]
    vfs = mount_root(rig.kernel)
    assert vfs.read("/sys/bus/acpi/devices/QCOM8060:00/status") == b"0\n"
    assert vfs.read("/sys/bus/acpi/devices/QCOM8060:00/modalias") == b""
    assert vfs.lookup("/sys/bus/acpi/devices/QCOM8060:01/status")[0] == -2


@pytest.mark.parametrize("hid", ["PNP0C80", "ACPI0007", "PNP0000", "ACPI0004"])
def test_what_the_core_handles_itself_becomes_no_platform_device(rig: Rig, hid: str) -> None:
    scan(device(hid, device("QCOM8061")))
    # and so the device below has no platform device as its parent
    assert paths(rig) == ["devices/platform/QCOM8061:00"]


def test_resources_and_companion_reach_the_platform_device(rig: Rig) -> None:
    adev = device("QCOM8061", resources=[Resource(0x1000, 0x1FFF, IORESOURCE_MEM), Resource(0x3000, 0x3FFF, IORESOURCE_MEM),
                                         Resource(77, 77, IORESOURCE_IRQ)])
    scan(adev)
    (dev,) = platform_bus(rig.kernel).devices
    pdev = to_platform_device(dev)
    second = platform_get_resource(pdev, IORESOURCE_MEM, 1)
    assert second is not None and (second.start, second.end) == (0x3000, 0x3FFF)
    assert platform_get_irq(pdev, 0) == 77
    assert dev.acpi_companion is adev and dev.fwnode is adev and dev.of_node is None and adev.physical_nodes == [dev]
    vfs = mount_root(rig.kernel)
    assert vfs.readlink("/sys/devices/platform/QCOM8061:00/firmware_node") == (
        "../../LNXSYSTM:00/LNXSYBUS:00/QCOM8061:00")
    assert vfs.read("/sys/devices/platform/QCOM8061:00/firmware_node/physical_node/modalias") == b"acpi:QCOM8061:\n"
    platform_device_unregister(pdev)
    assert adev.physical_nodes == []


@pytest.mark.parametrize(("above", "own", "mask"), [
    (None, None, None), (None, 1, 0xFFFFFFFF), (None, 0, 0xFFFFFFFF), (1, None, 0xFFFFFFFF), (1, 0, 0xFFFFFFFF)])
def test_without_cca_there_is_no_dma_mask(rig: Rig, above: int | None, own: int | None, mask: int | None) -> None:
    child = device("QCOM8061", cca=own)
    scan(device("QCOM8060", child, cca=above))
    assert child.physical_nodes[0].dma_mask == mask
    assert child.coherent_dma == bool(above if above is not None else own)


def test_drivers_match_by_hid_and_cid_and_only_what_is_present(rig: Rig) -> None:
    scan(device("QCOM8061"), device("ABCD0001", cids=["QCOM8061"]), device("QCOM8061", status=8), device("QCOM8060"))
    assert driver("hidma", "QCOM8061", compatible="qcom,hidma-1.0") == ["QCOM8061:00", "ABCD0001:00"]


def test_prp0001_matches_by_compatible(rig: Rig) -> None:
    scan(device("PRP0001", properties={"compatible": "qcom,hidma-1.0"}),
         device("PRP0001", properties={"compatible": ["other", "QCOM,hidma-1.0"]}),
         device("PRP0001", properties={"compatible": "other"}), device("PRP0001"),
         device("QCOM0001", properties={"compatible": "qcom,hidma-1.0"}))
    assert driver("hidma", "QCOM8061", compatible="qcom,hidma-1.0") == ["PRP0001:00", "PRP0001:01"]
    assert driver("tree", compatible="other") == ["PRP0001:02"]


def test_modaliases(rig: Rig) -> None:
    one = device("PRP0001", path="\\_SB_.SMMU", properties={"compatible": ["arm,mmu-500", "arm,smmu"]})
    both = device("QCOM8061", cids=["PRP0001", "QCOM0001"], path="\\_SB_.DMA0", properties={"compatible": "x,y"})
    assert (create_pnp_modalias(one), create_of_modalias(one)) == ("", "of:NsmmuTCarm,mmu-500Carm,smmu")
    assert (create_pnp_modalias(both), create_of_modalias(both)) == ("acpi:QCOM8061:QCOM0001:", "of:Ndma0TCx,y")
    scan(one, both)
    vfs = mount_root(rig.kernel)
    for where in ("/sys/bus/platform/devices", "/sys/bus/acpi/devices"):
        assert vfs.read(f"{where}/PRP0001:00/modalias") == b"of:NsmmuTCarm,mmu-500Carm,smmu\n"
        assert vfs.read(f"{where}/QCOM8061:00/modalias") == b"acpi:QCOM8061:QCOM0001:\nof:Ndma0TCx,y\n"
        assert vfs.read(f"{where}/QCOM8061:00/uevent") == b"MODALIAS=acpi:QCOM8061:QCOM0001:\nMODALIAS=of:Ndma0TCx,y\n"


def test_a_name_that_is_taken_is_complained_about(rig: Rig) -> None:
    from hidma.linux.platform_device import PlatformDevice, platform_device_add

    platform_device_add(PlatformDevice("QCOM8061:00", -1))
    adev = device("QCOM8061")
    scan(adev)
    assert adev.physical_nodes == [] and any("platform device creation failed: -17" in line for line in rig.log())


def test_the_tables_can_be_read_by_root_only(rig: Rig) -> None:
    rig.kernel.module("acpi").tables = [("DSDT", b"one"), ("SSDT", b"two"), ("SSDT", b"three")]
    vfs = mount_root(rig.kernel)
    assert vfs.listdir("/sys/firmware/acpi/tables") == ["DSDT", "SSDT1", "SSDT2"]
    assert vfs.read("/sys/firmware/acpi/tables/SSDT2") == b"three"
    code, _, file = vfs.lookup("/sys/firmware/acpi/tables/DSDT")
    assert code == 0 and file is not None and file.mode & 0o777 == 0o400 and file.size == 3
