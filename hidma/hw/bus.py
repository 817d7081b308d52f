# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""The system bus: blocks of registers at physical addresses, beside the RAM, and the record of accesses that failed.

An access of another width or alignment than 32 bits, or outside every block, is a bus error: a read gives all ones,
a write is dropped, a record is kept, the machine goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cython

from hidma.hw.clock import Clock
from hidma.hw.memory import Memory
from hidma.hw.trace import Trace

if not cython.compiled:
    from hidma.hw.registers import ALL_ONES


@dataclass(frozen=True)
class Fault:
    """One access that the hardware refused."""

    time: int
    initiator: str
    what: str
    address: int
    width: int
    where: str

    def __str__(self) -> str:
        return f"{self.time} ns: {self.initiator}: {self.what} at 0x{self.address:x} ({self.width} bytes), {self.where}"


class FaultLog:
    """The last refused accesses (a ring of ``depth``) and how many there were in all."""

    def __init__(self, depth: int = 256) -> None:
        self.depth = depth
        self.records: list[Fault] = []
        self.count = 0

    def add(self, fault: Fault) -> None:
        """Record ``fault``; the oldest one is dropped when the log is full."""
        self.count += 1
        self.records.append(fault)
        if len(self.records) > self.depth:
            del self.records[0]


class Block:
    """A block of 32-bit registers. Subclasses give it behaviour by overriding :meth:`read32` and :meth:`write32`.

    :param name: its name in fault records and traces
    :param base: physical address, u64
    :param size: bytes
    """

    def __init__(self, name: str, base: int, size: int) -> None:
        self.name = name
        self.base = base
        self.size = size

    def read32(self, offset: int) -> int:
        """A CPU reads the register at byte ``offset``: its u32 value; time passes."""
        return ALL_ONES

    def write32(self, offset: int, value: int) -> int:
        """A CPU writes the u32 ``value`` to the register at byte ``offset``; time passes."""
        return 0

    def read_odd(self, offset: int, width: int) -> int:
        """An access of ``width`` 1, 2 or 8 bytes: a bus error unless the block says otherwise."""
        return int.from_bytes(b"\xff" * width, "little")

    def write_odd(self, offset: int, width: int, value: int) -> int:
        """As :meth:`read_odd`, for a write: dropped."""
        return 0


class Bus:
    """The physical address space, RAM and blocks, that a kernel is bound to."""

    def __init__(self, clock: Clock, memory: Memory, trace: Trace) -> None:
        self.clock = clock
        self.memory = memory
        self.trace = trace
        self.faults = FaultLog()
        self.blocks: list[Block] = []

    def add(self, block: Block) -> Block:
        """Place ``block``; blocks do not overlap.

        :raises ValueError: when it would lie over another block
        """
        for other in self.blocks:
            if block.base < other.base + other.size and other.base < block.base + block.size:
                raise ValueError(f"{block.name} at 0x{block.base:x} overlaps {other.name} at 0x{other.base:x}")
        self.blocks.append(block)
        self.blocks.sort(key=lambda b: b.base)
        return block

    def find(self, address: int) -> Block | None:
        """The block that holds physical ``address``."""
        for block in self.blocks:
            if block.base <= address < block.base + block.size:
                return block
        return None

    def refuse(self, initiator: str, what: str, address: int, width: int, where: str) -> None:
        """Record a refused access."""
        self.faults.add(Fault(self.clock.now, initiator, what, address, width, where))
        if self.trace.on:
            self.trace.emit(("fault", initiator, what, address, width, where))
