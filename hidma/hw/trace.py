# SPDX-License-Identifier: GPL-2.0-only
"""One place where everything that happens can be seen: a flag that costs one C test when off, and a sink.

An event is a tuple whose first item names it. What the names are and mean is the business of those who emit and
those who read (docs: the vocabulary); this module only carries them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Trace:
    """A trace point shared by one machine.

    ``on`` is 0 while nobody listens: emitters test it before they build an event.
    """

    def __init__(self) -> None:
        self.on = 0
        self.sink: Callable[[tuple[Any, ...]], None] | None = None

    def open(self, sink: Callable[[tuple[Any, ...]], None]) -> None:
        """Send every event to ``sink`` from now on."""
        self.sink = sink
        self.on = 1

    def close(self) -> None:
        """Stop sending events."""
        self.on = 0
        self.sink = None

    def emit(self, event: tuple[Any, ...]) -> None:
        """Hand ``event`` to the sink, if there is one."""
        if self.sink is not None:
            self.sink(event)
