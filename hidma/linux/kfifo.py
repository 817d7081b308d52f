# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/kfifo.h>``: a FIFO of pointers whose size is a power of two; a full one refuses."""

from __future__ import annotations

from typing import Any

import cython

from hidma.linux import sched
from hidma.linux.errno import EINVAL, ENOMEM
from hidma.linux.sched import KernelOops

if cython.compiled:
    from cython.cimports.hidma.linux import kfifo_inline as inline
if not cython.compiled:
    from hidma.linux.types import u32


class Kfifo:
    """``DECLARE_KFIFO_PTR``: ``in_`` and ``out`` are free-running u32 indices.

    There are ``size`` slots, ``mask`` + 1, and one where none are allocated. What was taken out stays in its slot until that
    is used again.
    """

    def __init__(self) -> None:
        self.in_ = 0
        self.out = 0
        self.size = 0
        self.mask = 0
        self.data: list[Any] = [None]


def kfifo_alloc(fifo: Kfifo, size: int, gfp: int = 0) -> int:
    """Room for ``size`` elements, rounded up to a power of two: 0, -EINVAL (below 2), -ENOMEM."""
    rounded = 1
    while rounded < size:
        rounded <<= 1
    slots(fifo, 0)
    if rounded < 2:
        return -EINVAL
    if sched.running_cpu().kernel.fault_inject.alloc("kfifo"):
        return -ENOMEM
    return slots(fifo, rounded)


def slots(fifo: Kfifo, size: int) -> int:
    """An empty FIFO of ``size`` slots, a power of two, or 0."""
    fifo.in_ = 0
    fifo.out = 0
    fifo.size = size
    fifo.mask = size - 1 if size else 0
    fifo.data = [None] * (fifo.mask + 1)
    return 0


def kfifo_size(fifo: Kfifo) -> int:
    """Elements that fit."""
    return fifo.mask + 1


def kfifo_len(fifo: Kfifo) -> int:
    """Elements that are in."""
    return u32(fifo.in_ - fifo.out)


def kfifo_peek(fifo: Kfifo) -> list[Any]:
    """The elements that are in, oldest first; they stay."""
    return [fifo.data[(fifo.out + n) & fifo.mask] for n in range(kfifo_len(fifo)) if n < fifo.size]


def refused(fifo: Kfifo) -> int:
    """There is no room; C writes through NULL where nothing was allocated."""
    if not fifo.size:
        raise KernelOops("Unable to handle kernel NULL pointer dereference: a FIFO that was not allocated")
    return 0


def kfifo_put(fifo: Kfifo, val: Any) -> int:
    """Append ``val``; 0 when the FIFO is full (the element is not taken)."""
    if cython.compiled:
        return inline.kfifo_put_object(fifo, val)
    else:
        if u32(fifo.in_ - fifo.out) >= fifo.size:
            return refused(fifo)
        fifo.data[fifo.in_ & fifo.mask] = val
        fifo.in_ = u32(fifo.in_ + 1)
        return 1


def kfifo_out(fifo: Kfifo) -> Any:
    """``kfifo_out(fifo, &val, 1)``: the oldest element, None when there is none."""
    if cython.compiled:
        return inline.kfifo_out_object(fifo)
    else:
        if fifo.in_ == fifo.out:
            return None
        val = fifo.data[fifo.out & fifo.mask]
        fifo.out = u32(fifo.out + 1)
        return val
