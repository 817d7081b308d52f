# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""A block of registers whose behaviour is made from the rows of `registers.py`.

At construction the rows become two tables with an entry for each word: the effect of a write, and the bits that a write
leaves alone. A read is a fetch from the array of words, because the model stores the value of a register there whenever
it changes. The words may lie in a buffer that another process maps (a watched page): then the model keeps its own copy of
everything that software cannot write, and does not read those words back.
"""

from __future__ import annotations

import mmap
from functools import lru_cache

import cython

from hidma.hw.bus import Block, Bus
from hidma.hw.registers import HOOKS, Register

if not cython.compiled:
    from hidma.hw.cmem import bytes_of, words_of
    from hidma.hw.registers import ALL_ONES, KEEPS

    ACCESS_NS = 100

NO_REGISTERS = memoryview(bytearray(4096))


@lru_cache(maxsize=64)
def tables(rows: tuple[Register, ...], size: int) -> tuple[bytearray, bytearray]:
    """For each word of ``size`` bytes of registers: a byte, the effect of a write, and a u32, the read-only bits.

    :raises ValueError: when a row lies outside the block or over another row
    """
    codes = bytearray(size // 4)
    keeps = bytearray(size // 4 * 4)
    keep_words = memoryview(keeps).cast("I")
    taken: dict[int, str] = {}
    for row in rows:
        code = HOOKS[row.hook] if row.hook else KEEPS if row.read_only else 0
        for start in (row.offset, row.alias):
            for number in range(row.count if start >= 0 else 0):
                offset = start + 4 * number
                if offset & 3 or offset + 4 > size:
                    raise ValueError(f"register {row.name} at 0x{offset:x} does not fit a block of {size} bytes")
                if offset in taken:
                    raise ValueError(f"registers {row.name} and {taken[offset]} are both at 0x{offset:x}")
                taken[offset] = row.name
                codes[offset >> 2] = code
                keep_words[offset >> 2] = row.read_only
    keep_words.release()
    return codes, keeps


class RegisterBlock(Block):
    """Registers made from ``rows``; everything between them is storage.

    :param name: its name in messages and traces
    :param bus: where it will be placed (:meth:`Bus.add` does that)
    :param base: physical address, u64, a multiple of 4
    :param size: bytes, a multiple of 4
    :param rows: the registers
    :param buffer: at least ``size`` writable bytes that hold the words instead of fresh memory
    :raises ValueError: when base, size, buffer or rows do not fit

    ``access_ns`` is the time of an access, ``initiator`` the name that a refused one is recorded under; ``reads`` and
    ``writes`` count the accesses, ``writes_ignored`` the writes to read-only registers.
    """

    def __cinit__(self, *args: object, **options: object) -> None:
        """Compiled only: what was never initialised has a page of registers all the same."""
        self.w = self.keeps = words_of(NO_REGISTERS)
        self.codes = bytes_of(NO_REGISTERS)

    def __init__(
        self,
        name: str,
        bus: Bus,
        base: int,
        size: int,
        rows: tuple[Register, ...],
        buffer: memoryview | bytearray | mmap.mmap | None = None,
    ) -> None:
        Block.__init__(self, name, base, size)
        if base & 3 or size & 3 or not 4 <= size <= 1 << 30:
            raise ValueError(
                f"{name}: registers need an address and a size that are multiples of 4, not 0x{base:x} and {size}"
            )
        self.bus = bus
        self.clock = bus.clock
        self.trace = bus.trace
        self.rows = rows
        self.buffer = bytearray(size) if buffer is None else buffer
        self.view = memoryview(self.buffer).cast("B")
        if len(self.view) < size:
            raise ValueError(f"{name}: {len(self.view)} bytes of buffer do not hold {size} bytes of registers")
        self.codes_of, self.keeps_of = tables(rows, size)
        self.w = words_of(self.view)
        self.codes = bytes_of(memoryview(self.codes_of))
        self.keeps = words_of(memoryview(self.keeps_of))
        self.access_ns = ACCESS_NS
        self.initiator = "cpu"
        self.reads = 0
        self.writes = 0
        self.writes_ignored = 0
        for row in rows:
            for number in range(row.count):
                self.w[(row.offset >> 2) + number] = row.reset
                if row.alias >= 0:
                    self.w[(row.alias >> 2) + number] = row.reset

    # --- accesses from outside --------------------------------------------------------------------------------

    def read32(self, offset: int) -> int:
        self.reads += 1
        if offset & 3 or offset >= self.size:
            self.refuse("read", offset, 4)
            value = ALL_ONES
        else:
            value = self.w[offset >> 2]
        if self.trace.on:
            self.trace_access("read", offset, value)
        # as clock.tick() does
        self.clock.now = self.clock.now + self.access_ns
        if self.clock.now >= self.clock.horizon:
            self.clock.sync()
        return value

    def write32(self, offset: int, value: int) -> int:
        return self.write_register(offset, value)

    def write_register(self, offset: int, value: int) -> int:
        """:meth:`write32`, where no subclass has its own."""
        self.writes += 1
        if self.trace.on:
            self.trace_access("write", offset, value)
        if offset & 3 or offset >= self.size:
            self.refuse("write", offset, 4)
        else:
            index = offset >> 2
            code = self.codes[index]
            if code:
                keep = self.keeps[index]
                self.w[index] = (self.w[index] & keep) | (value & ~keep)
                if code == KEEPS:
                    self.writes_ignored += 1
                else:
                    self.wrote(code, offset, value)
            else:
                self.w[index] = value
        self.clock.now = self.clock.now + self.access_ns
        if self.clock.now >= self.clock.horizon:
            self.clock.sync()
        return 0

    def trace_access(self, what: str, offset: int, value: int) -> None:
        """Trace an access."""
        self.trace.emit((what, self.name, offset, value))

    def wrote(self, code: int, offset: int, value: int) -> None:
        """A register with the hook ``code`` was written; ``value`` as it was written. Subclasses override it."""

    def read_odd(self, offset: int, width: int) -> int:
        self.reads += 1
        self.refuse("read", offset, width)
        self.clock.tick(self.access_ns)
        return int.from_bytes(b"\xff" * width, "little")

    def write_odd(self, offset: int, width: int, value: int) -> int:
        self.writes += 1
        self.refuse("write", offset, width)
        self.clock.tick(self.access_ns)
        return 0

    def refuse(self, what: str, offset: int, width: int) -> None:
        """A bus error: recorded with initiator, address, width and block."""
        self.bus.refuse(self.initiator, what, self.base + offset, width, self.name)

    # --- from inside ------------------------------------------------------------------------------------------

    def peek(self, offset: int) -> int:
        """The value that a read of the aligned ``offset`` would give; no time passes.

        :raises IndexError: there is no register
        """
        if offset >= self.size:
            raise IndexError(f"{self.name}: 0x{offset:x} is beyond 0x{self.size:x} bytes of registers")
        return self.w[offset >> 2]

    def clear_registers(self) -> None:
        """Bring the registers that a reset clears back to their reset values."""
        for row in self.rows:
            if row.cleared:
                self.w[row.offset >> 2] = row.reset
