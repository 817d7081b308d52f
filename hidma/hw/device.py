# SPDX-License-Identifier: GPL-2.0-only
"""A small device, described rather than programmed: rows of registers, a place in RAM that its DMA writes to, one interrupt
line. It is what the devices beside HIDMA are made of, and what a reset plugin brings to show that it stops its device.

    class Ticker(DeviceModel):
        sizes = (0x1000,)
        registers = ((Row(0x00, "CONTROL"), Row(0x04, "TARGET")),)

        def running(self):
            return self.registers_of[0][0x00] & 1

While ``running()`` is true the device writes 64 bytes to ``target()`` every 10 microseconds, through its stream, and raises
its line when ``interrupts()`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hidma.hw.block import ACCESS_NS
from hidma.hw.bus import Block, Bus
from hidma.hw.clock import Event
from hidma.hw.line import Line
from hidma.hw.smmu import WRITE, Stream

BEAT_NS = 10_000
BEAT_BYTES = 64


@dataclass(frozen=True)
class Row:
    """One 32-bit register.

    :ivar offset: bytes from the start of its region
    :ivar name: what a person calls it
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
            value = 0xFFFFFFFF
        else:
            value = device.read(self.number, offset) & 0xFFFFFFFF
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
            device.write(self.number, offset, value)
        device.bus.clock.tick(ACCESS_NS)
        return 0

    def read_odd(self, offset: int, width: int) -> int:
        self.accesses += 1
        self.device.bus.refuse("cpu", "read", self.base + offset, width, self.name)
        self.device.bus.clock.tick(ACCESS_NS)
        return int.from_bytes(b"\xff" * width, "little")

    def write_odd(self, offset: int, width: int, value: int) -> int:
        self.accesses += 1
        self.device.bus.refuse("cpu", "write", self.base + offset, width, self.name)
        self.device.bus.clock.tick(ACCESS_NS)
        return 0


class Beat(Event):
    """The next burst of a device's DMA."""

    def __init__(self, device: DeviceModel) -> None:
        Event.__init__(self)
        self.device = device

    def fire(self) -> int:
        self.device.beat()
        return 0


class DeviceModel:
    """One device; subclasses say what it has and when it runs.

    :param stuck: whether it shall never end a reset
    :cvar name: what a person calls it
    :cvar sizes: bytes of each region
    :cvar registers: rows of each region
    """

    name: ClassVar[str] = "device"
    sizes: ClassVar[tuple[int, ...]] = (0x1000,)
    registers: ClassVar[tuple[tuple[Row, ...], ...]] = ((),)

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
        self.reset()

    def place(self, bus: Bus, bases: list[int], line: Line, stream: Stream) -> list[Block]:
        """Put its regions on ``bus`` at physical ``bases``; returns them."""
        self.bus = bus
        self.line = line
        self.stream = stream
        self.regions: list[Block] = [bus.add(Region(self, number, base, size))
                                     for number, (base, size) in enumerate(zip(bases, self.sizes, strict=True))]
        return self.regions

    # --- registers ----------------------------------------------------------------------------------------------

    def reset(self, region: int | None = None) -> None:
        """Bring the registers (of one region) back to what they are at power-on."""
        for number, rows in enumerate(self.registers):
            if region in (None, number):
                self.registers_of[number] = {row.offset: row.reset for row in rows}

    def read(self, region: int, offset: int) -> int:
        """What a CPU reads."""
        return self.registers_of[region].get(offset, 0)

    def write(self, region: int, offset: int, value: int) -> None:
        """A CPU writes ``value``: stored as its row says, then :meth:`written` is called."""
        store = self.registers_of[region]
        row = self.rows[region].get(offset)
        old = store.get(offset, 0)
        if row is not None:
            value = (old & (row.read_only | row.clear) & ~(value & row.clear)) | value & ~(row.read_only | row.clear)
        store[offset] = value & 0xFFFFFFFF
        self.written(region, offset, value)
        self.update()

    def written(self, region: int, offset: int, value: int) -> None:
        """After a write: what else it does."""

    # --- DMA and interrupt --------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether its DMA moves data, as its registers stand."""
        return False

    def target(self) -> int:
        """Bus address that its DMA writes to, as its registers stand."""
        return 0

    def interrupts(self) -> bool:
        """The level of its line, as its registers stand."""
        return False

    def happened(self) -> None:
        """A burst was moved: set whatever status tells of it."""

    def start_traffic(self, address: int) -> None:
        """Do to the registers what a driver does to let data flow to bus ``address``, with interrupts."""
        raise NotImplementedError(f"the model of {self.name} does not say how its traffic is started (start_traffic())")

    def update(self) -> None:
        """The registers have changed: let DMA and line follow."""
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
