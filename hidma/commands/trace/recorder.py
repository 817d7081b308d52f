# SPDX-License-Identifier: GPL-2.0-only
"""Records what happens in the machines that are booted meanwhile, and gives it back as events in the order of virtual
time. It stands for no C file.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hidma.commands.trace.events import CONTEXTS, HARDWARE, KINDS, Decoder, Event
from hidma.commands.trace.functions import Entries
from hidma.hw import trace as hw_trace
from hidma.hw.trace import Trace
from hidma.linux import sched

Record = tuple[int, int | None, str, tuple[Any, ...]]


class Source:
    """One machine's trace.

    :ivar number: from 0, in the order in which machines are booted
    """

    def __init__(self, number: int, trace: Trace) -> None:
        self.number = number
        self.trace = trace
        self.records: list[Record] = []
        self.irqs: dict[int, str] = {}
        self.decoder = Decoder(irqs=self.irqs)
        self.listeners: list[Callable[[Event], None]] = []

    def __call__(self, raw: tuple[Any, ...]) -> None:
        clock = self.trace.clock
        now = 0 if clock is None else clock.now
        cpu: Any = sched.running_cpu()
        if cpu is not None and cpu.trace is self.trace:
            if raw[0] == "irq_enter" and raw[2] not in self.irqs:
                self._name(cpu, raw[2])
            context = "hardirq" if cpu.hardirq or raw[0] == "irq_exit" else "softirq" if cpu.softirq else "task"
            record = (now, cpu.number, context, raw)
        else:
            record = (now, None, "", raw)
        if self.listeners:
            event = self.decoder.decode(*record)
            if event is not None:
                for listener in self.listeners:
                    listener(event)
        else:
            self.records.append(record)

    def _name(self, cpu: Any, irq: int) -> None:
        desc = cpu.kernel.gic.descs.get(irq)
        line = None if desc is None else desc.line
        self.irqs[irq] = "" if line is None else line.name

    def events(self) -> list[Event]:
        """What was recorded, in the order of virtual time."""
        decoder = Decoder(irqs=self.irqs)
        found = [event for record in self.records if (event := decoder.decode(*record)) is not None]
        found.sort(key=lambda event: event.time)
        return found


class Recorder:
    """``with Recorder() as recorder:`` records every machine that is booted inside."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.before: Callable[[Trace], None] | None = None
        self.listeners: list[Callable[[Event], None]] = []
        self.entries = Entries()

    def follow(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` with each event as it happens, in place of keeping it."""
        self.listeners.append(listener)
        for source in self.sources:
            source.listeners = self.listeners

    def add(self, trace: Trace) -> Source:
        """Record ``trace`` from now on."""
        source = Source(len(self.sources), trace)
        source.listeners = self.listeners
        self.sources.append(source)
        trace.tap(source)
        return source

    def _new(self, trace: Trace) -> None:
        if self.before is not None:
            self.before(trace)
        self.entries.add()  # the modules of a machine are imported before it is booted
        self.add(trace)

    def __enter__(self) -> Recorder:
        self.before = hw_trace.listener
        hw_trace.listener = self._new
        self.entries.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.__exit__()
        hw_trace.listener = self.before
        for source in self.sources:
            source.trace.untap(source)

    @property
    def count(self) -> int:
        return sum(len(source.records) for source in self.sources)

    def machines(self) -> list[list[Event]]:
        """The events of each machine that had any."""
        return [events for source in self.sources if (events := source.events())]


class FilterError(Exception):
    """A filter that nothing can pass; the message is one sentence."""


@dataclass(frozen=True)
class Filter:
    """Which events pass.

    :ivar channels: numbers or names of channels; an event that is no channel's passes unless it is a register of another
    :ivar functions: patterns for names of functions
    :ivar registers: patterns for names of registers, ``TRCA_*``
    :ivar kinds: kinds of events
    :ivar after: the events from the first entry of this function on
    :ivar until: the events up to the first entry of this function after that
    :ivar start: ns, the first moment
    :ivar end: ns, the last one
    """

    channels: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: str = ""
    until: str = ""
    start: int | None = None
    end: int | None = None

    def check(self) -> None:
        """:raises FilterError: a kind or a channel that is none"""
        for kind in self.kinds:
            if kind not in KINDS:
                raise FilterError(f"there is no kind of event called {kind!r}; there are {', '.join(KINDS)}")
        for channel in self.channels:
            if not re.fullmatch(r"[\w.-]*\d+", channel):
                raise FilterError(f"{channel!r} is no channel: a number or a name such as hidma.chan0 is wanted")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise FilterError(f"no time is from {self.start} ns to {self.end} ns")

    def of_functions(self) -> bool:
        """Whether it needs the events that only functions which run as Python report."""
        if self.after or self.until or self.functions:
            return True
        return not self.registers if not self.kinds else not {"function", "callback"}.isdisjoint(self.kinds)

    @staticmethod
    def is_channel(name: str, wanted: str) -> bool:
        """Whether the channel ``name`` is the one that a number or a name asks for."""
        return name == wanted or (wanted.isdigit() and name.endswith(f"chan{wanted}"))

    def _channel(self, name: str) -> bool:
        return any(self.is_channel(name, wanted) for wanted in self.channels)

    def _passes(self, event: Event) -> bool:
        if self.start is not None and event.time < self.start or self.end is not None and event.time > self.end:
            return False
        if self.channels and event.channel and not self._channel(event.channel):
            return False
        if self.functions and event.kind == "function":
            return _any(event.data["function"], self.functions)
        if self.registers and event.kind in ("read", "write"):
            return _any(event.data["register"], self.registers)
        if self.kinds:
            return event.kind in self.kinds
        return not (self.functions or self.registers)

    def apply(self, events: Iterable[Event]) -> list[Event]:
        """Those that pass. With ``channels``, what a CPU does in an interrupt of another channel does not."""
        found: list[Event] = []
        begun, ended = not self.after, False
        busy: dict[int, str] = {}
        for event in events:
            name = event.data.get("function") if event.kind == "function" else None
            if not begun and name is not None and fnmatch.fnmatchcase(name, self.after):
                begun = True
            if not begun:
                continue
            if ended:
                break
            ended = bool(self.until) and name is not None and fnmatch.fnmatchcase(name, self.until)
            if self.channels and event.kind == "interrupt" and event.cpu is not None:
                busy[event.cpu] = event.channel  # tasklets that run after it are its channel's too
            if self.channels and event.cpu is not None and event.context in CONTEXTS[1:]:
                here = busy.get(event.cpu, "")
                if here and not self._channel(here):
                    continue
            if self._passes(event):
                found.append(event)
        return found


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


#: Longest group of events that :func:`squeeze` looks for, and how often it must come.
GROUP = 6
OFTEN = 3


def squeeze(events: Sequence[Event]) -> list[Event]:
    """Events without repetitions: of a group that comes again and again, as a driver that polls makes them, the first is
    kept, and its last event says how often it came after that.
    """
    keys = [(e.kind, e.cpu, e.context, e.channel, e.text.partition("  (was")[0]) for e in events]
    found: list[Event] = []
    at = 0
    while at < len(events):
        for length in range(1, GROUP + 1):
            group = keys[at:at + length]
            end = at + length
            while keys[end:end + length] == group:
                end += length
            more = (end - at) // length - 1
            if more >= OFTEN:
                found += events[at:at + length]
                last = events[end - 1]
                found[-1] = replace(found[-1], text=f"{found[-1].text}  (and {more} times more, until {last.time} ns)")
                at = end
                break
        else:
            found.append(events[at])
            at += 1
    return found


def place(event: Event) -> str:
    """Where an event happened, in a few letters."""
    if event.kind in HARDWARE and event.cpu is None:
        return "hw"
    return "-" if event.cpu is None else f"cpu{event.cpu} {event.context}"
