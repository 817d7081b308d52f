# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""``<linux/atomic.h>``: ``atomic_t``. CPUs switch at register accesses and unlocks only, so arithmetic is atomic."""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.hidma.linux import atomic_inline as inline


class Atomic:
    """``atomic_t``: a signed 32-bit counter."""

    def __init__(self) -> None:
        self.counter = 0


def atomic_read(v: Atomic) -> int:
    """The value."""
    if cython.compiled:
        return inline.atomic_read(v)
    else:
        return v.counter


def atomic_set(v: Atomic, i: int) -> int:
    """Store ``i``."""
    if cython.compiled:
        return inline.atomic_set(v, i)
    else:
        v.counter = i
        return 0


def atomic_add_unless(v: Atomic, a: int, u: int) -> int:
    """Add ``a``, unless the value is ``u``; 1 if it was added."""
    if cython.compiled:
        return inline.atomic_add_unless(v, a, u)
    else:
        if v.counter == u:
            return 0
        v.counter += a
        return 1


def atomic_inc(v: Atomic) -> int:
    """Add one."""
    v.counter += 1
    return 0


def atomic_dec(v: Atomic) -> int:
    """Take one off."""
    v.counter -= 1
    return 0
