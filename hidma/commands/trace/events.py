# SPDX-License-Identifier: GPL-2.0-only
"""The vocabulary of a trace: what kinds of events there are, what each carries and how it is said in one line. Events of
the model (`hidma.hw.events`) and of the Linux slice become events of these kinds; there are no others. It stands for no
C file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hidma.hw import registers
from hidma.hw.registers import Cause, Command, Register, State


class Kind(NamedTuple):
    """One kind of event.

    :ivar fields: what ``data`` has
    :ivar about: what it says, a sentence
    """

    fields: tuple[str, ...]
    about: str


KINDS: dict[str, Kind] = {
    "function": Kind(("function",), "A function of the driver was entered."),
    "read": Kind(("register", "offset", "value", "fields", "changed"),
                 "The driver read a register. changed: fields that are not as when it was last seen."),
    "write": Kind(("register", "offset", "value", "fields", "changed"),
                  "The driver wrote a register; the value is as written. changed: as for read."),
    "command": Kind(("block", "command", "taken"),
                    "A command reached a block; taken is 0 when it makes no sense in the block's state."),
    "state": Kind(("block", "old", "new"), "A block changed its state."),
    "doorbell": Kind(("block", "value", "taken"), "A doorbell was rung: taken 1 accepted, 0 dropped, 2 remembered."),
    "tre": Kind(("sequence", "offset", "type", "ieob", "length", "source", "destination", "words"),
                "The hardware fetched a transfer descriptor."),
    "burst": Kind(("sequence", "direction", "address", "bytes", "count", "start", "end"),
                  "Bursts back to back moved bytes over the bus."),
    "evre": Kind(("sequence", "offset", "type", "code", "info", "length", "destination", "words"),
                 "The hardware wrote an event descriptor."),
    "stall": Kind(("sequence",), "The event ring is full: the channel waits for the doorbell of its event channel."),
    "cause": Kind(("causes", "status"), "The hardware raised causes in IRQ_STAT."),
    "line": Kind(("level",), "The interrupt line of a channel went up or down (level 2: a pulse that nothing holds)."),
    "error": Kind(("sequence", "cause", "text"), "The channel stopped with an error."),
    "fault": Kind(("initiator", "what", "address", "width", "where"), "The bus or the IOMMU refused an access."),
    "inject": Kind(("text",), "An injected fault took place."),
    "interrupt": Kind(("irq", "enter"), "A CPU took an interrupt (enter 1), or returned from it (0)."),
    "tasklet": Kind(("enter",), "A CPU began to run a tasklet (1), or ended (0)."),
    "callback": Kind(("function",), "The driver calls its client back."),
    "pm": Kind(("call", "usage"), "A call of runtime PM; usage: the usage count after it."),
    "log": Kind(("level", "text"), "A line of the kernel log."),
    "kernel": Kind(("call", "arguments"), "A call that sets something up: an interrupt, memory, a file, a DMA device."),
    "scenario": Kind(("call", "arguments"), "A replayed scenario begins a step, or a call of it returns."),
}

#: Kinds that happen in the hardware, not on a CPU.
HARDWARE = frozenset(("command", "state", "doorbell", "tre", "burst", "evre", "stall", "cause", "line", "error", "fault",
                      "inject"))

CONTEXTS = ("task", "softirq", "hardirq")
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")

BLOCKS: dict[str, tuple[str, tuple[Register, ...]]] = {
    "trca": ("TRCA", registers.TRCA), "evca": ("EVCA", registers.EVCA), "mgmt": ("HIDMA", registers.MANAGEMENT),
    "management": ("HIDMA", registers.MANAGEMENT),
}


@dataclass(frozen=True)
class Event:
    """One event.

    :ivar time: ns since power-on
    :ivar kind: one of :data:`KINDS`
    :ivar cpu: number of the CPU that it happened on, None for an event of the hardware
    :ivar context: one of :data:`CONTEXTS`, "" for an event of the hardware
    :ivar channel: ``hidma.chan0``; "" when it is no channel's
    :ivar text: what happened, without kind, time and place
    :ivar data: the fields of its kind
    """

    time: int
    kind: str
    cpu: int | None
    context: str
    channel: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


def split(block: str) -> tuple[str, str]:
    """``hidma.chan0.trca`` as channel and block; a scripted device has blocks only."""
    above, _, last = block.rpartition(".")
    return above, last


def value_of(name: str, value: int) -> str:
    """The value of a register's field."""
    kinds = {"command": Command, "state": State}
    if name in kinds:
        return kinds[name](value).name if value in kinds[name]._value2member_map_ else str(value)
    return str(value) if value < 10 else f"{value:#x}"


