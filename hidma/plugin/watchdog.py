# SPDX-License-Identifier: GPL-2.0-only
"""An end for a reset function that has none: limits on its instructions, on its time and on the time that it keeps the CPU. It
stands for the soft-lockup detector (``kernel/watchdog.c``) and ``kernel/hung_task.c``, which complain and go on waiting; here the
function ends.

The limits count what the plugin's own code does, so that they are the same in every run. Where something else traces Python
already, a debugger or the measurement of coverage, that keeps its place and there is no limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from hidma.linux.sched import Cpu

T = TypeVar("T")

MOST_STEPS = 3_000_000
"""Instructions of Python outside hidma that a reset may execute."""
LONGEST_NS = 120_000_000_000
"""Virtual time that it may take: 120 s, after which the kernel says that a task is blocked."""
LOCKUP_NS = 20_000_000_000
"""Virtual time that it may keep the CPU without a sleep: twice watchdog_thresh."""


class NeverEnds(BaseException):
    """A function that does not end; it is no Exception, so that ``except Exception`` does not keep it."""


def limited(cpu: Cpu, function: Callable[..., T], *arguments: Any) -> T:
    """What ``function`` returns.

    :param cpu: the CPU that it runs on
    :raises NeverEnds: when it is over a limit
    """
    if sys.gettrace() is not None:
        return function(*arguments)
    clock = cpu.clock
    watchdog = cpu.kernel.module("watchdog")
    watchdog.touched = clock.now
    end = clock.now + LONGEST_NS
    steps = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if event == "opcode":  # a loop of one line has no other event
            steps += 1
            if steps > MOST_STEPS:
                raise NeverEnds(f"it does not end: {MOST_STEPS} instructions were executed, and it goes on")
            return step
        took = clock.now - watchdog.touched
        if took > LOCKUP_NS:
            raise NeverEnds(f"BUG: soft lockup - CPU#{cpu.number} stuck for {took // 1_000_000_000}s!")
        if clock.now > end:
            raise NeverEnds(f"it does not end: it has taken {LONGEST_NS // 1_000_000_000} s, and it goes on")
        return step

    def called(frame: FrameType, event: str, _: Any) -> Any:
        if str(frame.f_globals.get("__name__", "")).startswith("hidma."):
            return None
        frame.f_trace_opcodes = True
        return step(frame, event, _)

    sys.settrace(called)
    try:
        return function(*arguments)
    finally:
        sys.settrace(None)
