# SPDX-License-Identifier: GPL-2.0-only
"""A small machine for the tests of the Linux slice: one clock, RAM, a page of registers, lines, and a kernel on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.hw.bus import Block, Bus
from hidma.hw.clock import Clock, Event
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.trace import Trace
from hidma.linux import io, sched
from hidma.linux.dma_mapping import DmaOps
from hidma.linux.kernel import Kernel

RAM = 0x8000_0000
RAM_SIZE = 1 << 20
REGS = 0x1000_0000
ACCESS_NS = 100


class Regs(Block):
    """A page of storage; each access costs ``cost`` ns, then whatever hangs on its offset is called."""

    def __init__(self, clock: Clock, base: int = REGS, size: int = 0x1000) -> None:
        super().__init__("regs", base, size)
        self.clock = clock
        self.cost = ACCESS_NS
        self.values: dict[int, int] = {}
        self.on_read: dict[int, Callable[[], Any]] = {}
        self.on_write: dict[int, Callable[[int], Any]] = {}

    def read32(self, offset: int) -> int:
        if offset in self.on_read:
            self.on_read[offset]()
        self.clock.tick(self.cost)
        return self.values.get(offset, 0)

    def write32(self, offset: int, value: int) -> int:
        self.values[offset] = value
        if offset in self.on_write:
            self.on_write[offset](value)
        self.clock.tick(self.cost)
        return 0


class Happening(Event):
    """Calls ``function`` when its time has come."""

    def __init__(self, function: Callable[[], Any]) -> None:
        Event.__init__(self)
        self.function = function

    def fire(self) -> int:
        self.function()
        return 0


class Rig:
    """The hardware, one kernel that the test runs on, and as many more as it asks for."""

    def __init__(self, cpus: int = 1, ranks: list[int] | None = None, debug: bool = False) -> None:
        self.clock = Clock()
        self.memory = Memory(RAM, RAM_SIZE)
        self.trace = Trace()
        self.events: list[tuple[Any, ...]] = []
        self.bus = Bus(self.clock, self.memory, self.trace)
        self.regs = Regs(self.clock)
        self.bus.add(self.regs)
        self.kernels: list[Kernel] = []
        self.kernel = self.boot("host", cpus, ranks, debug)
        self.kernel.enter()
        self.base = io.ioremap(REGS, 0x1000)

    def boot(self, name: str, cpus: int = 1, ranks: list[int] | None = None, debug: bool = False) -> Kernel:
        """One more kernel on the same clock and bus."""
        kernel = Kernel(name, self.bus, cpus, debug, ranks)
        kernel.dma_ops = DmaOps(self.memory)
        self.kernels.append(kernel)
        return kernel

    def line(self, irq: int, kernel: Kernel | None = None) -> Line:
        """A line that is interrupt ``irq``."""
        line = Line(irq, f"line{irq}")
        (kernel or self.kernel).gic.wire(irq, line)
        return line

    def at(self, ns: int, function: Callable[[], Any]) -> Event:
        """Let the hardware call ``function`` at ``ns``."""
        event = Happening(function)
        self.clock.schedule(event, ns)
        return event

    def record(self) -> list[tuple[Any, ...]]:
        """The list that every event of the trace goes to from now on."""
        self.trace.open(self.events.append)
        return self.events

    def log(self) -> list[str]:
        """The texts of the kernel log."""
        return [line.text for line in self.kernel.log]

    def close(self) -> None:
        self.trace.close()
        for kernel in self.kernels:
            kernel.close()


def cpu_number() -> int:
    """Number of the CPU that runs."""
    return sched.running_cpu().number


def now() -> int:
    """The running CPU's time in ns."""
    return int(sched.running_cpu().clock.now)
