# SPDX-License-Identifier: GPL-2.0-only
"""Platform devices for the nodes of the device tree: which nodes get one, its name, its resources and its parent."""

from __future__ import annotations

import pytest

from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM
from hidma.linux.of import DeviceNode
from hidma.linux.of_platform import of_device_make_bus_id, of_platform_device_create, of_platform_populate
from hidma.linux.platform_device import platform_bus
from tests.linux_rig import Rig


@pytest.fixture
def root() -> DeviceNode:
    return DeviceNode("")


def node(parent: DeviceNode, name: str, unit: str = "", base: int | None = None,
         compatible: bytes | None = b"acme,x") -> DeviceNode:
    """A node with registers at ``base``, if it is given."""
    np = DeviceNode(name, parent, unit)
    if base is not None:
        np.regs = [(base, 0x1000)]
    if compatible is not None:
        np.properties["compatible"] = compatible + b"\0"
    return np


def names(rig: Rig, root: DeviceNode) -> dict[str, str | None]:
    """The platform devices made for ``root``, each with the name of its parent."""
    of_platform_populate(root)
    return {dev.name: dev.parent.name if dev.parent is not None else None for dev in platform_bus(rig.kernel).devices}


def test_a_device_has_its_node_its_resources_and_32_bits(rig: Rig, root: DeviceNode) -> None:
    np = node(root, "hidma-mgmt", "f9984000", 0xF9984000)
    np.irqs = [40]
    pdev = of_platform_device_create(np, None)
    assert np.device is pdev
    assert (pdev.dev.of_node, pdev.dev.fwnode) == (np, np)
    assert (pdev.dev.dma_mask, pdev.dev.coherent_dma_mask) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert [(r.start, r.end, r.flags, r.name) for r in pdev.resource] == [
        (0xF9984000, 0xF9984FFF, IORESOURCE_MEM, "/hidma-mgmt@f9984000"),
        (40, 40, IORESOURCE_IRQ, "/hidma-mgmt@f9984000")]
    assert pdev.dev.kobj.path() == "devices/platform/f9984000.hidma-mgmt"


def test_only_an_available_node_with_a_compatible_string_gets_a_device(rig: Rig, root: DeviceNode) -> None:
    node(root, "chosen", compatible=None)
    node(root, "off", "1000", 0x1000).properties["status"] = b"disabled\0"
    node(root, "on", "2000", 0x2000).properties["status"] = b"okay\0"
    assert names(rig, root) == {"2000.on": None}


def test_an_interrupt_controller_gets_none(rig: Rig, root: DeviceNode) -> None:
    node(root, "gic", "1000", 0x1000).properties["interrupt-controller"] = b""
    assert names(rig, root) == {}


def test_children_get_one_below_a_simple_bus_only(rig: Rig, root: DeviceNode) -> None:
    soc = node(root, "soc", compatible=b"acme,soc\0simple-bus")
    node(node(soc, "mgmt", "1000", 0x1000), "channel", "2000", 0x2000)
    assert names(rig, root) == {"soc": None, "1000.mgmt": "soc"}


def test_a_node_without_registers_is_named_by_its_path(root: DeviceNode) -> None:
    soc = node(root, "soc", compatible=b"simple-bus")
    bus = node(soc, "bus", "a000", 0xA000)
    assert of_device_make_bus_id(node(soc, "timer")) == "soc:timer"
    assert of_device_make_bus_id(node(bus, "timer", "3")) == "a000.bus:timer@3"
    assert of_device_make_bus_id(node(root, "timer")) == "timer"


def test_the_name_property_names_the_device_and_not_the_path(root: DeviceNode) -> None:
    np = node(root, "dma", "1000", 0x1000)
    np.name = "hidma"
    assert of_device_make_bus_id(np) == "1000.hidma"
    assert np.full_name == "/dma@1000"
