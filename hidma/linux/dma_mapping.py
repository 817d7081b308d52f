# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/dma-mapping.h>``: the seam to memory that devices reach: masks, coherent memory, streaming mappings.

Where the memory comes from, and what bus address it has, is up to the :class:`DmaOps` of the kernel.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

from hidma.hw.memory import Memory
from hidma.linux import sched
from hidma.linux.errno import EIO
from hidma.linux.mm import PAGE_OFFSET, PAGE_SIZE

DMA_TO_DEVICE = 1
DMA_BIDIRECTIONAL = 0
DMA_ERROR_CODE = 0xFFFFFFFFFFFFFFFF


def DMA_BIT_MASK(n: int) -> int:
    """``n`` low bits set."""
    return (1 << n) - 1


class PageAllocator:
    """Pages of a RAM region, first fit from the bottom.

    :param memory: the region
    :param reserved: bytes at its bottom that are never given out
    """

    def __init__(self, memory: Memory, reserved: int = PAGE_SIZE) -> None:
        self.memory = memory
        self.free: list[tuple[int, int]] = [(memory.base + reserved, memory.size - reserved)]
        self.used: dict[int, int] = {}

    def alloc(self, size: int, limit: int = (1 << 64) - 1, align: int = PAGE_SIZE) -> int | None:
        """Physical address of ``size`` bytes in whole pages, all at or below ``limit``; None when there is no room."""
        size = max(PAGE_SIZE, (size + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE)
        for index, (start, room) in enumerate(self.free):
            address = (start + align - 1) // align * align
            skip = address - start
            if skip + size <= room and address + size - 1 <= limit:
                del self.free[index]
                if skip:
                    insort(self.free, (start, skip))
                if room - skip - size:
                    insort(self.free, (address + size, room - skip - size))
                self.used[address] = size
                return address
        return None

    def release(self, address: int) -> None:
        """Give back what :meth:`alloc` returned.

        :raises ValueError: when nothing is in use at ``address``
        """
        if address not in self.used:
            raise ValueError(f"no memory is in use at address 0x{address:x}: it was freed already, or never given out")
        size = self.used.pop(address)
        insort(self.free, (address, size))
        merged: list[tuple[int, int]] = []
        for start, room in self.free:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((start, room))
        self.free = merged


class DmaOps:
    """``struct dma_map_ops``: memory for devices, from the RAM of the kernel.

    A device in a translated stream reaches memory through its domain: the bus address is then an IOVA.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pages = PageAllocator(memory)

    def supported(self, dev: Any, mask: int) -> bool:
        """Whether addresses under ``mask`` are of use: the RAM must begin below it."""
        return mask >= self.memory.base

    def alloc(self, dev: Any, size: int) -> tuple[int, int]:
        """Coherent memory: (kernel virtual address, bus address), (0, 0) when there is none."""
        limit = dev.coherent_dma_mask or DMA_BIT_MASK(32)
        phys = self.pages.alloc(size, limit)
        if phys is None:
            return 0, 0
        return PAGE_OFFSET + phys - self.memory.base, phys

    def free(self, dev: Any, size: int, vaddr: int, handle: int) -> None:
        """Give coherent memory back; what was never given out is complained about."""
        try:
            self.pages.release(vaddr - PAGE_OFFSET + self.memory.base)
        except ValueError as error:
            sched.running_cpu().kernel.warn(f"dma_free_coherent: {error}")

    def map(self, dev: Any, vaddr: int, size: int, direction: int) -> int:
        """Bus address of ``size`` bytes at ``vaddr``; DMA_ERROR_CODE when the device cannot reach them."""
        phys = vaddr - PAGE_OFFSET + self.memory.base
        if not self.memory.holds(phys, size) or (dev.dma_mask is not None and phys + size - 1 > dev.dma_mask):
            return DMA_ERROR_CODE
        return phys

    def unmap(self, dev: Any, handle: int, size: int, direction: int) -> None:
        """Undo :meth:`map`."""


def dma_set_mask_and_coherent(dev: Any, mask: int) -> int:
    """Tell which addresses ``dev`` can reach: 0, or -EIO when that is no use here."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value(f"dma_set_mask_{mask.bit_length()}")
    if not rc and (dev.dma_mask is None or not kernel.dma_ops.supported(dev, mask)):
        rc = -EIO
    if kernel.trace.on:
        kernel.trace.emit(("dma_mask", mask.bit_length(), rc))
    if not rc:
        dev.dma_mask = mask
        dev.coherent_dma_mask = mask
    return rc


def dma_alloc_coherent(dev: Any, size: int, gfp: int = 0) -> tuple[int, int]:
    """Memory that CPU and ``dev`` see alike: (kernel virtual address, bus address); (0, 0) when there is none.

    It is not cleared.
    """
    kernel = sched.running_cpu().kernel
    vaddr, handle = kernel.dma_ops.alloc(dev, size)
    if kernel.trace.on:
        kernel.trace.emit(("coherent", size, handle if vaddr else None))
    return vaddr, handle


def dma_free_coherent(dev: Any, size: int, vaddr: int, handle: int) -> None:
    """Give back what :func:`dma_alloc_coherent` returned."""
    sched.running_cpu().kernel.dma_ops.free(dev, size, vaddr, handle)


def dmam_alloc_coherent(dev: Any, size: int, gfp: int) -> tuple[int, int]:
    """:func:`dma_alloc_coherent` that is undone when ``dev`` loses its driver."""
    vaddr, handle = dma_alloc_coherent(dev, size, gfp)
    if vaddr:
        dev.devres.add("coherent", lambda: dma_free_coherent(dev, size, vaddr, handle))
    return vaddr, handle


def dma_map_single(dev: Any, vaddr: int, size: int, direction: int) -> int:
    """Bus address of ``size`` bytes at ``vaddr``; see :func:`dma_mapping_error`."""
    handle: int = sched.running_cpu().kernel.dma_ops.map(dev, vaddr, size, direction)
    return handle


def dma_unmap_single(dev: Any, handle: int, size: int, direction: int) -> None:
    """Undo :func:`dma_map_single`."""
    sched.running_cpu().kernel.dma_ops.unmap(dev, handle, size, direction)


def dma_mapping_error(dev: Any, handle: int) -> bool:
    """Whether a mapping failed."""
    return handle == DMA_ERROR_CODE
