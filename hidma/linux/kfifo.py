# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kfifo.h>``: a FIFO of pointers whose size is a power of two; a full one refuses."""

from __future__ import annotations

from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EINVAL, ENOMEM

U32 = 0xFFFFFFFF


class Kfifo:
    """``DECLARE_KFIFO_PTR``: ``in_`` and ``out`` are free-running u32 indices."""

    def __init__(self) -> None:
        self.in_ = 0
        self.out = 0
        self.mask = 0
        self.data: list[Any] = []


def kfifo_alloc(fifo: Kfifo, size: int, gfp: int = 0) -> int:
    """Room for ``size`` elements, rounded up to a power of two: 0, -EINVAL (below 2), -ENOMEM."""
    rounded = 1
    while rounded < size:
        rounded <<= 1
    fifo.in_ = 0
    fifo.out = 0
    fifo.mask = 0
    fifo.data = []
    if rounded < 2:
        return -EINVAL
    if sched.running_cpu().kernel.fault_inject.alloc("kfifo"):
        return -ENOMEM
    fifo.mask = rounded - 1
    fifo.data = [None] * rounded
    return 0


def kfifo_size(fifo: Kfifo) -> int:
    """Elements that fit."""
    return fifo.mask + 1


def kfifo_len(fifo: Kfifo) -> int:
    """Elements that are in."""
    return (fifo.in_ - fifo.out) & U32


def kfifo_put(fifo: Kfifo, val: Any) -> int:
    """Append ``val``; 0 when the FIFO is full (the element is not taken)."""
    if ((fifo.in_ - fifo.out) & U32) > fifo.mask:
        return 0
    fifo.data[fifo.in_ & fifo.mask] = val
    fifo.in_ = (fifo.in_ + 1) & U32
    return 1


def kfifo_out(fifo: Kfifo) -> Any:
    """``kfifo_out(fifo, &val, 1)``: the oldest element, None when there is none."""
    if fifo.in_ == fifo.out:
        return None
    slot = fifo.out & fifo.mask
    val = fifo.data[slot]
    fifo.data[slot] = None
    fifo.out = (fifo.out + 1) & U32
    return val
