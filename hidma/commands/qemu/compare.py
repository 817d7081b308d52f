# SPDX-License-Identifier: GPL-2.0-only
"""V14's port and the driver of a real Linux on one model: what each did to registers and rings, from the trace of the hardware.

The port's accesses are all there; of the guest only what watching can know (last values, commands taken, doorbells, causes), so
the rows are made of these alone, for both alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hidma
from hidma import firmware
from hidma.hw.events import EVENTS
from hidma.hw.registers import (
    BLOCKS,
    COMMANDS,
    DOORBELL,
    EVRE_SIZE,
    INTCTRL,
    IRQ_CLR,
    IRQ_EN,
    QOS_N,
    QOS_N_ALIAS,
    RING_LEN,
    TRE_SIZE,
    Cause,
    name_of,
)

TRCA, EVCA, MGMT = "hidma.chan0.trca", "hidma.chan0.evca", "hidma.mgmt"
NAMES = {number: name for number, name, _ in COMMANDS}
MANAGEMENT = next(rows for label, _, rows in BLOCKS if label == "management")
SHOWN_COMMANDS = 16

#: Key and title of each row, in the order of a driver's life.
ROWS = (
    ("management", "management registers"),
    ("qos", "the channel's share"),
    ("rings", "rings"),
    ("delivery", "interrupt delivery and enable"),
    ("setup", "commands until the channel is enabled"),
    ("descriptors", "descriptors"),
    ("doorbells", "doorbells"),
    ("events", "events"),
    ("interrupts", "interrupts"),
    ("acknowledge", "first thing after an interrupt"),
    ("removal", "commands after the last transfer"),
    ("error", "a data read error"),
    ("recovery", "commands after the error"),
    ("afterwards", "transfers after the error"),
    ("told", "what the client is told"),
)


@dataclass
class Run:
    """What one driver did: the events of a run without and of a run with an error, and what its client heard in the latter."""

    name: str
    clean: list[dict[str, Any]]
    broken: list[dict[str, Any]]
    told: list[str] = field(default_factory=list)


def as_dicts(events: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Events as a trace file has them, but for the time."""
    return [{"event": event[0], **dict(zip(EVENTS[event[0]], event[1:], strict=True))} for event in events
            if event[0] in EVENTS]


def read(path: str) -> list[dict[str, Any]]:
    """The events of a trace file (``hidma qemu --trace``)."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# --- the port ---------------------------------------------------------------------------------------------------------


def port_board(desc_count: int) -> bytes:
    """The bundled host with one channel, as the guest has it."""
    tree = firmware.load("host")
    management = tree.compatible("qcom,hidma-mgmt-1.0")[0]
    management.properties["dma-channels"] = firmware.u32(1)
    management.children = management.children[:1]
    management.children[0].properties["desc-count"] = firmware.u32(desc_count)
    return firmware.dump(tree)


def port_events(transfers: int, length: int, desc_count: int, faults: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Probe, ``transfers`` copies one after the other, removal; the events, and what the client was told of each transfer."""
    events: list[tuple[Any, ...]] = []
    told: list[str] = []
    with hidma.boot(port_board(desc_count), trace=events.append, faults=faults) as machine:
        channel = machine.dma.request_channel()
        source, dest = machine.alloc(length), machine.alloc(length)
        for number in range(transfers):
            transfer = channel.memcpy(dest, source, length)
            try:
                transfer.wait()
            except OSError:
                told.append(f"transfer {number + 1}: the driver says {transfer.driver}, the hardware {transfer.end}")
        channel.release()
        machine.rmmod("hdma")
    return as_dicts(events), told


def port_run(transfers: int, length: int, desc_count: int, faults: str) -> Run:
    """V14's port, without and with ``faults``."""
    clean, _ = port_events(transfers, length, desc_count, None)
    broken, told = port_events(transfers, length, desc_count, faults)
    return Run("V14 (port)", clean, broken, told)


# --- what a trace says ------------------------------------------------------------------------------------------------


def writes(events: Sequence[dict[str, Any]], block: str, offset: int | None = None) -> list[dict[str, Any]]:
    """The writes to a block, or to one of its registers."""
    return [e for e in events if e["event"] == "write" and e["block"] == block and offset in (None, e["offset"])]


def last(events: Sequence[dict[str, Any]], block: str, offset: int) -> int:
    """The last value written to a register; 0 when none was seen."""
    found = writes(events, block, offset)
    return found[-1]["value"] if found else 0


def commands(events: Sequence[dict[str, Any]]) -> str:
    """The commands in their order, repetitions counted."""
    names = [f"{e['block'].rpartition('.')[2].upper()} {NAMES.get(e['command'], e['command'])}" for e in events
             if e["event"] == "command"]
    out: list[str] = []
    for name in names:
        if out and out[-1].partition(" x")[0] == name:
            count = int(out[-1].partition(" x")[2] or 1) + 1
            out[-1] = f"{name} x{count}"
        else:
            out.append(name)
    if len(out) > SHOWN_COMMANDS:
        out = [*out[:SHOWN_COMMANDS], "..."]
    return ", ".join(out) or "none"


