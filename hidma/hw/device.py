# SPDX-License-Identifier: GPL-2.0-only
"""A small device: rows of registers, an address that its DMA writes to, one interrupt line. The devices beside HIDMA are
subclasses, and so is the model that a reset plugin brings to prove that it stops its device.

    class Ticker(DeviceModel):
        sizes = (0x1000,)
        registers = ((Row(0x00, "CONTROL"), Row(0x04, "TARGET")),)

        def running(self):
            return self.registers_of[0][0x00] & 1

While ``running()`` is true the device writes 64 bytes to ``target()`` every 10 microseconds, through its stream, and drives
its line to the level of ``interrupts()``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from hidma.hw.block import ACCESS_NS
from hidma.hw.bus import Block, Bus
from hidma.hw.clock import Event
from hidma.hw.line import Line
from hidma.hw.registers import ALL_ONES
from hidma.hw.smmu import WRITE, Stream

BEAT_NS = 10_000
BEAT_BYTES = 64


@dataclass(frozen=True)
class Row:
    """One 32-bit register.

    :ivar offset: bytes from the start of its region
    :ivar name: its name in messages and traces
    :ivar reset: value at power-on and after a reset
    :ivar read_only: bits that a write leaves alone
    :ivar clear: bits that are cleared by writing 1
    """

    offset: int
    name: str
    reset: int = 0
    read_only: int = 0
    clear: int = 0


class Region(Block):
    """One region of a device's registers; what no row names is storage. ``accesses`` counts what a CPU did."""

    def __init__(self, device: DeviceModel, number: int, base: int, size: int) -> None:
        super().__init__(f"{device.name}.{number}" if len(device.sizes) > 1 else device.name, base, size)
        self.device = device
        self.number = number
        self.accesses = 0

    def read32(self, offset: int) -> int:
        device = self.device
        self.accesses += 1
        if offset & 3 or offset >= self.size:
            device.bus.refuse("cpu", "read", self.base + offset, 4, self.name)
            value = ALL_ONES
        else:
            value = device.ask(lambda: device.read(self.number, offset) & ALL_ONES, ALL_ONES)
        if device.bus.trace.on:
            device.bus.trace.emit(("read", self.name, offset, value))
        device.bus.clock.tick(ACCESS_NS)
        return value

    def write32(self, offset: int, value: int) -> int:
        device = self.device
        self.accesses += 1
        if device.bus.trace.on:
            device.bus.trace.emit(("write", self.name, offset, value))
        if offset & 3 or offset >= self.size:
            device.bus.refuse("cpu", "write", self.base + offset, 4, self.name)
        else:
            device.ask(lambda: device.write(self.number, offset, value), None)
        device.bus.clock.tick(ACCESS_NS)
        return 0

    def read_odd(self, offset: int, width: int) -> int:
        device = self.device
        if width not in device.widths or offset % width or offset + width > self.size:
            self.accesses += 1
            device.bus.refuse("cpu", "read", self.base + offset, width, self.name)
            device.bus.clock.tick(ACCESS_NS)
            return int.from_bytes(b"\xff" * width, "little")
        if width == 8:
            return self.read32(offset) | self.read32(offset + 4) << 32
        return self.read32(offset & ~3) >> 8 * (offset & 3) & (1 << 8 * width) - 1

    def write_odd(self, offset: int, width: int, value: int) -> int:
        device = self.device
        if width not in device.widths or offset % width or offset + width > self.size:
            self.accesses += 1
            device.bus.refuse("cpu", "write", self.base + offset, width, self.name)
            device.bus.clock.tick(ACCESS_NS)
            return 0
        if width == 8:
            self.write32(offset, value & 0xFFFFFFFF)
            return self.write32(offset + 4, value >> 32)
        shift = 8 * (offset & 3)
        mask = ((1 << 8 * width) - 1) << shift
        old = device.ask(lambda: device.read(self.number, offset & ~3) & 0xFFFFFFFF, 0)
        return self.write32(offset & ~3, old & ~mask | value << shift & mask)


class Unmodelled(Block):
    """Registers that no model serves: they read as 0, and as what was written to them. ``accesses`` counts what a CPU did.

    :param bus: where they are
    :param name: whose they are
    """

    def __init__(self, bus: Bus, name: str, base: int, size: int) -> None:
        super().__init__(name, base, size)
        self.bus = bus
        self.accesses = 0
        self.words: dict[int, int] = {}

    def read32(self, offset: int) -> int:
        self.accesses += 1
        value = self.words.get(offset & ~3, 0)
        if self.bus.trace.on:
            self.bus.trace.emit(("read", self.name, offset, value))
        self.bus.clock.tick(ACCESS_NS)
        return value

    def write32(self, offset: int, value: int) -> int:
        self.accesses += 1
        self.words[offset & ~3] = value & 0xFFFFFFFF
        if self.bus.trace.on:
            self.bus.trace.emit(("write", self.name, offset, value))
        self.bus.clock.tick(ACCESS_NS)
        return 0

    def read_odd(self, offset: int, width: int) -> int:
        if width == 8:
            return self.read32(offset) | self.read32(offset + 4) << 32
        return self.read32(offset) >> 8 * (offset & 3) & (1 << 8 * width) - 1

    def write_odd(self, offset: int, width: int, value: int) -> int:
        if width == 8:
            self.write32(offset, value & 0xFFFFFFFF)
            return self.write32(offset + 4, value >> 32)
        shift = 8 * (offset & 3)
        mask = ((1 << 8 * width) - 1) << shift
        return self.write32(offset, self.words.get(offset & ~3, 0) & ~mask | value << shift & mask)


