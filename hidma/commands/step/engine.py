# SPDX-License-Identifier: GPL-2.0-only
"""Runs a job one event at a time: in a thread of its own, which waits inside the machine at each stop. Going back is
running again up to an earlier event, which gives the same. It stands for no C file.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import functools
import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hidma.commands.portmap import port
from hidma.commands.portmap.series import OTHERS, SOURCES, v14
from hidma.commands.step.lines import Frames, Location
from hidma.commands.step.state import Driver, State, snapshot
from hidma.commands.trace.events import BLOCKS, HARDWARE, Event
from hidma.commands.trace.functions import wanted
from hidma.commands.trace.recorder import Recorder
from hidma.hw.registers import State as HwState

#: What one step of each sort stops at.
SORTS: dict[str, frozenset[str]] = {
    "any": frozenset(("function", "read", "write", "interrupt", "tasklet", "callback", "scenario")) | HARDWARE,
    "access": frozenset(("read", "write")),
    "interrupt": frozenset(("interrupt",)),
    "tasklet": frozenset(("tasklet",)),
    "hardware": HARDWARE,
    "function": frozenset(("function",)),
}

#: Seconds that a job gets to end after it was told to.
END_SECONDS = 20


class Quit(BaseException):
    """Ends the job from inside."""


class BreakError(ValueError):
    """A breakpoint that can never be met; the message is one sentence."""


@functools.cache
def functions() -> list[str]:
    """The functions whose entry is an event."""
    found = [f.name for file in v14().values() for f in file.functions]
    for source in (*SOURCES, *OTHERS):
        module = port.read(source.module)
        found += [] if module is None else list(module.functions)
    return [name for name in dict.fromkeys(found) if wanted(name)]


@functools.cache
def registers() -> list[str]:
    """The registers that an access can be to."""
    found = []
    for prefix, rows in BLOCKS.values():
        found += [f"{prefix}_{row.name}" for row in rows if row.name != "QOS_N"]
    return list(dict.fromkeys([*found, *(f"HIDMA_QOS_{n}" for n in range(64))]))


@dataclass(frozen=True)
class Break:
    """Where to stop: ``function PATTERN``, ``register PATTERN``, ``state STATE`` or ``fault``."""

    sort: str
    pattern: str = ""

    @classmethod
    def parse(cls, words: list[str]) -> Break:
        """From the words of a command.

        :raises BreakError: it is none
        """
        sort = words[0] if words else ""
        if sort == "fault" and len(words) == 1:
            return cls("fault")
        if sort == "state" and len(words) == 2:
            name = words[1].upper()
            if name not in HwState.__members__:
                raise BreakError(f"there is no state {words[1]}; there are {', '.join(HwState.__members__)}")
            return cls("state", name)
        if sort in ("function", "register") and len(words) == 2:
            known = functions() if sort == "function" else registers()
            pattern = words[1] if sort == "function" else words[1].upper()
            if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
                close = difflib.get_close_matches(pattern, known, 1, 0.5)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise BreakError(f"the driver has no {sort} {words[1]}{hint}")
            return cls(sort, words[1])
        raise BreakError("a break is: function PATTERN, register PATTERN, state STATE, or fault")

    def met(self, event: Event) -> bool:
        """Whether ``event`` is one to stop at."""
        if self.sort == "fault":
            return event.kind in ("error", "fault", "inject")
        if self.sort == "state":
            return event.kind == "state" and HwState(event.data["new"]).name == self.pattern
        if self.sort == "function":
            return event.kind == "function" and fnmatch.fnmatchcase(event.data["function"], self.pattern)
        return event.kind in ("read", "write") and fnmatch.fnmatchcase(event.data["register"], self.pattern.upper())

    def __str__(self) -> str:
        return f"{self.sort} {self.pattern}".rstrip()


@dataclass
class Stop:
    """Where the job stands.

    :ivar number: of the event, from 1; 0 before the first
    :ivar event: the last one that happened
    :ivar location: the line of the port that was executed
    :ivar state: registers, rings and the driver's state, by channel
    :ivar recent: the events before it, the newest last
    """

    number: int = 0
    event: Event | None = None
    location: Location | None = None
    state: State = field(default_factory=State)
    recent: list[Event] = field(default_factory=list)


class Session:
    """A job that is run step by step.

    :param make: makes the job anew: a function that runs it and gives its exit status
    :ivar at: where it stands
    :ivar ended: whether it has run to its end, with ``status`` and ``output``
    """

    RECENT = 200

    def __init__(self, make: Callable[[], Callable[[], int]]) -> None:
        self.make = make
        self.frames = Frames()
        self.breaks: list[Break] = []
        self._reset()

    def _reset(self) -> None:
        self.at = Stop()
        self.before = State()
        self.number = 0
        self.recent: list[Event] = []
        self.ended = False
        self.status: int | None = None
        self.error = ""
        self.output = io.StringIO()
        self.wanted: Callable[[Event, int], bool] = lambda event, number: True
        self.quit = False
        self.thread: threading.Thread | None = None
        self.go = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)

    # --- inside of the job's thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        self.go.acquire()
        driver = Driver()
        try:
            if self.quit:
                return
            job = self.make()
            with contextlib.redirect_stdout(self.output), contextlib.redirect_stderr(self.output), Recorder() as recorder:
                recorder.follow(lambda event: self._happened(event, driver))
                self.status = job()
        except Quit:
            pass
        except BaseException as error:
            self.error = str(error) or type(error).__name__
            self.status = 1
        finally:
            self.ended = True
            self.stopped.release()

    def _happened(self, event: Event, driver: Driver) -> None:
        if self.quit:
            raise Quit
        self.number += 1
        driver.happened(event)
        self.recent.append(event)
        if len(self.recent) > 2 * self.RECENT:
            del self.recent[:self.RECENT]
        if not self.wanted(event, self.number):
            return
        here = self.frames.find()
        self.before = self.at.state
        self.at = Stop(self.number, event, here, snapshot(driver), self.recent[-self.RECENT:])
        self.stopped.release()
        self.go.acquire()
        if self.quit:
            raise Quit

    # --- outside ----------------------------------------------------------------------------------------------

    def advance(self, wanted: Callable[[Event, int], bool]) -> bool:
        """Go on until ``wanted(event, number)``, or a break, or Ctrl-C; False when the job ended before."""
        if self.ended:
            return False
        self.wanted = lambda event, number: wanted(event, number) or any(b.met(event) for b in self.breaks)
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="hidma-step", daemon=True)
            self.thread.start()
        self.go.release()
        try:
            self.stopped.acquire()
        except KeyboardInterrupt:
            self.wanted = lambda event, number: True
            self.stopped.acquire()
        return self._stands(self.thread)

    def _stands(self, thread: threading.Thread) -> bool:
        if self.ended:
            thread.join()
        return not self.ended

    def step(self, sort: str = "any", count: int = 1) -> bool:
        """``count`` steps of a sort of :data:`SORTS`."""
        kinds = SORTS[sort]
        return all(self.advance(lambda event, number: event.kind in kinds) for _ in range(count))

    def go_on(self) -> bool:
        """To the next break, or the end."""
        return self.advance(lambda event, number: False)

    def to_time(self, ns: int) -> bool:
        """To the first event at ``ns`` or later."""
        return self.advance(lambda event, number: event.time >= ns)

    def to_function(self, name: str) -> bool:
        """To the next entry of a function.

        :raises BreakError: there is no such function
        """
        entry = Break.parse(["function", name])
        return self.advance(lambda event, number: entry.met(event))

    def to(self, number: int) -> bool:
        """To event ``number``, forward, or back by running again up to there. Breaks do not count."""
        number = max(number, 0)
        if number < self.number or self.ended:
            self.close()
            self._reset()
        breaks, self.breaks = self.breaks, []
        try:
            # the one before, so that it can be said what just changed
            if number > 1 and self.number < number - 1:
                self.advance(lambda event, n: n >= number - 1)
            return number == 0 or self.number == number or self.advance(lambda event, n: n >= number)
        finally:
            self.breaks = breaks

    def back(self, count: int = 1) -> bool:
        """``count`` events back."""
        return self.to(max(self.at.number - count, 0))

    def close(self) -> None:
        """End the job where it stands."""
        thread = self.thread
        if thread is None or not thread.is_alive():
            return
        self.quit = True
        end = time.monotonic() + END_SECONDS
        while thread.is_alive() and time.monotonic() < end:
            self.go.release()
            thread.join(0.05)
