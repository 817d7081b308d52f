# SPDX-License-Identifier: GPL-2.0-only
"""Events as text, JSON and the trace format of Chromium, which Perfetto opens. The same events give the same bytes. It
stands for no C file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hidma.commands.trace.events import CONTEXTS, Event, channels_of
from hidma.commands.trace.recorder import place
from hidma.hw.registers import State

Machines = Sequence[Sequence[Event]]


def seconds(time: int) -> str:
    """A time as the kernel log has it, to the ns."""
    return f"{time // 1_000_000_000}.{time % 1_000_000_000:09}"


def line(event: Event, channel_width: int = 0) -> str:
    text = f"{seconds(event.time):>13} {place(event):<12} {event.channel:<{channel_width}} {event.kind:<9} {event.text}"
    return text.rstrip()


def text(machines: Machines) -> str:
    out = []
    for number, events in enumerate(machines):
        if len(machines) > 1:
            out.append(f"# machine {number}")
        width = max((len(event.channel) for event in events), default=0)
        out += [line(event, width) for event in events]
    return "\n".join(out) + "\n"


def as_json(machines: Machines) -> str:
    """A JSON array with one object an event, one line each."""
    rows = []
    for number, events in enumerate(machines):
        rows += [json.dumps({"machine": number, **asdict(event)}, separators=(",", ":")) for event in events]
    return "[\n" + ",\n".join(rows) + "\n]\n"


# --- Chromium ---------------------------------------------------------------------------------------------------------


class _Chrome:
    """One machine in the trace format: processes are CPUs, channels and the bus, threads are their tracks."""

    CPUS, CHANNELS, BUS = 1, 2, 3

    def __init__(self, number: int, events: Sequence[Event], several: bool) -> None:
        self.base = number * 10
        self.events = events
        self.suffix = f" of machine {number}" if several else ""
        self.out: list[dict[str, Any]] = []
        self.channels = channels_of(events)
        self.cpus = sorted({e.cpu for e in events if e.cpu is not None})
        self.end = max((e.data.get("end", e.time) if e.kind == "burst" else e.time) for e in events)

    def add(self, name: str, phase: str, time: int, process: int, thread: int, arguments: dict[str, Any] | None = None,
            **more: Any) -> None:
        entry: dict[str, Any] = {"name": name, "ph": phase, "ts": time / 1000, "pid": self.base + process, "tid": thread}
        if arguments:
            entry["args"] = arguments
        self.out.append(entry | more)

    def _names(self) -> None:
        for process, name in ((self.CPUS, "CPUs"), (self.CHANNELS, "channels"), (self.BUS, "bus")):
            for kind, value in (("process_name", {"name": name + self.suffix}), ("process_sort_index", {"sort_index": process})):
                self.out.append({"name": kind, "ph": "M", "pid": self.base + process, "tid": 0, "args": value})
        threads = [(self.CPUS, self._cpu(cpu, context), f"CPU {cpu} {context}") for cpu in self.cpus for context in CONTEXTS]
        for channel in self.channels:
            threads += [(self.CHANNELS, self._channel(channel, block), f"{channel} {block}")
                        for block in ("trca", "evca", "line")]
            threads.append((self.BUS, self._channel(channel, "trca"), channel))
        for process, thread, name in threads:
            self.out.append({"name": "thread_name", "ph": "M", "pid": self.base + process, "tid": thread,
                             "args": {"name": name}})
            self.out.append({"name": "thread_sort_index", "ph": "M", "pid": self.base + process, "tid": thread,
                             "args": {"sort_index": thread}})

    @staticmethod
    def _cpu(cpu: int, context: str) -> int:
        return 1 + cpu * len(CONTEXTS) + (len(CONTEXTS) - 1 - CONTEXTS.index(context))

    def _channel(self, channel: str, block: str) -> int:
        return 1 + 3 * self.channels.index(channel) + ("trca", "evca", "line").index(block)

    def run(self) -> list[dict[str, Any]]:
        """The entries, names first, then in the order of time."""
        self._names()
        since: dict[tuple[str, str], tuple[int, str]] = {}
        entered: dict[tuple[int, str], list[tuple[int, str]]] = {}
        fetched: dict[tuple[str, int], Event] = {}
        first = len(self.out)
        for e in self.events:
            track = self._cpu(e.cpu, e.context) if e.cpu is not None and e.context else None
            if e.kind in ("interrupt", "tasklet") and e.cpu is not None:
                name = f"irq {e.data['irq']} {e.channel}".strip() if e.kind == "interrupt" else "tasklet"
                stack = entered.setdefault((e.cpu, e.kind), [])
                if e.data["enter"]:
                    stack.append((e.time, name))
                elif stack:
                    start, name = stack.pop()
                    context = "hardirq" if e.kind == "interrupt" else "softirq"
                    self.add(name, "X", start, self.CPUS, self._cpu(e.cpu, context), dur=(e.time - start) / 1000)
            elif e.kind == "state":
                self._state(e, since)
            elif e.kind == "line":
                self._line(e, since)
            elif e.kind == "burst":
                d = e.data
                self.add(f"{d['direction']} {d['bytes']} bytes", "X", d["start"], self.BUS,
                         self._channel(e.channel, "trca") if e.channel else 0, d, dur=(d["end"] - d["start"]) / 1000)
            elif e.kind == "tre":
                fetched[e.channel, e.data["sequence"]] = e
                self._async("b", e, e)
            elif e.kind == "evre":
                begun = fetched.pop((e.channel, e.data["sequence"]), None)
                if begun is not None:
                    self._async("e", begun, e)
                self.add(e.text, "i", e.time, self.CHANNELS, self._channel(e.channel, "evca"), e.data, s="t")
            elif track is not None:
                self.add(self._label(e), "i", e.time, self.CPUS, track, e.data, s="t")
            elif e.channel in self.channels:
                block = e.data.get("block", "evca" if e.kind == "cause" else "trca")
                self.add(f"{e.kind} {e.text}", "i", e.time, self.CHANNELS, self._channel(e.channel, block), e.data, s="t")
            else:
                self.add(f"{e.kind} {e.text}", "i", e.time, self.BUS, 0, e.data, s="t")
        for (channel, block), (start, name) in since.items():
            self.add(name, "X", start, self.CHANNELS, self._channel(channel, block), dur=(self.end - start) / 1000)
        for (cpu, kind), stack in entered.items():
            for start, name in stack:
                context = "hardirq" if kind == "interrupt" else "softirq"
                self.add(name, "X", start, self.CPUS, self._cpu(cpu, context), dur=(self.end - start) / 1000)
        return self.out[:first] + sorted(self.out[first:], key=lambda entry: entry["ts"])

    @staticmethod
    def _label(e: Event) -> str:
        if e.kind in ("read", "write"):
            return f"{e.kind} {e.data['register']} {e.data['value']:#x}"
        return e.text if e.kind in ("function", "callback") else f"{e.kind} {e.text}"

    def _async(self, phase: str, begun: Event, now: Event) -> None:
        name = f"TRE {begun.data['sequence']}, {begun.data['length']} bytes"
        number = self._channel(begun.channel, "trca") * 1_000_000 + begun.data["sequence"]
        self.add(name, phase, now.time, self.CHANNELS, self._channel(begun.channel, "trca"), now.data, cat=begun.channel,
                 id=f"{self.base}.{number}")

    def _state(self, e: Event, since: dict[tuple[str, str], tuple[int, str]]) -> None:
        key = e.channel, e.data["block"]
        if not e.channel or key[1] not in ("trca", "evca"):
            return
        before = since.get(key)
        if before is not None:
            self.add(before[1], "X", before[0], self.CHANNELS, self._channel(*key), dur=(e.time - before[0]) / 1000)
        since[key] = (e.time, State(e.data["new"]).name)

    def _line(self, e: Event, since: dict[tuple[str, str], tuple[int, str]]) -> None:
        key = e.channel, "line"
        before = since.pop(key, None)
        if before is not None:
            self.add(before[1], "X", before[0], self.CHANNELS, self._channel(*key), dur=(e.time - before[0]) / 1000)
        if e.data["level"] == 1:
            since[key] = (e.time, "up")
        elif e.data["level"] == 2:
            self.add("pulse", "i", e.time, self.CHANNELS, self._channel(*key), s="t")


def chrome(machines: Machines) -> str:
    """The trace event format: open it in Perfetto (ui.perfetto.dev) or about:tracing."""
    rows = []
    for number, events in enumerate(machines):
        rows += _Chrome(number, events, len(machines) > 1).run()
    body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return '{"displayTimeUnit":"ns","traceEvents":[\n' + body + "\n]}\n"
