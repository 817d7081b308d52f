# SPDX-License-Identifier: GPL-2.0-only
"""How a stop is said in text, for both faces of the stepper. It stands for no C file."""

from __future__ import annotations

from hidma.commands.step.engine import Session, Stop
from hidma.commands.step.state import ChannelState, Slot, changes
from hidma.commands.trace.events import BLOCKS, Event, value_of
from hidma.commands.trace.formats import line

RING_SLOTS = 8


def source(stop: Stop, around: int = 3) -> list[str]:
    """The line of the port, those around it, and the C function."""
    here = stop.location
    if here is None:
        if stop.event is not None and stop.event.cpu is None:
            return ["the hardware is at work, the driver is not"]
        return ["no line of the driver"]
    out = []
    c = here.c
    where = f"{here.path}:{here.line}" + (f" {here.function}()" if here.function else "")
    if c is not None:
        path, function = c
        lines = f"lines {function.first}-{function.last}" if function.first else f"made by {function.macro}"
        out.append(f"C: {path} {function.name}(), {lines}")
    hardware = stop.event is not None and stop.event.cpu is None
    out.insert(0, f"the hardware is at work, while the driver is at {where}" if hardware else where)
    for number, text in here.text(around):
        out.append(f"{'>' if number == here.line else ' '}{number:>5}  {text}")
    return out


def register(name: str, value: int, before: int | None = None) -> str:
    prefix, _, rest = name.partition("_")
    rows = next((rows for short, rows in BLOCKS.values() if short == prefix), ())
    row = next((row for row in rows if row.name == rest), None)
    text = f"{name} {value:#010x}"
    if row is not None and rest == "CTRLSTS":
        text += "  " + ", ".join(f"{f} {value_of(f, v)}" for f, v in row.decode(value).items())
    if before is not None and before != value:
        text += f"  (was {before:#x})"
    return text


def channel_of(session: Session, pinned: str = "") -> str:
    """The channel to show: the one that is asked for, that of the event, or the first."""
    channels = session.at.state.channels
    if pinned in channels:
        return pinned
    event = session.at.event
    if event is not None and event.channel in channels:
        return event.channel
    for recent in reversed(session.at.recent):
        if recent.channel in channels:
            return recent.channel
    return next(iter(channels), "")


def registers(session: Session, name: str) -> list[tuple[str, bool]]:
    """Each register of a channel, and whether it just changed."""
    channel = session.at.state.channels.get(name)
    if channel is None:
        return []
    old = session.before.channels.get(name)
    out = []
    for register_, value in channel.registers.items():
        before = old.registers.get(register_) if old is not None else None
        out.append((register(register_, value, before), before is not None and before != value))
    return out


def ring(slots: list[Slot], most: int = RING_SLOTS) -> list[str]:
    """Entries of a ring: those that a pointer stands at or that are not empty, up to ``most``."""
    if not slots:
        return ["not allocated"]
    shown = [slot for slot in slots if slot.marks]
    shown += [slot for slot in slots if not slot.marks and any(slot.words)][:max(most - len(shown), 0)]
    out = []
    for slot in sorted(shown, key=lambda slot: slot.index):
        marks = f"  <- {', '.join(slot.marks)}" if slot.marks else ""
        out.append(f"[{slot.index}] {slot.text or 'empty'}{marks}")
    rest = len(slots) - len(shown)
    if rest > 0:
        out.append(f"{rest} more")
    return out


def driver(channel: ChannelState) -> list[str]:
    return [f"{name}: {text}" for name, text in channel.driver.items()] or ["the driver has nothing of this channel yet"]


def event(number: int, what: Event | None) -> str:
    return f"#{number}" if what is None else f"#{number} {line(what).strip()}"


def brief(session: Session) -> list[str]:
    stop = session.at
    out = [event(stop.number, stop.event)]
    out += source(stop, 1)
    name = channel_of(session)
    for register_, old, new in changes(session.before, stop.state, name):
        out.append(f"  {name} {register(register_, new, old)}")
    return out


def whole(session: Session, pinned: str = "") -> list[str]:
    stop = session.at
    out = [event(stop.number, stop.event), *source(stop)]
    name = channel_of(session, pinned)
    if name:
        channel = stop.state.channels[name]
        out += ["", f"{name}: registers"]
        out += [f"  {'*' if changed else ' '} {text}" for text, changed in registers(session, name)]
        out += ["", f"{name}: TRE ring", *(f"    {text}" for text in ring(channel.tre))]
        out += ["", f"{name}: EVRE ring", *(f"    {text}" for text in ring(channel.evre))]
        out += ["", f"{name}: driver", *(f"    {text}" for text in driver(channel))]
    if stop.state.cpus:
        out += ["", "CPUs", *(f"    {text}" for text in stop.state.cpus)]
    return out


def end(session: Session) -> list[str]:
    out = [f"the run is over after {session.number} events, exit status {session.status}"
           + (f": {session.error}" if session.error else "")]
    return out + session.output.getvalue().rstrip().splitlines()[-12:]
