# SPDX-License-Identifier: GPL-2.0-only
"""Fault injection: the text of a plan is parsed into rules, and a channel asks its rules wherever a fault may occur.

A plan is deterministic: it counts occurrences (bursts, fetches, events, commands, rises of the line) and nothing else.
A channel without rules pays one test of an integer. This module has the language and the counting; the effect of a fault
is in `channel.py` and `engine.py`, where it occurs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

# The places where a fault may occur.
BURST = 1
READ_BURST = 2
WRITE_BURST = 3
TRE_FETCH = 4
EVRE_WRITE = 5
EVRE_WORD = 6
WRITE_POINTER = 7
IRQ_LOST = 8
IRQ_LATE = 9
IRQ_DUP = 10
IRQ_SPURIOUS = 11
RESET_STUCK_TRCA = 20
RESET_STUCK_EVCA = 21
ENABLE_STUCK_TRCA = 22
ENABLE_STUCK_EVCA = 23
SUSPEND_STUCK_TRCA = 24
SUSPEND_STUCK_EVCA = 25
DISABLE_STUCK_TRCA = 26
DISABLE_STUCK_EVCA = 27

FOREVER = 1 << 62
SHAPE = "KIND[:ARGUMENT][:WHEN][@chanN]"
WHEN_HELP = "write 3 (the third), 3+ (from the third on), 3-5 (the third to the fifth) or * (every one)"


class Injectable(Protocol):
    """An object that a plan can be attached to: a channel."""

    index: int

    def add_rule(self, rule: FaultRule) -> int:
        """Apply ``rule`` from now on."""

    def remove_rule(self, rule: FaultRule) -> int:
        """Apply ``rule`` no more."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault: a row of the table that the documentation prints (:func:`reference`)."""

    name: str
    argument: str
    counts: str
    every: bool
    description: str
    example: str


KINDS: tuple[Kind, ...] = (
    Kind("burst", "", "data bursts, reads and writes together", False, "the burst fails: data read or data write error",
         "burst:3"),
    Kind("read-burst", "", "data read bursts", False, "the source cannot be read", "read-burst:2"),
    Kind("write-burst", "", "data write bursts", False, "the destination cannot be written", "write-burst:1@chan2"),
    Kind("tre-fetch", "", "TRE fetches", False, "the TRE cannot be fetched", "tre-fetch:1"),
    Kind("evre-write", "", "event writes", False, "the event cannot be written", "evre-write:5"),
    Kind("reset-stuck", "block", "resets of the block", True, "the block stays IN_RESET", "reset-stuck:trca"),
    Kind("enable-stuck", "block", "ENABLE commands", True, "the block's state does not change", "enable-stuck:evca"),
    Kind("suspend-stuck", "block", "SUSPEND commands", True, "the block never becomes SUSPENDED and begins no TRE",
         "suspend-stuck:trca:1"),
    Kind("disable-stuck", "block", "DISABLE commands", True, "the block never becomes DISABLED and begins no TRE",
         "disable-stuck:trca"),
    Kind("irq-lost", "", "rises of the line", False, "the line stays down until the next cause is raised",
         "irq-lost:1"),
    Kind("irq-late", "time", "rises of the line", False, "the line rises that much later", "irq-late:2us"),
    Kind("irq-dup", "", "rises of the line", False, "the line pulses once more after it was lowered", "irq-dup"),
    Kind("irq-spurious", "", "TRE fetches", False, "the line pulses, with no cause behind it", "irq-spurious:4"),
    Kind("write-ptr", "bytes", "events", False, "EVCA WRITE_PTR shows that value until the next event or RESET",
         "write-ptr:80"),
    Kind("evre", "fields", "events", False, "the event is written with that code and info", "evre:code=4,info=9:2"),
)