class Beat(Event):
    """The next burst of a device's DMA."""

    def __init__(self, device: DeviceModel) -> None:
        Event.__init__(self)
        self.device = device

    def fire(self) -> int:
        self.device.ask(self.device.beat, None)
        return 0


class DeviceModel:
    """One device; subclasses define its registers and when it runs.

    :param stuck: whether it shall never end a reset
    :cvar name: its name in messages and traces
    :cvar sizes: bytes of each region
    :cvar registers: rows of each region
    :cvar widths: bytes of the accesses that it takes, of 1, 2, 4 and 8; others are bus errors. One of 1 or 2 is part of a
        register, one of 8 is two of them, the lower first
    :ivar on_failure: called with an exception that a method of it has raised, after which the device is dead: its registers
        read as all ones and it moves nothing. Without it the exception goes on to whoever made the access
    :ivar limit: makes the context of each call of a method of it, which may end what does not return
    """

    name: ClassVar[str] = "device"
    sizes: ClassVar[tuple[int, ...]] = (0x1000,)
    registers: ClassVar[tuple[tuple[Row, ...], ...]] = ((),)
    widths: ClassVar[tuple[int, ...]] = (4,)

    def __init__(self, stuck: bool = False) -> None:
        if len(self.registers) != len(self.sizes):
            raise ValueError(f"{self.name}: {len(self.registers)} lists of rows for {len(self.sizes)} regions")
        for rows, size in zip(self.registers, self.sizes, strict=True):
            for row in rows:
                if row.offset & 3 or not 0 <= row.offset < size:
                    raise ValueError(f"{self.name}: register {row.name} at 0x{row.offset:x} is not in {size} bytes")
        self.stuck = stuck
        self.rows = [{row.offset: row for row in rows} for rows in self.registers]
        self.registers_of: list[dict[int, int]] = [{} for _ in self.sizes]
        self.next_beat = Beat(self)
        self.beats = 0
        self.refused = 0
        self.on_failure: Callable[[BaseException], None] | None = None
        self.limit: Callable[[], AbstractContextManager[None]] = nullcontext
        self.dead = False
        self.reset()

    def place(self, bus: Bus, bases: list[int], line: Line, stream: Stream) -> list[Block]:
        """Put its regions on ``bus`` at physical ``bases``; returns them."""
        self.bus = bus
        self.line = line
        self.stream = stream
        self.regions: list[Block] = [
            bus.add(Region(self, number, base, size))
            for number, (base, size) in enumerate(zip(bases, self.sizes, strict=True))
        ]
        return self.regions

    def ask(self, question: Callable[[], Any], otherwise: Any) -> Any:
        """What a method of the model answers; ``otherwise`` once it is dead."""
        if self.dead:
            return otherwise
        try:
            with self.limit():
                return question()
        except (Exception, SystemExit) as error:
            if self.on_failure is None:
                raise
            self.dead = True
            self.line.set(0)
            self.on_failure(error)
            return otherwise

    # --- registers ----------------------------------------------------------------------------------------------

    def reset(self, region: int | None = None) -> None:
        """Bring the registers (of one region) back to what they are at power-on."""
        for number, rows in enumerate(self.registers):
            if region in (None, number):
                self.registers_of[number] = {row.offset: row.reset for row in rows}

    def read(self, region: int, offset: int) -> int:
        """The value that a CPU reads."""
        return self.registers_of[region].get(offset, 0)

    def write(self, region: int, offset: int, value: int) -> None:
        """A CPU writes ``value``: it is stored by the rules of its row, then :meth:`written` is called."""
        store = self.registers_of[region]
        row = self.rows[region].get(offset)
        old = store.get(offset, 0)
        if row is not None:
            value = (old & (row.read_only | row.clear) & ~(value & row.clear)) | value & ~(row.read_only | row.clear)
        store[offset] = value & ALL_ONES
        self.written(region, offset, value)
        self.update()

    def written(self, region: int, offset: int, value: int) -> None:
        """Called after a write, for its other effects."""

    # --- DMA and interrupt --------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether its DMA moves data, by its registers."""
        return False

    def target(self) -> int:
        """Bus address that its DMA writes to, by its registers."""
        return 0

    def interrupts(self) -> bool:
        """The level of its line, by its registers."""
        return False

    def happened(self) -> None:
        """A burst was moved: set the status bits for it."""

    def start_traffic(self, address: int) -> None:
        """Write the registers as a driver does to start receiving to bus ``address``, with interrupts."""
        raise NotImplementedError(f"the model of {self.name} has no start_traffic(), which starts its traffic")

    def update(self) -> None:
        """The registers have changed: update DMA and line."""
        self.line.set(1 if self.interrupts() else 0)
        if self.running() and not self.next_beat.armed:
            self.bus.clock.schedule(self.next_beat, self.bus.clock.now + BEAT_NS)

    def beat(self) -> None:
        """One burst."""
        if not self.running():
            return
        self.beats += 1
        address = self.target()
        where = self.stream.reach(address, BEAT_BYTES, WRITE)
        if where < 0:
            self.refused += 1
            self.stream.refuse(address, WRITE)
        else:
            memory = self.bus.memory
            memory.view[where : where + BEAT_BYTES] = self.beats.to_bytes(4, "little") * (BEAT_BYTES // 4)
        self.happened()
        self.update()
