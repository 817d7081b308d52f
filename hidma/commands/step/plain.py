# SPDX-License-Identifier: GPL-2.0-only
"""The stepper as a dialogue of lines: commands come from stdin, answers go to stdout. It stands for no C file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable

from hidma.commands.step import show
from hidma.commands.step.engine import SORTS, Break, BreakError, Session

HELP = """\
s [N]     step: the next event, whatever it is (an empty line repeats the last command)
a [N]     the next register access          i [N]  the next interrupt
t [N]     the next tasklet                  h [N]  the next step of the hardware
f [N]     the next function                 c      go on to the next break, or the end
u TIME    go on to a time (12.02ms, 300us)  u FUNCTION  go on to the next entry of a function
g N       go to event N, forward or back    r [N]  back by N events
b WHAT    break: function PATTERN, register PATTERN, state STATE, fault; b alone lists them
d N       delete break N                    p      show everything: registers, rings, driver, CPUs
l         show more of the source           k CHANNEL  show this channel (k alone: that of the event)
e [N]     the last N events                 o      what the run has printed
q         quit"""

STEPS = {"s": "any", "a": "access", "i": "interrupt", "t": "tasklet", "h": "hardware", "f": "function"}
assert set(STEPS.values()) == set(SORTS)


class Dialogue:
    """One session in lines.

    :param say: prints a line
    """

    def __init__(self, session: Session, say: Callable[[str], None]) -> None:
        self.session = session
        self.say = say
        self.pinned = ""
        self.last = "s"

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def stopped(self) -> None:
        """Where it stands now."""
        self.lines(show.end(self.session) if self.session.ended else show.brief(self.session))

    def command(self, text: str) -> bool:
        """Do what a line says; False to quit."""
        text = text.strip() or self.last
        try:
            words = shlex.split(text)
        except ValueError as error:
            self.say(f"that line is not finished: {error}")
            return True
        if not words:
            return True
        name, *rest = words
        method = getattr(self, f"_{name}", None) if len(name) == 1 else None
        if name in ("q", "quit", "exit"):
            return False
        self.last = text
        if name in STEPS:
            count = self._number(rest, 1)
            if count is not None:
                self._moved(lambda: self.session.step(STEPS[name], count))
        elif method is not None:
            method(rest)
        else:
            self.say(HELP if name in ("?", "help") else f"{name!r} is no command; ? lists them")
        return True

    def _moved(self, move: Callable[[], bool]) -> None:
        if self.session.ended:
            self.say("the run is over; r or g goes back, q quits")
            return
        move()
        self.stopped()

    def _number(self, rest: list[str], otherwise: int) -> int | None:
        if not rest:
            return otherwise
        if len(rest) == 1 and rest[0].isascii() and rest[0].isdigit() and int(rest[0]) < 1 << 31:
            return int(rest[0])
        self.say(f"{' '.join(rest)!r} is no number")
        return None

    def _c(self, rest: list[str]) -> None:
        self._moved(self.session.go_on)

    def _u(self, rest: list[str]) -> None:
        from hidma.commands.trace.cli import time_of

        if len(rest) != 1:
            self.say("u takes a time or a function")
            return
        ns = time_of(rest[0])
        if ns is not None:
            self._moved(lambda: self.session.to_time(ns))
        elif rest[0][:1].isdigit():
            self.say(f"{rest[0]!r} is no time: 12.02ms, 300us and 12021500 (ns) are")
        else:
            try:
                Break.parse(["function", rest[0]])
            except BreakError as error:
                self.say(str(error))
            else:
                self._moved(lambda: self.session.to_function(rest[0]))

    def _g(self, rest: list[str]) -> None:
        number = self._number(rest, -1)
        if number is None or number < 0:
            self.say("g takes the number of an event")
            return
        self.session.to(number)
        self.stopped()

    def _r(self, rest: list[str]) -> None:
        count = self._number(rest, 1)
        if count is not None:
            self.session.back(count)
            self.stopped()

    def _b(self, rest: list[str]) -> None:
        if not rest:
            self.lines([f"{n}  {b}" for n, b in enumerate(self.session.breaks, 1)] or ["no breaks"])
            return
        try:
            self.session.breaks.append(Break.parse(rest))
        except BreakError as error:
            self.say(str(error))
            return
        self.say(f"break {len(self.session.breaks)}: {self.session.breaks[-1]}")

    def _d(self, rest: list[str]) -> None:
        number = self._number(rest, 0)
        if number is None or not 1 <= number <= len(self.session.breaks):
            self.say(f"d takes the number of a break, 1 to {len(self.session.breaks)}" if self.session.breaks
                     else "there is no break to delete")
            return
        self.say(f"deleted: {self.session.breaks.pop(number - 1)}")

    def _p(self, rest: list[str]) -> None:
        self.lines(show.whole(self.session, self.pinned))

    def _l(self, rest: list[str]) -> None:
        self.lines(show.source(self.session.at, 10))

    def _k(self, rest: list[str]) -> None:
        channels = self.session.at.state.channels
        if not rest:
            self.pinned = ""
            self.say(f"channels: {', '.join(channels) or 'none yet'}")
            return
        found = [name for name in channels if name == rest[0] or name.endswith(f"chan{rest[0]}")]
        if not found:
            self.say(f"there is no channel {rest[0]}; there are {', '.join(channels) or 'none yet'}")
            return
        self.pinned = found[0]
        self.lines(show.whole(self.session, self.pinned))

    def _e(self, rest: list[str]) -> None:
        count = self._number(rest, 10)
        if count is not None:
            recent = self.session.at.recent[-count:] if count else []
            first = self.session.at.number - len(recent) + 1
            self.lines(show.event(first + n, event) for n, event in enumerate(recent))

    def _o(self, rest: list[str]) -> None:
        self.lines(self.session.output.getvalue().splitlines() or ["nothing yet"])


def run(session: Session, read: Callable[[], str | None], say: Callable[[str], None]) -> int:
    """The dialogue.

    :param read: gives the next line, None at the end
    :returns: the exit status: that of the run if it is over, else 0
    """
    dialogue = Dialogue(session, say)
    session.step()
    dialogue.stopped()
    while True:
        line = read()
        if line is None or not dialogue.command(line):
            break
    return (session.status or 0) if session.ended else 0
