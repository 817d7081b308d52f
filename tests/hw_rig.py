# SPDX-License-Identifier: GPL-2.0-only
"""A small machine for the tests of the hardware model: RAM, an SMMU, one core. Driven by registers and memory alone."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from hidma.hw.bus import Bus
from hidma.hw.channel import Channel
from hidma.hw.clock import Clock, Timeline
from hidma.hw.core import HidmaCore
from hidma.hw.engine import Timing
from hidma.hw.line import Line, LineSink
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace

RAM = 0x8000_0000
MGMT = 0xF998_4000
PAGES = 0xF990_0000

# the registers, written out once more: what a driver believes
CTRLSTS, INTCTRL, RING_LOW, RING_HIGH, RING_LEN, READ_PTR, WRITE_PTR, CHIDX = 0, 4, 8, 0xC, 0x10, 0x18, 0x20, 0x28
IRQ_STAT, IRQ_CLR, IRQ_EN, DOORBELL = 0x100, 0x108, 0x110, 0x400
DISABLE, ENABLE, SUSPEND, RESET = 0, 1, 2, 9
DISABLED, ENABLED, RUNNING, SUSPENDED, STOPPED, ERROR, IN_RESET = 0, 1, 2, 3, 4, 5, 9
EOB, EVENT_WRITE, TRE_READ, DATA_READ, DATA_WRITE, INVALID, RESET_DONE = 1, 2, 0x200, 0x400, 0x800, 0x4000, 0x8000
ENABLE_IRQS = EOB | EVENT_WRITE | TRE_READ | DATA_READ | DATA_WRITE | INVALID
QOS, CFG, CHRESET_TIMEOUT, MAX_BUS, MAX_XACTIONS, HW_VERSION = 0x300, 0x400, 0x418, 0x41C, 0x420, 0x424


class Ear(LineSink):
    """Listens to a line: ``(time, level)`` of each change, -1 for a pulse."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heard: list[tuple[int, int]] = []

    def line_changed(self, line: Line) -> int:
        self.heard.append((self.clock.now, line.level))
        return 0

    def line_pulsed(self, line: Line) -> int:
        self.heard.append((self.clock.now, -1))
        return 0


class Pair:
    """One channel as its driver sees it: two pages of registers, two rings, an interrupt line."""

    def __init__(self, rig: Rig, index: int, entries: int) -> None:
        self.rig = rig
        self.index = index
        self.line = Line(100 + index, f"chan{index}")
        self.ear = Ear(rig.clock)
        self.line.sink = self.ear
        self.stream = rig.smmu.stream(index)
        self.trca = PAGES + 0x2000 * index
        self.evca = self.trca + 0x1000
        self.model: Channel = rig.core.add_channel(index, self.trca, self.evca, self.line, self.stream)
        self.entries = entries
        self.space = rig.share * index
        self.tre_ring = RAM + self.space
        self.evre_ring = self.tre_ring + 32 * entries
        self.data = RAM + self.space + ((48 * entries + 0xFFF) & ~0xFFF)
        self.tail = 0
        self.head = 0

    # --- registers --------------------------------------------------------------------------------------------

    def t(self, offset: int) -> int:
        return self.rig.read(self.trca + offset)

    def e(self, offset: int) -> int:
        return self.rig.read(self.evca + offset)

    def tw(self, offset: int, value: int) -> None:
        self.rig.write(self.trca + offset, value)

    def ew(self, offset: int, value: int) -> None:
        self.rig.write(self.evca + offset, value)

    @property
    def states(self) -> tuple[int, int]:
        """The state fields, without an access."""
        model = self.model
        return model.trca.peek(CTRLSTS) >> 8 & 0xFF, model.evca.peek(CTRLSTS) >> 8 & 0xFF

    def command(self, both: int) -> None:
        """The same command to EVCA, then to TRCA."""
        self.ew(CTRLSTS, both << 16)
        self.tw(CTRLSTS, both << 16)

    def reset(self) -> None:
        """Reset of both, until it is over."""
        self.tw(CTRLSTS, RESET << 16)
        self.ew(CTRLSTS, RESET << 16)
        self.rig.run(10_000)
        self.tail = self.head = 0

    def program(self) -> None:
        """Ring registers, interrupt by the line, all causes enabled."""
        self.tw(RING_LOW, self.tre_ring & 0xFFFFFFFF)
        self.tw(RING_HIGH, self.tre_ring >> 32)
        self.tw(RING_LEN, 32 * self.entries)
        self.ew(RING_LOW, self.evre_ring & 0xFFFFFFFF)
        self.ew(RING_HIGH, self.evre_ring >> 32)
        self.ew(RING_LEN, 16 * self.entries)
        self.ew(INTCTRL, 1)
        self.ew(IRQ_CLR, 0xFFFFFFFF)
        self.ew(IRQ_EN, ENABLE_IRQS)

    def up(self) -> Pair:
        """What a driver does until the channel is ready."""
        self.reset()
        self.program()
        self.command(ENABLE)
        assert self.states == (ENABLED, ENABLED)
        self.ear.heard.clear()
        return self

    # --- rings ------------------------------------------------------------------------------------------------

    def tre(self, *words: int) -> None:
        """Put a TRE of up to 8 words at the tail of the ring; no doorbell."""
        self.rig.store(RAM + self.space + 32 * self.tail, *words, *([0] * (8 - len(words))))
        self.tail = (self.tail + 1) % self.entries

    def copy(self, dest: int, source: int, length: int, ieob: int = 1, kind: int = 3) -> None:
        """Put a memcpy (or with kind 4 a memset of the pattern ``source``) into the ring."""
        word = kind | (self.index & 0xFF) << 8 | ieob << 16
        self.tre(word, length, source & 0xFFFFFFFF, source >> 32, dest & 0xFFFFFFFF, dest >> 32)

    def ring(self) -> None:
        """The doorbell."""
        self.tw(DOORBELL, 32 * self.tail)

    def events(self) -> list[tuple[int, int, int, int]]:
        """Read the events that are there, and tell the EVCA."""
        write = self.e(WRITE_PTR)
        found = []
        while 16 * self.head != write:
            found.append(self.rig.load(self.evre_ring - RAM + RAM + 16 * self.head, 4))
            self.head = (self.head + 1) % self.entries
        self.ew(DOORBELL, 16 * self.head)
        self.ew(IRQ_CLR, 0xFFFFFFFF)
        return found

    def random_bytes(self, offset: int, length: int, seed: int = 1) -> bytes:
        """Fill the data area of the channel from ``offset`` on."""
        data = random.Random(seed).randbytes(length)
        self.rig.memory.slice(self.data + offset, length)[:] = data
        return data


