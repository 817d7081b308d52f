# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/ioport.h>``: resources."""

from __future__ import annotations

from typing import Any

from hidma.linux import io, sched
from hidma.linux.errno import EBUSY, EINVAL, ENOMEM
from hidma.linux.printk import dev_err

IORESOURCE_IO = 0x100
IORESOURCE_MEM = 0x200
IORESOURCE_IRQ = 0x400
IORESOURCE_READONLY = 0x4000
IORESOURCE_TYPE_BITS = 0x1F00


class Resource:
    """``struct resource``: ``start`` to ``end`` inclusive, u64."""

    def __init__(self, start: int = 0, end: int = 0, flags: int = 0, name: str | None = None) -> None:
        self.start = start
        self.end = end
        self.flags = flags
        self.name = name

    def size(self) -> int:
        """Bytes."""
        return self.end - self.start + 1


def resource_size(res: Resource) -> int:
    """Bytes of ``res``."""
    return res.size()


def resource_type(res: Resource) -> int:
    """IORESOURCE_MEM, IORESOURCE_IO, IORESOURCE_IRQ, ..."""
    return res.flags & IORESOURCE_TYPE_BITS


def request_mem_region(start: int, size: int, name: str) -> bool:
    """Claim a range of the physical address space; False when part of it is claimed already."""
    busy = sched.running_cpu().kernel.mem_regions
    if any(start <= end and first <= start + size - 1 for first, end, _ in busy):
        return False
    busy.append((start, start + size - 1, name))
    return True


def release_mem_region(start: int, size: int) -> None:
    """Give a claimed range back."""
    busy = sched.running_cpu().kernel.mem_regions
    busy[:] = [r for r in busy if not (r[0] == start and r[1] == start + size - 1)]


def devm_ioremap_resource(dev: Any, res: Resource | None) -> int:
    """Claim and map a memory resource: its address, or a negative errno in place of an error pointer (IS_ERR())."""
    kernel = sched.running_cpu().kernel
    if res is None or res.flags & IORESOURCE_MEM == 0:
        dev_err(dev, "invalid resource\n")
        return -EINVAL
    size = res.size()
    name = res.name or dev.name
    block = kernel.bus.find(res.start)
    rc: int = kernel.fault_inject.value(f"ioremap_{block.name if block else ''}")
    if rc:
        return rc
    if not request_mem_region(res.start, size, name):
        dev_err(dev, f"can't request region for resource [mem 0x{res.start:08x}-0x{res.end:08x}]\n")
        return -EBUSY
    dev.devres.add("region", lambda: release_mem_region(res.start, size))
    address = io.ioremap(res.start, size)
    if not address:
        dev_err(dev, f"ioremap failed for resource [mem 0x{res.start:08x}-0x{res.end:08x}]\n")
        return -ENOMEM
    dev.devres.add("ioremap", lambda: io.iounmap(address))
    return address


def IS_ERR(pointer: int) -> bool:
    """Whether ``pointer`` is an error pointer: here, a negative errno."""
    return pointer < 0
