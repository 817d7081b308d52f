# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""The trace of a machine: a flag, which costs one C test when it is off, and the functions that receive the events.

An event is a tuple whose first item is its name; `events.py` has the vocabulary of the hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Sink = Callable[[tuple[Any, ...]], None]

#: Called with each new trace, so that a recorder can follow machines that other code boots.
listener: Callable[[Trace], None] | None = None


class Trace:
    """The trace point of one machine.

    ``on`` is 0 while there is no receiver: emitters test it before they build an event. ``clock`` is the machine's.
    """

    def __init__(self, clock: Any = None) -> None:
        self.on = 0
        self.clock = clock
        self.sink: Sink | None = None
        self.taps: tuple[Sink, ...] = ()
        if listener is not None:
            listener(self)

    def open(self, sink: Sink) -> None:
        """Send every event to ``sink`` from now on."""
        self.sink = sink
        self.on = 1

    def close(self) -> None:
        """Send no more events to the sink."""
        self.sink = None
        self.on = 1 if self.taps else 0

    def tap(self, sink: Sink) -> None:
        """Send every event to ``sink`` too, before the sink of :meth:`open`."""
        self.taps = (*self.taps, sink)
        self.on = 1

    def untap(self, sink: Sink) -> None:
        """Undo :meth:`tap`."""
        self.taps = tuple(tap for tap in self.taps if tap != sink)
        if not self.taps and self.sink is None:
            self.on = 0

    def emit(self, event: tuple[Any, ...]) -> None:
        """Send ``event`` to every receiver."""
        for tap in self.taps:
            tap(event)
        if self.sink is not None:
            self.sink(event)
