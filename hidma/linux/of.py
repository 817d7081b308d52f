# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/of.h>``, ``<linux/of_irq.h>``, ``<linux/of_device.h>`` and ``<linux/of_dma.h>``: the device tree.

References are counted as the C counts them, mistakes of its callers included.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EINVAL, EOVERFLOW
from hidma.linux.sched import KernelOops

OF_ROOT_NODE_ADDR_CELLS_DEFAULT = 1
OF_ROOT_NODE_SIZE_CELLS_DEFAULT = 1


class DeviceNode:
    """``struct device_node``. ``name`` is the name property, or without it the node's name without the unit address;
    ``full_name`` is the whole path."""

    def __init__(self, name: str, parent: DeviceNode | None = None, unit: str = "") -> None:
        self.name = name
        self.node_name = f"{name}@{unit}" if unit else name
        self.parent = parent
        self.properties: dict[str, bytes] = {}
        self.children: list[DeviceNode] = []
        self.refs = 1
        # what of_address_to_resource() and of_irq_parse_one() give: addresses are translated, interrupts resolved
        self.regs: list[tuple[int, int]] = []
        self.irqs: list[int] = []
        self.irq_rc = 0
        self.device: Any = None
        # (address, size) cells, where they are known otherwise than from the parent's properties
        self.cells: tuple[int, int] | None = None
        if parent is not None:
            parent.children.append(self)

    @property
    def full_name(self) -> str:
        """Path in the tree."""
        if self.parent is None:
            return "/"
        above = self.parent.full_name
        return f"/{self.node_name}" if above == "/" else f"{above}/{self.node_name}"

    def walk(self) -> Iterator[DeviceNode]:
        """This node and all below, in the order of the tree."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class OfDeviceId:
    """``struct of_device_id``."""

    compatible: str
    name: str = ""
    data: Any = None


def of_node_get(np: DeviceNode | None) -> DeviceNode | None:
    """Take a reference."""
    if np is not None:
        np.refs += 1
    return np


def of_node_put(np: DeviceNode | None) -> None:
    """Drop a reference; below the tree's own it is complained about once for each node."""
    if np is not None:
        np.refs -= 1
        if np.refs < 1:
            text = f"OF: reference count of {np.full_name} fell to {np.refs} (V14 row 28)"
            sched.running_cpu().kernel.warn(text, once=True)


def of_compatible(np: DeviceNode) -> list[str]:
    """The strings of ``compatible``."""
    raw = np.properties.get("compatible", b"")
    return [s.decode("latin-1") for s in raw.rstrip(b"\0").split(b"\0")] if raw else []


def of_match_node(matches: list[OfDeviceId], np: DeviceNode | None) -> OfDeviceId | None:
    """The entry of ``matches`` that fits ``np`` best: the most specific compatible string, then the name.

    Strings of ``compatible`` are compared without regard to case, names with it; an empty one of the entry fits all.
    """
    if np is None:
        return None
    strings = [s.lower() for s in of_compatible(np)]
    best = None
    best_score = 0
    for match in matches:
        score = 0
        if match.compatible:
            if match.compatible.lower() not in strings:
                continue
            score = 0x3FFFFFFF - 4 * strings.index(match.compatible.lower())
        if match.name:
            if match.name != np.name:
                continue
            score += 1
        if score > best_score:
            best = match
            best_score = score
    return best


def of_find_matching_node(start: DeviceNode | None, matches: list[OfDeviceId]) -> DeviceNode | None:
    """The next node after ``start`` that matches; takes a reference on it and drops the one on ``start``."""
    root = sched.running_cpu().kernel.of_root
    found = None
    if root is not None:
        seen = start is None
        for np in root.walk():
            if seen and of_match_node(matches, np) is not None:
                found = np
                break
            if np is start:
                seen = True
    of_node_get(found)
    of_node_put(start)
    return found


def of_device_is_available(np: DeviceNode) -> bool:
    """Whether ``status`` is missing, ``okay`` or ``ok``."""
    return np.properties.get("status", b"okay\0").split(b"\0")[0] in (b"okay", b"ok")


