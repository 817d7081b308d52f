# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/mm.h>`` and ``<linux/string.h>``: kernel virtual addresses of RAM, and copying to and from them.

RAM is mapped linearly from PAGE_OFFSET on. An address outside is what it would be in the kernel: a paging request
that cannot be handled.
"""

from __future__ import annotations

from collections.abc import Sequence

import cython

from hidma.linux import sched
from hidma.linux.sched import KernelOops

if cython.compiled:
    from cython.cimports.hidma.linux import mm_inline as inline

PAGE_OFFSET = 0xFFFF800000000000  # in C: mm_inline.pxd
PAGE_SIZE = 4096
PAGE_SHIFT = 12


def bad_address(address: int) -> int:
    """Nothing is mapped at ``address``."""
    raise KernelOops(f"Unable to handle kernel paging request at virtual address {address:016x}")


def load_u32(ptr: int, index: int) -> int:
    """``ptr[index]`` for a ``u32 *ptr`` into RAM."""
    if cython.compiled:
        return inline.load_u32(ptr, index)
    else:
        memory = sched.this_cpu.memory
        at = ptr - PAGE_OFFSET + 4 * index
        if at < 0 or at >= memory.size:
            bad_address(ptr + 4 * index)
        return memory.w[at >> 2]


if not cython.compiled:

    def memcpy_words(dest: int, src: Sequence[int], size: int) -> int:
        """``memcpy(dest, src, size)`` from an array of u32 to RAM; ``dest`` is aligned to 4, ``size`` a multiple of it."""
        memory = sched.this_cpu.memory
        at = dest - PAGE_OFFSET
        if at < 0 or at >= memory.size or size > memory.size - at:
            bad_address(dest)
        for i in range(size >> 2):
            memory.w[(at >> 2) + i] = src[i]
        return 0


def memset(dest: int, value: int, size: int) -> int:
    """``memset(dest, value, size)`` in RAM."""
    memory = sched.running_cpu().memory
    at = dest - PAGE_OFFSET
    if at < 0 or at + size > memory.size:
        bad_address(dest)
    memory.view[at : at + size] = bytes([value & 0xFF]) * size
    return 0
