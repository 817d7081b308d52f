# SPDX-License-Identifier: GPL-2.0-only
"""One place where everything that happens can be seen: a flag that costs one C test when off, and those who listen.

An event is a tuple whose first item names it. What the names are and mean is the business of those who emit and
those who read (docs: the vocabulary); this module only carries them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Sink = Callable[[tuple[Any, ...]], None]

#: Called with each new trace: how somebody gets hold of machines that others boot.
listener: Callable[[Trace], None] | None = None


class Trace:
    """A trace point shared by one machine.

    ``on`` is 0 while nobody listens: emitters test it before they build an event. ``clock`` is the machine's.
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
        """Send every event to ``sink`` too, before the one sink of :meth:`open`, which comes and goes."""
        self.taps = (*self.taps, sink)
        self.on = 1

    def untap(self, sink: Sink) -> None:
        """Undo :meth:`tap`."""
        self.taps = tuple(tap for tap in self.taps if tap != sink)
        if not self.taps and self.sink is None:
            self.on = 0

    def emit(self, event: tuple[Any, ...]) -> None:
        """Hand ``event`` to whoever listens."""
        for tap in self.taps:
            tap(event)
        if self.sink is not None:
            self.sink(event)
