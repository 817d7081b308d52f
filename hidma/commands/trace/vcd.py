# SPDX-License-Identifier: GPL-2.0-only
"""Events as waves: a VCD file, and the GTKWave save file that groups its signals by CPU and channel. Needs the extra
``trace`` (pyvcd). It stands for no C file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from vcd import VCDWriter
from vcd.gtkw import GTKWSave

from hidma.commands.trace.events import CONTEXTS, Event, channels_of
from hidma.hw.registers import State

#: Signals of a channel: name, bits, what it shows.
CHANNEL: tuple[tuple[str, int], ...] = (
    ("trca_state", 4), ("evca_state", 4), ("line", 1), ("irq_stat", 16), ("trca_doorbell", 32), ("evca_doorbell", 32),
    ("tre", 32), ("evre", 32), ("read_burst", 1), ("write_burst", 1), ("bytes", 32), ("error", 16),
)
CPU: tuple[tuple[str, int], ...] = (("context", 2), ("irq", 16), ("tasklet", 1))
STRINGS = ("function", "access")

FUNCTION_END = ""


class _Waves:
    def __init__(self, number: int, events: Sequence[Event], several: bool) -> None:
        self.events = events
        self.top = f"machine{number}" if several else "hidma"
        self.channels = channels_of(events)
        self.cpus = sorted({e.cpu for e in events if e.cpu is not None})
        self.changes: list[tuple[int, int, tuple[str, str], Any]] = []

    @staticmethod
    def scope(channel: str) -> str:
        return channel.replace(".", "_")

    def at(self, time: int, where: str, name: str, value: Any) -> None:
        self.changes.append((time, len(self.changes), (where, name), value))

    def collect(self) -> None:
        for e in self.events:
            d = e.data
            if e.cpu is not None:
                cpu = f"cpu{e.cpu}"
                if e.context:
                    self.at(e.time, cpu, "context", CONTEXTS.index(e.context))
                if e.kind == "function":
                    self.at(e.time, cpu, "function", d["function"])
                elif e.kind in ("read", "write"):
                    self.at(e.time, cpu, "access", f"{e.kind}_{d['register']}={d['value']:#x}")
                elif e.kind == "interrupt":
                    self.at(e.time, cpu, "irq", d["irq"] if d["enter"] else 0)
                    if not d["enter"]:
                        self.at(e.time, cpu, "context", 0)
                elif e.kind == "tasklet":
                    self.at(e.time, cpu, "tasklet", d["enter"])
                    if not d["enter"]:
                        self.at(e.time, cpu, "context", 0)
            if e.channel not in self.channels:
                continue
            c = self.scope(e.channel)
            if e.kind == "state" and d["block"] in ("trca", "evca"):
                self.at(e.time, c, f"{d['block']}_state", d["new"])
            elif e.kind == "line":
                self.at(e.time, c, "line", 1 if d["level"] else 0)
                if d["level"] == 2:
                    self.at(e.time + 1, c, "line", 0)
            elif e.kind == "cause":
                self.at(e.time, c, "irq_stat", d["status"] & 0xFFFF)
            elif e.kind in ("read", "write") and d["register"] == "EVCA_IRQ_STAT":
                self.at(e.time, c, "irq_stat", d["value"] & 0xFFFF)
            elif e.kind == "doorbell":
                self.at(e.time, c, f"{d['block']}_doorbell", d["value"])
            elif e.kind in ("tre", "evre"):
                self.at(e.time, c, e.kind, d["sequence"] & 0xFFFFFFFF)
            elif e.kind == "burst":
                self.at(d["start"], c, f"{d['direction']}_burst", 1)
                self.at(d["start"], c, "bytes", d["bytes"])
                self.at(d["end"], c, f"{d['direction']}_burst", 0)
            elif e.kind == "error":
                self.at(e.time, c, "error", d["cause"] & 0xFFFF)

    def signals(self) -> list[tuple[str, str, int]]:
        """Scope, name and width (0: text) of every signal."""
        found = []
        for cpu in self.cpus:
            found += [(f"cpu{cpu}", name, width) for name, width in CPU]
            found += [(f"cpu{cpu}", name, 0) for name in STRINGS]
        for channel in self.channels:
            found += [(self.scope(channel), name, width) for name, width in CHANNEL]
        return found


def write(machines: Sequence[Sequence[Event]], name: str = "") -> tuple[str, str]:
    """The VCD file and the save file for GTKWave.

    :param name: the file name of the first, for the second
    """
    waves = [_Waves(number, events, len(machines) > 1) for number, events in enumerate(machines)]
    out = io.StringIO()
    with VCDWriter(out, timescale="1 ns", date="", version="hidma", comment="virtual time") as writer:
        variables: dict[tuple[int, str, str], Any] = {}
        last: dict[tuple[int, str, str], Any] = {}
        for number, wave in enumerate(waves):
            wave.collect()
            for where, signal, width in wave.signals():
                key = number, where, signal
                scope = f"{wave.top}.{where}"
                if width:
                    variables[key] = writer.register_var(scope, signal, "wire", size=width, init=0)
                    last[key] = 0
                else:
                    variables[key] = writer.register_var(scope, signal, "string", init=FUNCTION_END)
                    last[key] = FUNCTION_END
        changes = [(time, number, order, key, value) for number, wave in enumerate(waves)
                   for time, order, key, value in wave.changes]
        end = 0
        for time, number, _, (where, signal), value in sorted(changes, key=lambda change: change[:3]):
            key = number, where, signal
            if key in variables and last[key] != value:
                writer.change(variables[key], time, value)
                last[key] = value
            end = max(end, time)
        writer.close(end + 1)
    return out.getvalue(), _save(waves, name)


def _save(waves: Sequence[_Waves], name: str) -> str:
    out = io.StringIO()
    save = GTKWSave(out)
    if name:
        save.dumpfile(name, abspath=False)
    times = [time for wave in waves for time, *_ in wave.changes]
    if times:
        # the window shows about five frames of 200 pixels, each of 2 ** -zoom time units
        save.zoom_markers(-math.log2(max(max(times) - min(times), 1) / 5))
        save.timestart(min(times))
    states = [(state.value, state.name) for state in State]
    contexts = list(enumerate(CONTEXTS))
    for wave in waves:
        for channel in wave.channels:
            with save.group(f"{wave.top} {channel}"):
                for signal, width in CHANNEL:
                    path = f"{wave.top}.{wave.scope(channel)}.{signal}" + (f"[{width - 1}:0]" if width > 1 else "")
                    names = ", ".join(f"{value} {state}" for value, state in states) if signal.endswith("_state") else ""
                    if names:
                        save.comment(names)
                    save.trace(path, datafmt="dec" if signal in ("tre", "evre", "bytes") or names else "hex")
        for cpu in wave.cpus:
            with save.group(f"{wave.top} CPU {cpu}"):
                save.comment(", ".join(f"{value} {context}" for value, context in contexts))
                for signal, width in CPU:
                    path = f"{wave.top}.cpu{cpu}.{signal}" + (f"[{width - 1}:0]" if width > 1 else "")
                    save.trace(path, datafmt="dec")
                for signal in STRINGS:
                    save.trace(f"{wave.top}.cpu{cpu}.{signal}", datafmt="ascii")
    return out.getvalue()
