# SPDX-License-Identifier: GPL-2.0-only
"""The device tree: matching, references, cells, properties."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from linux_rig import Rig

from hidma.linux.acpi import AcpiDevice
from hidma.linux.device import Device
from hidma.linux.errno import EINVAL, ENXIO, EOVERFLOW, EPROTO
from hidma.linux.of import (
    DeviceNode,
    OfDeviceId,
    for_each_available_child_of_node,
    irq_create_of_mapping,
    of_device_is_available,
    of_dma_configure,
    of_find_device_by_node,
    of_find_matching_node,
    of_get_property,
    of_irq_parse_one,
    of_match_node,
    of_n_addr_cells,
    of_n_size_cells,
    of_node_get,
    of_node_put,
    of_property_read_string,
    of_property_read_u32,
    of_read_number,
)
from hidma.linux.property import device_property_read_string, device_property_read_u32
from hidma.linux.sched import KernelOops


def node(name: str, parent: DeviceNode | None = None, unit: str = "", **properties: Any) -> DeviceNode:
    np = DeviceNode(name, parent, unit)
    for key, value in properties.items():
        np.properties[key.replace("_", "-").replace("--", "#")] = (
            struct.pack(">I", value) if isinstance(value, int) else value if isinstance(value, bytes)
            else value.encode() + b"\0")
    return np


# --- matching -------------------------------------------------------------------------------------------------------


def test_the_most_specific_string_decides() -> None:
    table = [OfDeviceId("generic,dma", data=1), OfDeviceId("vendor,dma-2", data=2), OfDeviceId("vendor,dma", data=3)]
    np = node("dma", compatible="vendor,dma-2\0vendor,dma\0generic,dma")
    match = of_match_node(table, np)
    assert match is not None and match.data == 2
    match = of_match_node(table[:1] + table[2:], np)
    assert match is not None and match.data == 3
    assert of_match_node(table, node("dma", compatible="vendor,dma-3")) is None
    assert of_match_node(table, node("dma")) is None
    assert of_match_node(table, None) is None


def test_compatible_strings_are_compared_without_regard_to_case_and_whole() -> None:
    table = [OfDeviceId("QCOM,hidma-1.0")]
    assert of_match_node(table, node("x", compatible="qcom,HIDMA-1.0")) is not None
    assert of_match_node(table, node("x", compatible="qcom,hidma-1.00")) is None
    assert of_match_node(table, node("x", compatible="qcom,hidma-1")) is None


def test_a_name_in_the_table_must_fit_too_and_decides_among_equals() -> None:
    table = [OfDeviceId("a", data="plain"), OfDeviceId("a", name="dma", data="named"),
             OfDeviceId("", name="uart", data="name")]
    for name, wanted in (("dma", "named"), ("other", "plain"), ("uart", "plain")):
        match = of_match_node(table, node(name, compatible="a"))
        assert match is not None and match.data == wanted
    match = of_match_node(table, node("uart", compatible="zzz"))
    assert match is not None and match.data == "name"
    assert of_match_node([OfDeviceId("a", name="dma")], node("uart", compatible="a")) is None


def test_nodes_are_found_in_the_order_of_the_tree_disabled_ones_too(rig: Rig) -> None:
    root = node("")
    soc = node("soc", root)
    found = [node("m", soc, "1", compatible="m"), node("m", root, "2", compatible="m", status="disabled"),
             node("m", root, "3", compatible="m")]
    rig.kernel.of_root = root
    table = [OfDeviceId("m")]
    seen = []
    np = of_find_matching_node(None, table)
    while np is not None:
        seen.append(np)
        assert np.refs == 2
        np = of_find_matching_node(np, table)
    assert seen == found
    assert [n.refs for n in found] == [1, 1, 1]
    rig.kernel.of_root = None
    assert of_find_matching_node(None, table) is None


# --- references -----------------------------------------------------------------------------------------------------


def test_a_reference_too_few_is_complained_about_once(rig: Rig) -> None:
    np = node("m", node(""), "1")
    assert of_node_get(np) is np
    of_node_put(np)
    assert rig.log() == []
    of_node_put(np)
    assert rig.log() == ["WARNING: OF: reference count of /m@1 fell to 0 (V14 row 28)"]
    assert of_node_get(None) is None
    of_node_put(None)


def test_a_loop_over_children_holds_the_present_one(rig: Rig) -> None:
    parent = node("p")
    children = [node("a", parent), node("b", parent, status="disabled"), node("c", parent, status="ok")]
    seen = []
    for child in for_each_available_child_of_node(parent):
        seen.append((child.name, child.refs))
    assert seen == [("a", 2), ("c", 2)]
    assert [c.refs for c in children] == [1, 1, 1]
    for _child in for_each_available_child_of_node(parent):
        break
    assert children[0].refs == 2  # who leaves early keeps it


@pytest.mark.parametrize(("status", "available"), [
    (None, True), (b"okay\0", True), (b"ok\0", True), (b"okay", True), (b"okay\0extra\0", True),
    (b"disabled\0", False), (b"", False), (b"\0", False), (b"Okay\0", False), (b"okay!\0", False)])
def test_availability(status: bytes | None, available: bool) -> None:
    np = node("x")
    if status is not None:
        np.properties["status"] = status
    assert of_device_is_available(np) is available


# --- properties and cells -------------------------------------------------------------------------------------------


def test_cells_of_a_property() -> None:
    np = node("x", reg=struct.pack(">4I", 0, 0xF9984000, 0, 0x15000), odd=b"\0\0\0\1\2")
    assert of_get_property(np, "reg") == ([0, 0xF9984000, 0, 0x15000], 16)
    assert of_get_property(np, "odd") == ([1], 5)
    assert of_get_property(np, "none") == (None, 0)


def test_numbers_of_several_cells() -> None:
    cells = [1, 2, 0xFFFFFFFF]
    assert of_read_number(cells, 0, 1) == 1
    assert of_read_number(cells, 0, 2) == 0x1_0000_0002
    assert of_read_number(cells, 1, 2) == 0x2_FFFF_FFFF
    assert of_read_number(cells, 0, 0) == 0
    assert of_read_number(cells, 0, 3) == 0x2_FFFF_FFFF  # the upper cell is shifted out
    assert of_read_number(cells, 2, 2) == 0xFFFFFFFF << 32


def test_cells_come_from_the_nearest_ancestor_that_says_so() -> None:
    root = node("", **{"--address-cells": 2, "--size-cells": 2})
    soc = node("soc", root, **{"--address-cells": 1})
    child = node("c", node("mid", soc), **{"--address-cells": 7, "--size-cells": 7})
    assert (of_n_addr_cells(child), of_n_size_cells(child)) == (1, 2)
    assert (of_n_addr_cells(soc), of_n_size_cells(soc)) == (2, 2)
    assert (of_n_addr_cells(node("x", node(""))), of_n_size_cells(node("x", node("")))) == (1, 1)


@pytest.mark.parametrize(("raw", "wanted"), [
    (struct.pack(">I", 5), (0, 5)), (struct.pack(">2I", 6, 7), (0, 6)), (b"\0\0\1", (-EOVERFLOW, 0)),
    (b"", (-EOVERFLOW, 0)), (None, (-EINVAL, 0)),
    (b"host\0", (0, 0x686F7374)), (b"no\0", (-EOVERFLOW, 0))])  # a string: its first four bytes
def test_a_u32(raw: bytes | None, wanted: tuple[int, int]) -> None:
    np = node("x")
    if raw is not None:
        np.properties["count"] = raw
    assert of_property_read_u32(np, "count") == wanted


def test_a_string() -> None:
    np = node("x", label=b"one\0two\0")
    assert of_property_read_string(np, "label") == (0, "one")
    assert of_property_read_string(np, "none") == (-EINVAL, "")


def test_interrupts_of_a_node() -> None:
    np = node("x")
    np.irqs = [40, 41]
    assert of_irq_parse_one(np, 1) == (0, 41)
    assert of_irq_parse_one(np, 2) == (-EINVAL, 0)
    assert irq_create_of_mapping(41) == 41
    np.irq_rc = -ENXIO
    assert of_irq_parse_one(np, 0) == (-ENXIO, 0)


def test_paths() -> None:
    root = node("")
    assert node("hidma", node("mgmt", root, "f9984000"), "0").full_name == "/mgmt@f9984000/hidma@0"
    assert root.full_name == "/"


# --- devices --------------------------------------------------------------------------------------------------------


def test_dma_is_configured_to_32_bits_where_nothing_is_set(rig: Rig) -> None:
    dev = Device("x")
    of_dma_configure(dev, None)
    assert (dev.dma_mask, dev.coherent_dma_mask) == (0xFFFFFFFF, 0xFFFFFFFF)
    wide = Device("y")
    wide.coherent_dma_mask = (1 << 40) - 1
    of_dma_configure(wide, None)
    assert (wide.dma_mask, wide.coherent_dma_mask) == ((1 << 40) - 1, (1 << 40) - 1)


@pytest.mark.parametrize("pointer", [None, -EINVAL])
def test_an_error_pointer_is_followed(rig: Rig, pointer: Any) -> None:
    with pytest.raises(KernelOops, match="error pointer"):
        of_dma_configure(pointer, None)


def test_a_device_is_found_by_its_node(rig: Rig) -> None:
    np = node("x")
    assert of_find_device_by_node(np) is None
    np.device = "device"
    assert of_find_device_by_node(np) == "device"
    rig.kernel.fault_inject.values["no_parent_device"] = 1
    assert of_find_device_by_node(np) is None


# --- properties of a device, wherever they are ----------------------------------------------------------------------


def test_properties_come_from_the_of_node_the_fwnode_or_acpi(rig: Rig) -> None:
    dev = Device("x")
    assert device_property_read_u32(dev, "n") == (-ENXIO, 0)
    dev.acpi_companion = AcpiDevice("\\_SB.X", "QCOM8061", properties={"n": 1, "s": "acpi"})
    assert device_property_read_u32(dev, "n") == (0, 1)
    assert device_property_read_string(dev, "s") == (0, "acpi")
    dev.fwnode = node("f", n=2)
    assert device_property_read_u32(dev, "n") == (0, 2)
    dev.of_node = node("o", n=3, s="tree")
    assert device_property_read_u32(dev, "n") == (0, 3)
    assert device_property_read_string(dev, "s") == (0, "tree")
    assert device_property_read_u32(dev, "none") == (-EINVAL, 0)


@pytest.mark.parametrize(("value", "rc"), [
    (5, 0), ("5", -EPROTO), (1 << 32, -EPROTO), (0xFFFFFFFF, 0), (None, -EINVAL),
    ([7, "x"], 0), ([1 << 32], -EOVERFLOW), (["x"], -EPROTO), ([], -EOVERFLOW)])
def test_properties_of_acpi_must_be_numbers_that_fit(rig: Rig, value: Any, rc: int) -> None:
    dev = Device("x")
    dev.acpi_companion = AcpiDevice("\\_SB.X", "QCOM8061", properties={} if value is None else {"n": value})
    assert device_property_read_u32(dev, "n")[0] == rc
