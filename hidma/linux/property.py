# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/property.h>``: properties of a device, wherever its firmware keeps them."""

from __future__ import annotations

from typing import Any

from hidma.linux.errno import EINVAL, ENXIO, EOVERFLOW, EPROTO
from hidma.linux.of import DeviceNode, of_property_read_string, of_property_read_u32


def dev_fwnode(dev: Any) -> Any:
    """The firmware node of ``dev``: its of_node, else its fwnode, else its ACPI companion."""
    if dev.of_node is not None:
        return dev.of_node
    return dev.fwnode if dev.fwnode is not None else dev.acpi_companion


def device_property_read_u32(dev: Any, propname: str) -> tuple[int, int]:
    """(0, value) of a u32 property; (-EINVAL, 0) when it is missing, another negative errno when it is no u32."""
    node = dev_fwnode(dev)
    if isinstance(node, DeviceNode):
        return of_property_read_u32(node, propname)
    if node is None:
        return -ENXIO, 0
    value = node.properties.get(propname)
    if value is None:
        return -EINVAL, 0
    if isinstance(value, list):
        # acpi_data_prop_read() takes an array where the single value failed, and of it the first element
        if not value:
            return -EOVERFLOW, 0
        if isinstance(value[0], int):
            return (0, value[0]) if value[0] <= 0xFFFFFFFF else (-EOVERFLOW, 0)
        return -EPROTO, 0
    # what is too large is tried as an array then, and fails as one: 4.5 says -EPROTO for it
    if not isinstance(value, int) or value > 0xFFFFFFFF:
        return -EPROTO, 0
    return 0, value


def device_property_read_string(dev: Any, propname: str) -> tuple[int, str]:
    """(0, text) of a string property; (-EINVAL, '') when it is missing."""
    node = dev_fwnode(dev)
    if isinstance(node, DeviceNode):
        return of_property_read_string(node, propname)
    value = None if node is None else node.properties.get(propname)
    return (0, value) if isinstance(value, str) else (-EINVAL, "")
