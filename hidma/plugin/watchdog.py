# SPDX-License-Identifier: GPL-2.0-only
"""An end for code of a plugin that has none: limits on the instructions of a reset function, on its virtual time, on the time
that it keeps the CPU, and on the real time of anything that a plugin does. It stands for the soft-lockup detector
(``kernel/watchdog.c``) and ``kernel/hung_task.c``, which complain and go on waiting; here the function ends.

The first three limits count what the plugin's own code does, so that they are the same in every run; the last one is for code that
waits in real time. Where something else traces Python already, a debugger or the measurement of coverage, that keeps its place and
there is no limit.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from hidma.linux.sched import Cpu

T = TypeVar("T")
MAIN = threading.main_thread().ident

MOST_STEPS = 2_000_000
"""Instructions of Python outside hidma that a reset may execute."""
LONGEST_NS = 120_000_000_000
"""Virtual time that it may take: 120 s, after which the kernel says that a task is blocked."""
LOCKUP_NS = 20_000_000_000
"""Virtual time that it may keep the CPU without a sleep: twice watchdog_thresh."""
LONGEST_CPU_S, LONGEST_S = 10, 60
"""Seconds of processor time and of real time that an import or a hook may take. A reset may wait so long; what it computes is
counted in instructions, which do not depend on the machine."""
TRACE = "trace_of_reset"
TICK_S = 1.0
"""How often these two are looked at."""


class NeverEnds(BaseException):
    """Code that does not end; it is no Exception, so that ``except Exception`` does not keep it."""


class in_time:
    """A context whose body has ``cpu_s`` (:data:`LONGEST_CPU_S`) seconds of processor time and :data:`LONGEST_S` of real time;
    then :class:`NeverEnds` is raised in it. It has no effect in a thread other than the first one, which alone gets signals, where
    SIGALRM has another use already, and under a debugger."""

    open: ClassVar[list[in_time]] = []
    """Those whose bodies run, the innermost last."""
    armed: ClassVar[bool] = False
    """Whether SIGALRM comes every TICK_S seconds; that ends when it comes and no body runs, since to begin and end it costs more
    than most bodies."""

    def __init__(self, cpu_s: float | None = None) -> None:
        self.cpu_s = LONGEST_CPU_S if cpu_s is None else cpu_s
        self.began: tuple[float, float] | None = None  # as of the first SIGALRM

    def __enter__(self) -> None:
        self.begin(sys._getframe(1))

    def begin(self, frame: FrameType) -> None:
        """The body, in ``frame``, begins."""
        self.frame = frame
        if threading.get_ident() == MAIN and (in_time.armed or self.arm()):
            self.open.append(self)

    def __exit__(self, *_: object) -> None:
        if self in self.open:
            self.open.remove(self)

    @classmethod
    def arm(cls) -> bool:
        """Let SIGALRM come, if it has no other use; whether it does."""
        if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL or sys.gettrace() is not None:
            return False
        signal.signal(signal.SIGALRM, cls.tick)
        signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
        in_time.armed = True
        return True

    @classmethod
    def disarm(cls) -> None:
        """No SIGALRM comes any more: nothing needs it, or the interpreter ends, which would let it kill the process, or this is a
        new process, which has no timer."""
        if cls.armed:
            in_time.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    @classmethod
    def tick(cls, _: int, frame: FrameType | None) -> None:
        """SIGALRM came in ``frame``: is a body that it is in over its limit? Another CPU may have its turn in the middle of one."""
        if not cls.open:
            cls.disarm()
        inside = set()
        while frame is not None:
            inside.add(frame)
            frame = frame.f_back
        cpu, real = time.process_time(), time.monotonic()
        for each in reversed(cls.open):
            each.began = each.began or (cpu, real)
            for took, most, what in ((cpu - each.began[0], each.cpu_s, "processor"), (real - each.began[1], LONGEST_S, "real")):
                if took > most and each.frame in inside:
                    raise NeverEnds(f"it does not end: it has taken {most:g} s of {what} time, and it goes on")


os.register_at_fork(after_in_child=in_time.disarm)
atexit.register(in_time.disarm)


class of_model(in_time):
    """:class:`in_time` around a method of a device model: TimeoutError is raised by it, and its instructions are not those of the
    reset function that accesses the device or waits for it."""

    def __enter__(self) -> None:
        self.trace = sys.gettrace()
        if self.trace is not None and getattr(self.trace, "__name__", "") == TRACE:
            sys.settrace(None)
        self.begin(sys._getframe(1))

    def __exit__(self, *error: object) -> None:
        super().__exit__()
        if self.trace is not None:
            sys.settrace(self.trace)
        if isinstance(error[1], NeverEnds):
            raise TimeoutError(str(error[1])).with_traceback(error[1].__traceback__) from None


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

    def trace_of_reset(frame: FrameType, event: str, _: Any) -> Any:
        if str(frame.f_globals.get("__name__", "")).startswith("hidma."):
            return None
        frame.f_trace_opcodes = True
        return step(frame, event, _)

    with in_time(math.inf):
        sys.settrace(trace_of_reset)
        try:
            return function(*arguments)
        finally:
            sys.settrace(None)