def for_each_available_child_of_node(parent: DeviceNode) -> Iterator[DeviceNode]:
    """The children that are available. A loop that is left early keeps its reference on the child."""
    for child in [c for c in parent.children if of_device_is_available(c)]:
        of_node_get(child)
        yield child
        of_node_put(child)


def of_get_property(np: DeviceNode, name: str) -> tuple[list[int] | None, int]:
    """The cells of property ``name`` and its length in bytes; (None, 0) when it is missing."""
    raw = np.properties.get(name)
    if raw is None:
        return None, 0
    return list(struct.unpack(f">{len(raw) // 4}I", raw[: len(raw) // 4 * 4])), len(raw)


def of_read_number(cell: list[int], at: int, size: int) -> int:
    """``size`` cells from index ``at`` on as one number (u64); beyond the property C finds what follows: here, 0."""
    value = 0
    for index in range(at + max(size - 2, 0), at + size):  # the cells before the last two are shifted out
        value = (value << 32 | (cell[index] if index < len(cell) else 0)) & 0xFFFFFFFFFFFFFFFF
    return value


def _cells(np: DeviceNode, name: str, default: int) -> int:
    node: DeviceNode = np
    while True:
        if node.parent is not None:
            node = node.parent
        value, size = of_get_property(node, name)
        if value and size >= 4:
            return value[0]
        if node.parent is None:
            return default


def of_n_addr_cells(np: DeviceNode) -> int:
    """Cells of an address of ``np``: what the nearest ancestor says."""
    if np.cells is not None:
        return np.cells[0]
    return _cells(np, "#address-cells", OF_ROOT_NODE_ADDR_CELLS_DEFAULT)


def of_n_size_cells(np: DeviceNode) -> int:
    """Cells of a size of ``np``: what the nearest ancestor says."""
    if np.cells is not None:
        return np.cells[1]
    return _cells(np, "#size-cells", OF_ROOT_NODE_SIZE_CELLS_DEFAULT)


def of_property_read_u32(np: DeviceNode, name: str) -> tuple[int, int]:
    """(0, value), (-EINVAL, 0) when it is missing, (-EOVERFLOW, 0) when it is too short."""
    raw = np.properties.get(name)
    if raw is None:
        return -EINVAL, 0
    if len(raw) < 4:
        return -EOVERFLOW, 0
    return 0, struct.unpack(">I", raw[:4])[0]


def of_property_read_string(np: DeviceNode, name: str) -> tuple[int, str]:
    """(0, first string), (-EINVAL, '') when it is missing."""
    raw = np.properties.get(name)
    if raw is None:
        return -EINVAL, ""
    return 0, raw.split(b"\0")[0].decode("latin-1")


def of_irq_parse_one(np: DeviceNode, index: int) -> tuple[int, int]:
    """(0, hardware interrupt number) of interrupt ``index``, (-EINVAL, 0) when there is none."""
    if np.irq_rc:
        return np.irq_rc, 0
    if index >= len(np.irqs):
        return -EINVAL, 0
    return 0, np.irqs[index]


def irq_create_of_mapping(hwirq: int) -> int:
    """The interrupt of this kernel behind a hardware interrupt number: the same number here."""
    return hwirq


def of_find_device_by_node(np: DeviceNode) -> Any:
    """The platform device made of ``np``, None without one."""
    if sched.running_cpu().kernel.fault_inject.value("no_parent_device"):
        return None
    return np.device


def of_dma_configure(dev: Any, np: DeviceNode | None) -> None:
    """Set up DMA of ``dev`` from the device tree; an error pointer in its place is followed, as in C."""
    kernel = sched.running_cpu().kernel
    if dev is None or isinstance(dev, int):
        raise KernelOops("Unable to handle kernel paging request: an error pointer is used as a device")
    if kernel.trace.on:
        kernel.trace.emit(("of_dma_configure",))
    if not dev.coherent_dma_mask:
        dev.coherent_dma_mask = 0xFFFFFFFF
    if dev.dma_mask is None:
        dev.dma_mask = dev.coherent_dma_mask
