# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""RAM: one flat region of physical addresses, anonymous or shared with another process.

It only stores; bus and SMMU decide which initiator reaches which address.
"""

from __future__ import annotations

import mmap

import cython

if not cython.compiled:
    from hidma.hw.cmem import bytes_of, move, words_of

MAP_NORESERVE = 0x4000


class Memory:
    """``size`` bytes of RAM at physical address ``base``.

    :param base: physical address of the first byte, u64
    :param size: bytes, a multiple of 4096
    :param buffer: writable buffer to use instead of fresh anonymous memory (a shared mapping)
    """

    def __init__(self, base: int, size: int, buffer: memoryview | mmap.mmap | bytearray | None = None) -> None:
        self.base = base
        self.size = size
        # without a reservation: a board may name more RAM than the computer has, and uses little of it
        self.buffer = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_NORESERVE) if buffer is None else buffer
        self.view = memoryview(self.buffer).cast("B")
        self.b = bytes_of(self.view)
        self.w = words_of(self.view)

    def holds(self, address: int, count: int) -> int:
        """Whether ``count`` bytes at ``address`` lie in this region."""
        return address >= self.base and count <= self.size and address - self.base <= self.size - count

    def check(self, address: int, count: int) -> None:
        """:raises ValueError: ``count`` bytes at ``address`` are not in this region"""
        if not self.holds(address, count):
            raise ValueError(f"0x{address:x}+{count} is not in the RAM at 0x{self.base:x} of {self.size} bytes")

    def read32(self, address: int) -> int:
        """The word at ``address``, which is aligned.

        :raises ValueError: the word is not in this region
        """
        self.check(address, 4)
        return self.w[(address - self.base) >> 2]

    def write32(self, address: int, value: int) -> int:
        """Store a word at ``address``, which is aligned.

        :raises ValueError: the word is not in this region
        """
        self.check(address, 4)
        self.w[(address - self.base) >> 2] = value
        return 0

    def copy(self, dest: int, src: int, count: int) -> int:
        """Move ``count`` bytes from ``src`` to ``dest``.

        :raises ValueError: one of the ranges is not in this region
        """
        self.check(dest, count)
        self.check(src, count)
        return move(self.b, dest - self.base, src - self.base, count)

    def close(self) -> None:
        """Do nothing: the buffer is freed with its last reference."""

    def slice(self, address: int, count: int) -> memoryview:
        """A writable view of ``count`` bytes at ``address``.

        :raises ValueError: when the range is not in this region
        """
        self.check(address, count)
        start = address - self.base
        return self.view[start : start + count]
