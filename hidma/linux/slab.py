# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/slab.h>``: allocation, as far as it can fail or be misused.

Objects are Python objects; what is kept of C is which calls may fail (fault injection, a size that kmalloc() refuses), and the
effect of a pointer that was never set or an index past an array. The last freed objects stay known, as in KASAN's quarantine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from hidma.linux import sched
from hidma.linux.sched import KernelOops

T = TypeVar("T")

GFP_KERNEL = 0xD0
GFP_NOWAIT = 0
SLUB_RED = 0x6B6B6B6B
KMALLOC_MAX_SIZE = 1 << 22
ELEMENT_SIZE = 4
QUARANTINE = 4096


class Uninitialised:
    """A local pointer of C that nothing was stored in: whatever the stack held."""


UNINITIALISED = Uninitialised()


class Array(list[T]):
    """A C array on the heap: a write past its end is an Oops; a read there finds the allocator's filling, and warns."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if not 0 <= index < len(self):
            raise KernelOops(f"BUG: slab-out-of-bounds write: element {index} of an array of {len(self)}")
        super().__setitem__(index, value)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) or 0 <= index < len(self):
            return super().__getitem__(index)
        text = f"slab-out-of-bounds read: element {index} of an array of {len(self)}"
        sched.running_cpu().kernel.warn(text, once=True)
        return SLUB_RED


def kzalloc(make: Callable[[], T], gfp: int, kind: str = "kzalloc") -> T | None:
    """One zeroed object; None when the allocation fails."""
    if sched.running_cpu().kernel.fault_inject.alloc(kind):
        return None
    return make()


def kcalloc(n: int, make: Callable[[], T], gfp: int, kind: str = "kcalloc") -> Array[T] | None:
    """An array of ``n`` zeroed objects (of four bytes at least); None when the allocation fails."""
    if sched.running_cpu().kernel.fault_inject.alloc(kind) or n * ELEMENT_SIZE > KMALLOC_MAX_SIZE:
        return None
    return Array(make() for _ in range(n))


def kasprintf(gfp: int, text: str) -> str | None:
    """A formatted string; None when the allocation fails."""
    return kzalloc(lambda: text, gfp, "kasprintf")


def kfree(pointer: Any) -> None:
    """Free an object; None (NULL) is fine, a pointer that was never set is an Oops. Elements of an array are marked ``freed``,
    so that a late user can be found out."""
    if isinstance(pointer, Uninitialised):
        raise KernelOops("kernel BUG: kfree of a pointer that was never allocated")
    if pointer is not None:
        freed().append(pointer)
        if hasattr(pointer, "poison"):
            pointer.poison()
    if isinstance(pointer, Array):
        for element in pointer:
            if hasattr(element, "__dict__"):
                element.freed = True


def freed() -> deque[Any]:
    """The objects that the running kernel freed last, oldest first, to find the cause of an Oops."""
    slab = sched.running_cpu().kernel.module("slab")
    if not hasattr(slab, "freed"):
        slab.freed = deque(maxlen=QUARANTINE)
    quarantine: deque[Any] = slab.freed
    return quarantine


def devm_kzalloc(dev: Any, make: Callable[[], T], gfp: int) -> T | None:
    """As :func:`kzalloc`; the object goes with the driver of ``dev``."""
    return kzalloc(make, gfp, "devm_kzalloc")


def devm_kcalloc(dev: Any, n: int, make: Callable[[], T], gfp: int) -> list[T] | None:
    """As :func:`kcalloc`; the array goes with the driver of ``dev``. One of objects is a plain list, for hot code."""
    array = kcalloc(n, make, gfp, "devm_kcalloc")
    return array if array is None or make is int else list(array)


def devm_kmalloc(dev: Any, make: Callable[[], T], gfp: int) -> T | None:
    """An object of ``dev``, not zeroed; None when the allocation fails. It is freed, and marked ``freed``, when the driver of
    ``dev`` is unbound."""
    thing = kzalloc(make, gfp, "devm_kmalloc")
    if thing is not None:
        dev.devres.add("kmalloc", lambda: setattr(thing, "freed", True))
    return thing


def devm_kstrdup(dev: Any, s: str, gfp: int) -> str | None:
    """A copy of ``s`` that belongs to ``dev``."""
    return kzalloc(lambda: s, gfp, "devm_kstrdup")
