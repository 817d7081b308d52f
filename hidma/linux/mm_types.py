# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/mm_types.h>``: the address space of a process, as far as a driver meets it: areas of memory that belong to
the process, and areas that a driver mapped.

Memory that a device is to reach consists of pages of RAM (``phys``); other memory of a process (an argument of a system
call) is a buffer of ours. A process's own pages are never moved or swapped here, so pinning only counts.
"""

from __future__ import annotations

from typing import Any

from hidma.linux import sched
from hidma.linux.mm import PAGE_SHIFT, PAGE_SIZE

PAGE_MASK = 0xFFFFFFFFFFFFF000
VM_READ = 0x1
VM_WRITE = 0x2
VM_SHARED = 0x8
VM_PFNMAP = 0x400
MMAP_BASE = 0x0000_7F00_0000_0000
RLIM_INFINITY = (1 << 64) - 1


class VmAreaStruct:
    """``struct vm_area_struct``: ``vm_start`` to ``vm_end`` (exclusive) of an address space.

    ``vm_pgoff`` is where the area begins in its file, in pages; once registers are mapped, their page frame. ``buffer`` or
    ``phys`` (address of pages of RAM) is what stands behind an area that belongs to the process.
    """

    def __init__(self, vm_start: int = 0, vm_end: int = 0, vm_pgoff: int = 0, vm_flags: int = 0) -> None:
        self.vm_start = vm_start
        self.vm_end = vm_end
        self.vm_pgoff = vm_pgoff
        self.vm_flags = vm_flags
        self.vm_page_prot = 0
        self.vm_private_data: Any = None
        self.buffer: Any = None
        self.phys: int | None = None


class MmStruct:
    """``struct mm_struct``: the areas of one process, in order of address.

    ``locked_vm`` counts the pages that are pinned, ``rlimit_memlock`` is how many bytes may be, unless ``ipc_lock``
    (CAP_IPC_LOCK) says that there is no limit.
    """

    def __init__(self, rlimit_memlock: int = RLIM_INFINITY, ipc_lock: bool = False) -> None:
        self.mmap: list[VmAreaStruct] = []
        self.next = MMAP_BASE
        self.locked_vm = 0
        self.rlimit_memlock = rlimit_memlock
        self.ipc_lock = ipc_lock

    def find_vma(self, address: int) -> VmAreaStruct | None:
        """The area that ``address`` is in."""
        for vma in self.mmap:
            if vma.vm_start <= address < vma.vm_end:
                return vma
        return None

    def place(self, vma: VmAreaStruct, size: int) -> int:
        """Give ``vma`` the next free ``size`` bytes, in whole pages; returns where it begins."""
        vma.vm_start = self.next
        vma.vm_end = vma.vm_start + (size + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE
        self.next = vma.vm_end + PAGE_SIZE  # an unmapped page between two areas
        self.mmap.append(vma)
        return vma.vm_start

    def map_buffer(self, buffer: bytearray | memoryview) -> int:
        """Memory that only the process uses: where it is."""
        vma = VmAreaStruct(vm_flags=VM_READ | VM_WRITE)
        vma.buffer = buffer
        return self.place(vma, len(buffer))

    def map_pages(self, phys: int, size: int) -> int:
        """Memory of the process that is ``size`` bytes of RAM at ``phys``: where it is."""
        vma = VmAreaStruct(vm_flags=VM_READ | VM_WRITE)
        vma.phys = phys
        return self.place(vma, size)

    def unmap(self, address: int) -> None:
        """Drop the area that begins at ``address``."""
        self.mmap = [vma for vma in self.mmap if vma.vm_start != address]

    def view(self, address: int, size: int, memory: Any) -> memoryview | None:
        """``size`` bytes at ``address`` in one area; None when they are not all there, or registers."""
        vma = self.find_vma(address)
        if vma is None or address + size > vma.vm_end:
            return None
        start = address - vma.vm_start
        if vma.buffer is not None:
            view = memoryview(vma.buffer)[start : start + size]
            return view if len(view) == size else None
        if vma.phys is not None and memory.holds(vma.phys + start, size):
            pages: memoryview = memory.slice(vma.phys + start, size)
            return pages
        return None


def pgprot_noncached(prot: int) -> int:
    """The same protection; nothing is cached here."""
    return prot


def remap_pfn_range(vma: VmAreaStruct, addr: int, pfn: int, size: int, prot: int) -> int:
    """Let ``size`` bytes at ``addr`` be the pages from frame ``pfn`` on: 0."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit(("remap_pfn_range", addr, pfn, size))
    vma.vm_flags |= VM_PFNMAP
    vma.vm_pgoff = pfn
    return 0


def pfn_of(vma: VmAreaStruct, address: int) -> int:
    """The page frame behind ``address`` in an area of registers."""
    return vma.vm_pgoff + ((address - vma.vm_start) >> PAGE_SHIFT)