_BY_NAME = {kind.name: kind for kind in KINDS}
_PLACES = {
    "burst": BURST, "read-burst": READ_BURST, "write-burst": WRITE_BURST, "tre-fetch": TRE_FETCH,
    "evre-write": EVRE_WRITE, "irq-lost": IRQ_LOST, "irq-late": IRQ_LATE, "irq-dup": IRQ_DUP,
    "irq-spurious": IRQ_SPURIOUS, "write-ptr": WRITE_POINTER, "evre": EVRE_WORD,
    "reset-stuck:trca": RESET_STUCK_TRCA, "reset-stuck:evca": RESET_STUCK_EVCA,
    "enable-stuck:trca": ENABLE_STUCK_TRCA, "enable-stuck:evca": ENABLE_STUCK_EVCA,
    "suspend-stuck:trca": SUSPEND_STUCK_TRCA, "suspend-stuck:evca": SUSPEND_STUCK_EVCA,
    "disable-stuck:trca": DISABLE_STUCK_TRCA, "disable-stuck:evca": DISABLE_STUCK_EVCA,
}
_UNITS = {"ns": 1, "us": 1000, "ms": 1000000, "s": 1000000000}


class FaultRule:
    """One fault of a plan.

    :param text: as it was written
    :param place: where it occurs, one of the constants of this module
    :param first: number of the first occurrence that fails, from 1
    :param last: number of the last one
    :param channel: index of the only channel that it is for, -1 for all
    :param value: ns for irq-late, the u32 for write-ptr, ``code << 4 | info`` for evre

    ``seen`` counts the occurrences since it was made, over all channels that it is attached to; ``hits`` those that failed.
    """

    def __init__(self, text: str, place: int, first: int, last: int, channel: int = -1, value: int = 0) -> None:
        self.text = text
        self.place = place
        self.first = first
        self.last = last
        self.channel = channel
        self.value = value
        self.seen = 0
        self.hits = 0

    def matches(self) -> bool:
        """Count one more occurrence; whether this one fails."""
        self.seen += 1
        if self.first <= self.seen <= self.last:
            self.hits += 1
            return True
        return False

    def __repr__(self) -> str:
        return f"FaultRule({self.text!r})"


class FaultPlan:
    """The faults of one text. Made by :func:`parse`; attached to channels and detached from them at any time."""

    def __init__(self, rules: Iterable[FaultRule]) -> None:
        self.rules = list(rules)

    def __str__(self) -> str:
        return ";".join(rule.text for rule in self.rules)

    def attach(self, channels: Iterable[Injectable]) -> None:
        """Apply the rules to ``channels`` from now on; a rule with ``@chanN`` to that one only.

        :raises ValueError: when a rule names a channel that is not among them
        """
        targets = list(channels)
        known = sorted(channel.index for channel in targets)
        for rule in self.rules:
            if rule.channel >= 0 and rule.channel not in known:
                there = ", ".join(str(index) for index in known) or "none"
                raise ValueError(f"fault '{rule.text}': there is no channel {rule.channel}; the channels here are {there}")
        for rule in self.rules:
            for channel in targets:
                if rule.channel in (-1, channel.index):
                    channel.add_rule(rule)

    def detach(self, channels: Iterable[Injectable]) -> None:
        """Undo :meth:`attach`."""
        for channel in channels:
            for rule in self.rules:
                channel.remove_rule(rule)


def _block(text: str, kind: Kind, word: str) -> tuple[str, int]:
    if word not in ("trca", "evca"):
        raise ValueError(f"fault '{text}': '{word}' is no block; write {kind.name}:trca or {kind.name}:evca")
    return word, 0


def _time(text: str, kind: Kind, word: str) -> tuple[str, int]:
    digits = word.rstrip("nums")
    unit = word[len(digits) :]
    if not (digits.isascii() and digits.isdigit()) or unit not in _UNITS:
        raise ValueError(f"fault '{text}': '{word}' is no time; write 500ns, 2us or 1ms")
    return "", int(digits) * _UNITS[unit]


def _bytes(text: str, kind: Kind, word: str) -> tuple[str, int]:
    try:
        value = int(word, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"fault '{text}': '{word}' is no offset of 32 bits; write {kind.name}:80 or {kind.name}:0x50")
    return "", value


