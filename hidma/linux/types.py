# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/types.h>``: the function pointer ``void (*)(void *)``.

In compiled modules a pointer to one of our own functions is called as C; any Python callable will do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CFunction:
    """A function of the port behind a ``void (*)(void *)``."""

    fn: Callable[[Any], Any]


def function(fn: Callable[[Any], Any]) -> CFunction:
    """The pointer to ``fn``, a function of one argument in a compiled module."""
    pointer = CFunction()
    pointer.fn = fn
    return pointer


def call(fn: Any, data: Any) -> int:
    """``fn(data)``."""
    if type(fn) is CFunction:
        return call_c(fn, data)
    fn(data)
    return 0


def call_c(pointer: CFunction, data: Any) -> int:
    """``pointer(data)``."""
    pointer.fn(data)
    return 0
