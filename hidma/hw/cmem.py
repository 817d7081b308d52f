# SPDX-License-Identifier: GPL-2.0-only
"""Views of raw memory: a C pointer in compiled modules (cmem.pxd), a memoryview in interpreted ones.

Both are indexed alike, so the hot modules have one source for both modes. The callers check the bounds.
"""

from __future__ import annotations

from collections.abc import Sequence


def bytes_of(view: memoryview) -> memoryview:
    """Bytes of ``view``."""
    return memoryview(view).cast("B")


def words_of(view: memoryview) -> memoryview:
    """32-bit words of ``view``, in the byte order of this machine (little-endian, as the registers are)."""
    return memoryview(view).cast("B").cast("I")


def words_from(words: memoryview, index: int) -> memoryview:
    """The words from number ``index`` on."""
    return words[index:]


def move(memory: memoryview, dest: int, src: int, count: int) -> int:
    """Move ``count`` bytes inside ``memory``; the ranges may overlap."""
    memory[dest : dest + count] = memory[src : src + count]
    return 0


def pair(words: memoryview, index: int) -> int:
    """The words ``index`` and ``index`` + 1 as a u64; the first is its lower half."""
    low: int = words[index]
    return low | words[index + 1] << 32


def set_pair(words: memoryview, index: int, value: int) -> int:
    """Store the u64 ``value`` in the words ``index`` (its lower half) and ``index`` + 1."""
    words[index] = value & 0xFFFFFFFF
    words[index + 1] = value >> 32
    return 0


def move_words(memory: memoryview, index: int, words: Sequence[int], count: int) -> int:
    """Store ``count`` words at word ``index`` of ``memory``."""
    for i in range(count):
        memory[index + i] = words[i]
    return 0


def carry(dest: memoryview, dest_at: int, src: memoryview, src_at: int, count: int) -> int:
    """Copy ``count`` bytes from one memory to another one; they do not overlap."""
    dest[dest_at : dest_at + count] = src[src_at : src_at + count]
    return 0