def channels_of(events: Iterable[Event]) -> list[str]:
    """Names of the channels that events are about; the management block of a core is none."""
    return list(dict.fromkeys(e.channel for e in events if e.channel and not e.data.get("register", "").startswith("HIDMA_")))


def causes_of(value: int) -> str:
    """Bits of IRQ_STAT by name."""
    names = [cause.name or "" for cause in Cause if value & cause]
    rest = value & ~sum(Cause)
    return "|".join([*names, *([f"{rest:#x}"] if rest else [])]) or "none"


#: Records whose event says what they have and no more: kind, channel, text and the values of the kind's fields. A record of the log
#: is none: the printk that follows says the same, and a debug message that is not logged is no event.
SIMPLE: dict[str, Callable[..., Any]] = {
    "stall": lambda channel, sequence: ("stall", channel, f"#{sequence}: the event ring is full", sequence),
    "irq": lambda channel, causes, status: ("cause", channel, f"{causes_of(causes)} (IRQ_STAT {status:#x})", causes, status),
    "line": lambda line, level: ("line", line, "up" if level else "down", level),
    "pulse": lambda line: ("line", line, "pulse", 2),
    "inject": lambda channel, text: ("inject", channel, text, text),
    "function": lambda cpu, name: ("function", "", f"{name}()", name),
    "callback": lambda cpu, name: ("callback", "", f"{name}()", name),
    "tasklet_enter": lambda cpu: ("tasklet", "", "begins", 1),
    "tasklet_exit": lambda cpu: ("tasklet", "", "ends", 0),
    "pm": lambda call, usage: ("pm", "", f"{call}, usage count {usage}", call, usage),
    "log": lambda level, text: None,
}


