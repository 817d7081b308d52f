# SPDX-License-Identifier: GPL-2.0-only
"""Interrupt lines: a level, a number, and whoever watches it.

A line carries a level only. What makes an interrupt of it (mask, affinity, handler) is the watcher's business.
"""

from __future__ import annotations


class LineSink:
    """Whoever is wired to lines: told at every change of level and at every pulse."""

    def line_changed(self, line: Line) -> int:
        """``line.level`` has changed."""
        return 0

    def line_pulsed(self, line: Line) -> int:
        """The line went up and down again: an interrupt that nothing holds."""
        return 0


class Line:
    """One level-triggered interrupt line of the machine.

    :param number: hardware interrupt number
    :param name: whose line it is
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.level = 0
        self.sink: LineSink | None = None
        self.raised = 0

    def set(self, level: int) -> int:
        """Drive the line; the sink hears of a change only."""
        if level != self.level:
            self.level = level
            if level:
                self.raised += 1
            if self.sink is not None:
                self.sink.line_changed(self)
        return 0

    def pulse(self) -> int:
        """Drive the line up and down again at once (a spurious interrupt)."""
        self.raised += 1
        if self.sink is not None:
            self.sink.line_pulsed(self)
        return 0