def causes(value: int) -> str:
    return "|".join(cause.name or "" for cause in Cause if value & cause) or "0"


def position(events: Sequence[dict[str, Any]], *names: str) -> list[int]:
    """Where events of these names stand."""
    return [i for i, e in enumerate(events) if e["event"] in names]


def digest(run: Run) -> dict[str, str]:
    """The rows of a run, by key."""
    events = run.clean
    enabled = next((i for i, e in enumerate(events) if e["event"] == "state" and e["block"] == TRCA and e["new"] == 1),
                   len(events))
    setup, rest = events[: enabled + 1], events[enabled + 1 :]
    ends = position(rest, "evre")
    work, after = rest[: ends[-1] + 1] if ends else [], rest[ends[-1] + 1 :] if ends else rest
    values = {e["offset"]: e["value"] for e in writes(setup, MGMT)}
    shares = [offset for offset in values if QOS_N <= offset < QOS_N + 256 or QOS_N_ALIAS <= offset < QOS_N_ALIAS + 256]
    tres, evres = position(work, "tre"), position(work, "evre")
    words = sorted({work[i]["words"][0] for i in tres})
    bells, reaped = writes(rest, TRCA, DOORBELL), writes(rest, EVCA, DOORBELL)
    clears = [e["value"] for e in writes(rest, EVCA, IRQ_CLR)]
    enables = [e["value"] for e in writes(setup, EVCA, IRQ_EN) if e["value"]]
    rises = [i for i in position(rest, "line") if rest[i]["level"]]
    result = {
        "management": ", ".join(f"{name_of(MANAGEMENT, offset)}={value:#x}" for offset, value in sorted(values.items())
                                if offset not in shares) or "none seen",
        "qos": ", ".join(f"{values[offset]:#x} at {offset:#x}" for offset in sorted(shares)[:1]) or "none seen",
        "rings": f"TRE {last(setup, TRCA, RING_LEN)} bytes ({last(setup, TRCA, RING_LEN) // TRE_SIZE} entries), "
                 f"EVRE {last(setup, EVCA, RING_LEN)} bytes ({last(setup, EVCA, RING_LEN) // EVRE_SIZE} entries)",
        "delivery": f"INTCTRL={last(setup, EVCA, INTCTRL):#x}, IRQ_EN={enables[-1] if enables else 0:#x}",
        "setup": commands(setup),
        "descriptors": f"{len(tres)} TREs, first word {', '.join(f'{word:#x}' for word in words) or 'none'}",
        "doorbells": f"{len(bells)} for TREs, {len(reaped)} for events",
        "events": f"{len(evres)} EVREs",
        "interrupts": f"{len(rises)} rises of the line, {len(clears)} writes of IRQ_CLR"
                      + (f" ({', '.join(sorted({causes(c) for c in clears}))})" if clears else ""),
        "acknowledge": acknowledge(rest, rises),
        "removal": commands(after),
    }
    return result | error_rows(run)


def acknowledge(events: Sequence[dict[str, Any]], rises: Sequence[int]) -> str:
    """What came first after a rise of the line: the write of IRQ_CLR or the doorbell of the events."""
    counts = {"IRQ_CLR": 0, "the event doorbell": 0}
    for rise in rises:
        for e in events[rise:]:
            if e["event"] == "write" and e["block"] == EVCA and e["offset"] in (IRQ_CLR, DOORBELL):
                counts["IRQ_CLR" if e["offset"] == IRQ_CLR else "the event doorbell"] += 1
                break
    return ", ".join(f"{name} ({count})" for name, count in counts.items() if count) or "nothing"


def error_rows(run: Run) -> dict[str, str]:
    at = position(run.broken, "error")
    if not at:
        return {"error": "none came", "recovery": "none", "afterwards": "none", "told": "nothing"}
    after = run.broken[at[0] :]
    failed = after[0]
    ctrl = [e for e in after if e["event"] == "command"]
    completed = len(position(after, "evre"))
    return {
        "error": f"TRE {failed['sequence']}, cause {causes(failed['cause'])}; acknowledged with "
                 f"{', '.join(causes(e['value']) for e in writes(after, EVCA, IRQ_CLR)[:1]) or 'nothing'}",
        "recovery": commands(ctrl),
        "afterwards": f"{completed} completed by the hardware",
        "told": "; ".join(run.told) or "nothing",
    }


def table(runs: Sequence[Run]) -> list[str]:
    """The rows of several drivers, one below the other, and which rows are the same."""
    digests = [digest(run) for run in runs]
    width = max(len(run.name) for run in runs)
    lines: list[str] = []
    for key, title in ROWS:
        found = [each[key] for each in digests]
        lines.append(f"{title}{' (the same)' if len(set(found)) == 1 else ''}")
        if len(set(found)) == 1:
            lines.append(f"    {found[0]}")
        else:
            lines += [f"    {run.name:<{width}}  {value}" for run, value in zip(runs, found, strict=True)]
    return lines