class Decoder:
    """Makes events of what was recorded; remembers each register as it was last seen."""

    def __init__(self, irqs: dict[int, str] | None = None) -> None:
        self.seen: dict[tuple[str, int], int] = {}
        self.irqs = {} if irqs is None else irqs

    def decode(self, time: int, cpu: int | None, context: str, raw: tuple[Any, ...]) -> Event | None:
        """The event of one record; None for one that says nothing that another does not say."""
        method = SIMPLE.get(raw[0]) or getattr(self, f"_{raw[0]}", None)
        found = method(*raw[1:]) if method is not None else ("kernel", "", *_call(raw))
        if found is None:
            return None
        kind, channel, text, *values = found
        hardware = kind in HARDWARE and not (kind == "fault" and context)
        return Event(time, kind, None if hardware else cpu, "" if hardware else context, channel, text,
                     dict(zip(KINDS[kind].fields, values, strict=True)))

    # --- registers --------------------------------------------------------------------------------------------

    def _access(self, kind: str, block: str, offset: int, value: int) -> tuple[Any, ...]:
        channel, last = split(block)
        prefix, rows = BLOCKS.get(last, (last.upper(), ()))
        name = f"{prefix}_{registers.name_of(rows, offset)}"
        found = registers.find(rows, offset)
        fields = found[0].decode(value) if found is not None else {}
        before = self.seen.get((block, offset))
        old = found[0].decode(before) if found is not None and before is not None else {}
        changed = {f: [old.get(f), v] for f, v in fields.items() if old.get(f) != v}
        self.seen[block, offset] = value
        if kind == "write" and found is not None and found[0].clears:
            self.seen[block, offset] = 0  # what is written there is not kept
        text = f"{name} {'=' if kind == 'write' else 'is'} {value:#010x}"
        if found is not None and found[0].name.startswith("IRQ_"):
            text += f"  {causes_of(value)}"
        elif fields:
            told = []
            for field_, value_ in fields.items():
                was = old.get(field_)
                now = f"{field_} {value_of(field_, value_)}"
                told.append(now + (f" (was {value_of(field_, was)})" if was is not None and was != value_ else ""))
            text += "  " + ", ".join(told)
        elif before is not None and before != value:
            text += f"  (was {before:#x})"
        if not fields and before != value:
            changed = {"value": [before, value]}
        return kind, channel, text, name, offset, value, fields, changed

    def _read(self, block: str, offset: int, value: int) -> Any:
        return self._access("read", block, offset, value)

    def _write(self, block: str, offset: int, value: int) -> Any:
        return self._access("write", block, offset, value)

    # --- the hardware -----------------------------------------------------------------------------------------

    def _command(self, block: str, command: int, taken: int) -> Any:
        channel, last = split(block)
        text = f"{last} {value_of('command', command)}" + ("" if taken else ", ignored")
        return "command", channel, text, last, command, taken

    def _state(self, block: str, old: int, new: int) -> Any:
        channel, last = split(block)
        text = f"{last} {value_of('state', old)} -> {value_of('state', new)}"
        return "state", channel, text, last, old, new

    def _doorbell(self, block: str, value: int, taken: int) -> Any:
        channel, last = split(block)
        text = f"{last} {value:#x}{('', ', dropped', '', ', remembered')[2 if taken == 1 else 3 if taken == 2 else 1]}"
        return "doorbell", channel, text, last, value, taken

    def _tre(self, channel: str, sequence: int, offset: int, words: Any) -> Any:
        head = {f.name: f.of(words[0]) for f in registers.TRE[0].fields}
        kind = {3: "memcpy", 4: "memset"}.get(head["type"], f"type {head['type']}")
        source, destination = words[2] | words[3] << 32, words[4] | words[5] << 32
        text = (f"#{sequence} at {offset:#x}: {kind} {words[1]} bytes {source:#x} -> {destination:#x}"
                + (", interrupt" if head["ieob"] else ""))
        return "tre", channel, text, sequence, offset, head["type"], head["ieob"], words[1], source, destination, list(words)

    def _evre(self, channel: str, sequence: int, offset: int, words: Any) -> Any:
        head = {f.name: f.of(words[0]) for f in registers.EVRE[0].fields}
        code = {1: "complete", 4: "error"}.get(head["code"], f"code {head['code']}")
        destination = words[2] | words[3] << 32
        text = f"#{sequence} at {offset:#x}: {code}, info {head['info']:#x}, {words[1]} bytes -> {destination:#x}"
        return ("evre", channel, text, sequence, offset, head["type"], head["code"], head["info"], words[1], destination,
                list(words))

    def _burst(self, channel: str, sequence: int, direction: str, address: int, size: int, count: int, start: int,
               end: int) -> Any:
        text = (f"#{sequence} {direction} {size} bytes at {address:#x} in {count} burst{'s' if count != 1 else ''}, "
                f"{end - start} ns")
        return "burst", channel, text, sequence, direction, address, size, count, start, end

    def _error(self, channel: str, sequence: int, cause: int, text: str) -> Any:
        said = f"#{sequence}: {text} ({causes_of(cause)})"
        return "error", channel, said, sequence, cause, text

    def _fault(self, initiator: str, what: str, address: int, width: int, where: str) -> Any:
        text = f"{initiator}: {what} at {address:#x}, {width} bytes" + (f" ({where})" if where else "")
        return "fault", initiator, text, initiator, what, address, width, where

    # --- the kernel -------------------------------------------------------------------------------------------

    def _irq_enter(self, cpu: int, irq: int) -> Any:
        return "interrupt", self.irqs.get(irq, ""), f"irq {irq}", irq, 1

    def _irq_exit(self, cpu: int, irq: int) -> Any:
        return "interrupt", self.irqs.get(irq, ""), f"irq {irq} returns", irq, 0

    def _printk(self, level: int, text: str) -> Any:
        said = text.rstrip("\n")
        return "log", "", said, LEVELS[level] if 0 <= level < len(LEVELS) else str(level), said

    def _scenario(self, call: str, arguments: list[Any]) -> Any:
        text = f"{call} {' '.join(_short(a) for a in arguments)}".rstrip()
        return "scenario", "", text, call, arguments


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _call(raw: tuple[Any, ...]) -> tuple[str, str, list[Any]]:
    """A record that has no method: something is set up."""
    arguments = [a if isinstance(a, (int, str, type(None))) else str(a) for a in raw[1:]]
    return f"{raw[0]} {' '.join(_short(a) for a in arguments)}".rstrip(), raw[0], arguments
