# SPDX-License-Identifier: GPL-2.0-only
"""The hardware model in the guest's memory: a core of `hidma.hw` whose RAM is the guest's and whose blocks lie in the window of
registers that both have mapped, and the watcher over them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from hidma.commands.qemu.assign import GuestSmmu
from hidma.commands.qemu.board import RAM_BASE, Layout
from hidma.hw.bus import Bus
from hidma.hw.clock import Clock
from hidma.hw.core import HidmaCore
from hidma.hw.engine import Timing
from hidma.hw.events import EVENTS
from hidma.hw.faults import FaultPlan
from hidma.hw.line import Line, LineSink
from hidma.hw.memory import Memory
from hidma.hw.registers import COMMANDS, PAGE
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace
from hidma.hw.watch import WatchedChannel, Watcher

COMMAND_NAMES = {number: name for number, name, _ in COMMANDS}


class Lines(LineSink):
    """The interrupt lines of the model, driven in the guest's interrupt controller.

    :param drive: called with the SPI and the level
    """

    def __init__(self, drive: Callable[[int, int], None]) -> None:
        self.drive = drive

    def line_changed(self, line: Line) -> int:
        self.drive(line.number, line.level)
        return 0

    def line_pulsed(self, line: Line) -> int:
        self.drive(line.number, 1 - line.level)
        self.drive(line.number, line.level)
        return 0


class Model:
    """The hardware of one guest.

    :param ram: the guest's RAM without the registers, ``layout.usable`` bytes that QEMU has mapped too
    :param window: the pages of registers, mapped there too
    :param layout: where everything is
    :param drive: raises and lowers an SPI
    :param timing: what the hardware's work costs; it takes that much real time
    :param faults: what is to go wrong
    """

    def __init__(self, ram: memoryview, window: memoryview, layout: Layout, drive: Callable[[int, int], None],
                 timing: Timing | None = None, faults: FaultPlan | None = None) -> None:
        self.layout = layout
        self.clock = Clock()
        self.trace = Trace()
        # the window is no RAM for the hardware: a descriptor cannot reach registers
        self.memory = Memory(RAM_BASE, layout.usable, ram)
        self.bus = Bus(self.clock, self.memory, self.trace)
        self.smmu = Smmu(self.bus)
        self.window = window
        self.core = HidmaCore(self.bus, self.smmu, channels=layout.channels, management=(layout.window, PAGE), timing=timing,
                              management_buffer=self._page(layout.window))
        self.sink = Lines(drive)
        for index in range(layout.channels):
            line = Line(layout.spi(index), f"chan{index}")
            line.sink = self.sink
            trca, evca = layout.trca(index), layout.evca(index)
            self.core.add_channel(index, trca, evca, line, self.smmu.stream(index, f"chan{index}"),
                                  trca_buffer=self._page(trca), evca_buffer=self._page(evca))
        if faults is not None:
            self.core.inject(faults)
        self.watcher = Watcher(self.core)

    def _page(self, address: int) -> memoryview:
        start = address - self.layout.window
        return self.window[start : start + PAGE]

    def translate(self, tables: GuestSmmu) -> None:
        """Let the guest's SMMU decide which memory each channel reaches."""
        for index in range(self.layout.channels):
            domain = self.smmu.domain(f"guest{index}")
            domain.source = partial(tables.page, self.layout.stream(index))
            self.smmu.stream(index).attach(domain)

    @property
    def channels(self) -> list[WatchedChannel]:
        """The channels, each with what was seen of it."""
        return self.watcher.channels

    def descriptors(self) -> int:
        """TREs worked off by all channels."""
        return sum(watched.channel.tre_done for watched in self.channels)

    def record(self, file: TextIO) -> None:
        """Write every event of the hardware to ``file`` from now on, as a line of JSON: its time in ns, its name, its fields."""

        def sink(event: tuple[Any, ...]) -> None:
            fields = dict(zip(EVENTS[event[0]], event[1:], strict=True))
            file.write(json.dumps({"t": self.clock.now, "event": event[0], **fields}) + "\n")

        self.trace.open(sink)

    def report(self) -> list[dict[str, Any]]:
        """What each channel did and what was asked of it, for people and programs."""
        rows = []
        for watched in self.channels:
            channel = watched.channel
            commands: dict[str, dict[str, int]] = {"trca": {}, "evca": {}}
            for (block, number), count in sorted(watched.commands.items()):
                commands[block][COMMAND_NAMES.get(number, str(number))] = count
            rows.append({"channel": channel.index, "descriptors": channel.tre_done, "bytes": channel.bytes_moved,
                         "interrupts": channel.line.raised, "doorbells": watched.doorbells,
                         "event_doorbells": watched.event_doorbells, "clears": watched.clears,
                         "reminders": watched.reminders, "repaired": watched.repaired, "errors": channel.errors,
                         "commands": commands, "weight": channel.weight, "priority": channel.priority})
        return rows