def _fields(text: str, kind: Kind, word: str) -> tuple[str, int]:
    values = {"code": 1, "info": 0}
    for part in word.split(","):
        name, equals, number = part.partition("=")
        if name not in values or not equals:
            raise ValueError(
                f"fault '{text}': '{part}' is no part of an event; write evre:code=4, evre:info=9 or evre:code=4,info=9"
            )
        if not (number.isascii() and number.isdigit()) or int(number) > 15:
            raise ValueError(f"fault '{text}': {name} goes from 0 to 15, not '{number}'")
        values[name] = int(number)
    return "", values["code"] << 4 | values["info"]


_ARGUMENTS: dict[str, tuple[str, Callable[[str, Kind, str], tuple[str, int]]]] = {
    "block": ("the block", _block),
    "time": ("the time", _time),
    "bytes": ("the value", _bytes),
    "fields": ("what the event says", _fields),
}


def _when(text: str, kind: Kind, word: str) -> tuple[int, int]:
    first, last = word, word
    if word == "*":
        return 1, FOREVER
    if word.endswith("+"):
        first, last = word[:-1], str(FOREVER)
    elif "-" in word:
        first, _, last = word.partition("-")
    for number in (first, last):
        if not (number.isascii() and number.isdigit()):
            raise ValueError(f"fault '{text}': '{word}' does not say when; {WHEN_HELP}")
    if not 1 <= int(first) <= int(last):
        raise ValueError(f"fault '{text}': '{word}' does not say when, for counting goes up from 1; {WHEN_HELP}")
    return int(first), int(last)


def _rule(text: str) -> FaultRule:
    body, at, place = text.partition("@")
    channel = -1
    if at:
        digits = place.removeprefix("chan")
        if digits == place or not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"fault '{text}': '@{place}' names no channel; write @chan0, @chan1 and so on")
        channel = int(digits)
    name, *words = body.split(":")
    kind = _BY_NAME.get(name)
    if kind is None:
        names = ", ".join(_BY_NAME)
        if not name:
            raise ValueError(f"fault '{text}': it names no kind; a fault is {SHAPE}, the kinds are {names}")
        close = difflib.get_close_matches(name, _BY_NAME, 1)
        hint = f", did you mean {close[0]}" if close else ""
        raise ValueError(f"fault '{text}': there is no kind '{name}'{hint}; the kinds are {names}")
    key, value = "", 0
    if kind.argument:
        what, reader = _ARGUMENTS[kind.argument]
        if not words or not words[0]:
            raise ValueError(f"fault '{text}': {what} is missing; write for example {kind.example}")
        key, value = reader(text, kind, words.pop(0))
    first, last = (1, FOREVER) if kind.every else (1, 1)
    if words:
        first, last = _when(text, kind, words.pop(0))
    if words:
        shape = kind.name + (f":{kind.argument.upper()}" if kind.argument else "") + "[:WHEN][@chanN]"
        raise ValueError(f"fault '{text}': ':{':'.join(words)}' is too much; it is written {shape}")
    return FaultRule(text, _PLACES[f"{name}:{key}" if key else name], first, last, channel, value)


def parse(text: str) -> FaultPlan:
    """Read faults: ``KIND[:ARGUMENT][:WHEN][@chanN]``, several of them separated by ``;``.

    WHEN counts what the kind counts, from the moment the plan is made: ``3`` is the third, ``3+`` the third and all
    after it, ``3-5`` the third to the fifth, ``*`` every one. Without it the first one fails, and a stuck block every
    time. Without ``@chanN`` the occurrences on all channels are counted together.

    :raises ValueError: one sentence: which part is wrong and what would be right
    """
    return FaultPlan(_rule(part.strip()) for part in text.split(";"))


def reference() -> str:
    """The table of kinds in reStructuredText."""
    out = [".. list-table::", "   :header-rows: 1", "   :widths: 18 22 25 35", ""]
    rows: list[tuple[Any, ...]] = [("Kind", "Example", "WHEN counts", "What happens")]
    for kind in KINDS:
        default = " (every one, unless WHEN says otherwise)" if kind.every else ""
        rows.append((f"``{kind.name}``", f"``{kind.example}``", kind.counts + default, kind.description))
    for row in rows:
        for number, cell in enumerate(row):
            out.append(("   * - " if number == 0 else "     - ") + cell)
    return "\n".join([*out, ""])
