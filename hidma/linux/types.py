# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""``<linux/types.h>``: the function pointer ``void (*)(void *)``.

In compiled modules a pointer to one of our own functions is called as C; any Python callable will do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython


class CFunction:
    """A function of the port behind a ``void (*)(void *)``."""

    fn: Callable[[Any], Any]


def function(fn: Callable[[Any], Any]) -> CFunction:
    """The pointer to ``fn``, a function of one argument in a compiled module."""
    pointer = CFunction()
    pointer.fn = fn
    return pointer


def call_python(fn: Any, data: Any) -> int:
    """``fn(data)`` for any Python callable."""
    callback = fn  # held for as long as it runs, whatever it does to where it was kept
    argument = data
    callback(argument)
    return 0


if not cython.compiled:

    def u32(value: int) -> int:
        """``value`` as an unsigned int of 32 bits."""
        return value & 0xFFFFFFFF

    def call(fn: Any, data: Any) -> int:
        """``fn(data)``."""
        if type(fn) is CFunction:
            fn.fn(data)
        else:
            fn(data)
        return 0

    def given(pointer: Any) -> bool:
        """Whether a pointer is not NULL."""
        return pointer is not None

    def face(structure: Any) -> Any:
        """The object that C data belongs to."""
        return structure
