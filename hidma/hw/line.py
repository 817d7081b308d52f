# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""Interrupt lines: a level, a number, and a sink.

A line carries a level only; the sink makes an interrupt of it (mask, affinity, handler).
"""

from __future__ import annotations


class LineSink:
    """The receiver of lines: called at every change of level and at every pulse."""

    def line_changed(self, line: Line) -> int:
        """``line.level`` has changed."""
        return 0

    def line_pulsed(self, line: Line) -> int:
        """The line went up and down again at once: a spurious interrupt."""
        return 0


class Line:
    """One level-triggered interrupt line of the machine.

    :param number: hardware interrupt number
    :param name: its name in traces
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.level = 0
        self.sink: LineSink | None = None
        self.raised = 0

    def set(self, level: int) -> None:
        """Drive the line; the sink is called for a change only."""
        if level != self.level:
            self.level = level
            if level:
                self.raised += 1
            if self.sink is not None:
                self.sink.line_changed(self)

    def pulse(self) -> None:
        """Drive the line up and down again at once (a spurious interrupt)."""
        self.raised += 1
        if self.sink is not None:
            self.sink.line_pulsed(self)