class Rig:
    """The machine. ``share`` is the part of RAM that each channel has for rings and data."""

    def __init__(
        self,
        channels: int = 1,
        entries: int = 8,
        managed: bool = False,
        instant: bool = True,
        timing: Timing | None = None,
        share: int = 1 << 20,
        ram: int = 0,
        timeline: bool = False,
        traced: bool = False,
    ) -> None:
        self.clock = Clock()
        self.share = share
        self.memory = Memory(RAM, ram or share * channels)
        self.log: list[tuple[int, Any]] = []
        self.bus = Bus(self.clock, self.memory, Trace())
        if traced:
            self.bus.trace.open(lambda event: self.log.append((self.clock.now, event)))
        if timeline:
            line = Timeline(self.clock, 0)
            line.runnable = 1
            self.clock.add(line)
            self.clock.current = self.clock.main = line
        self.smmu = Smmu(self.bus)
        self.core = HidmaCore(
            self.bus,
            self.smmu,
            channels=channels,
            management=(MGMT, 0x15000) if managed else None,
            instant=instant,
            timing=timing,
        )
        self.pairs = [Pair(self, index, entries) for index in range(channels)]

    def read(self, address: int) -> int:
        block = self.bus.find(address)
        assert block is not None
        return block.read32(address - block.base)

    def write(self, address: int, value: int) -> None:
        block = self.bus.find(address)
        assert block is not None
        block.write32(address - block.base, value)

    def m(self, offset: int) -> int:
        return self.read(MGMT + offset)

    def mw(self, offset: int, value: int) -> None:
        self.write(MGMT + offset, value)

    def run(self, ns: int) -> None:
        """Let ``ns`` nanoseconds pass."""
        self.clock.tick(ns)

    def store(self, address: int, *words: int) -> None:
        for number, word in enumerate(words):
            self.memory.write32(address + 4 * number, word & 0xFFFFFFFF)

    def load(self, address: int, count: int) -> Any:
        return tuple(self.memory.read32(address + 4 * number) for number in range(count))

    def bytes(self, address: int, length: int) -> bytes:
        return bytes(self.memory.slice(address, length))


def story() -> str:
    """A run with a little of everything; its whole trace and the memory afterwards, as a digest."""
    rig = Rig(channels=4, entries=32, managed=True, instant=False, share=1 << 18, traced=True)
    rig.mw(MAX_BUS, 1024 << 16 | 256)
    rig.mw(MAX_XACTIONS, 7 << 16 | 31)
    rig.mw(CFG, 1)
    rng = random.Random(14)
    domain = rig.smmu.domain("scattered")
    for page in range(64):
        domain.map(RAM + page * 4096, RAM + (page ^ 3) * 4096, 4096, 3)
    rig.pairs[3].stream.attach(domain)
    rig.core.inject("irq-late:70ns:3;evre:code=4,info=3:6;read-burst:200@chan1;irq-lost:9;write-ptr:80:11")
    for p in rig.pairs:
        rig.mw(QOS + 4 * p.index, (p.index & 1) << 15 | (p.index + 1) << 8)
        p.random_bytes(0, 0x20000, p.index)
        p.up()
    for _ in range(400):
        p = rng.choice(rig.pairs)
        length = rng.randrange(1, 9000)
        source, dest = rng.randrange(0x1F000), rng.randrange(0x1F000)
        p.copy(p.data + dest, p.data + source, length, kind=rng.choice((3, 3, 3, 4)))
        p.ring()
        rig.run(rng.randrange(3000))
        if rng.random() < 0.5:
            p.events()
        if rng.random() < 0.03:
            p.command(rng.choice((0, 2)))
            p.command(1)
        if rng.random() < 0.03:
            p.up()
    digest = hashlib.sha256(rig.bytes(RAM, rig.memory.size))
    for time, event in rig.log:
        digest.update(f"{time} {event}\n".encode())
    return f"{len(rig.log)} events, {digest.hexdigest()}"
