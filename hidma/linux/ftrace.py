# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/ftrace.h>``, as far as it is used: events for the entry of a function of the driver and for the callback of a
client. The calls are not in the sources: ``hidma trace`` puts them into the functions of modules that run as Python
(hidma.commands.trace.functions). Compiled functions report nothing.
"""

from __future__ import annotations

from typing import Any

from hidma.linux import sched
from hidma.linux.types import CFunction


def entered(name: str) -> int:
    """The function ``name`` is entered on the running CPU."""
    cpu = sched.running_cpu()
    if cpu is not None and cpu.trace.on:
        cpu.trace.emit(("function", cpu.number, name))
    return 0


def called(callback: Any) -> int:
    """The function ``callback`` of a client is about to be called."""
    cpu = sched.running_cpu()
    if cpu is not None and cpu.trace.on:
        name = "a compiled function"
        if type(callback) is not CFunction:
            name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
        cpu.trace.emit(("callback", cpu.number, name.replace(".<locals>", "")))
    return 0
