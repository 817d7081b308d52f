# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""The SMMU translates the bus addresses of streams. A stream is in bypass, translated by a domain, or blocked.

A domain is a page table with granules of 4 KiB and 48-bit addresses. Streams reach RAM and nothing else. Two streams
share nothing but a domain that both are attached to. Faults are recorded here and in the log of the bus; the engine
decides what they do to the channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cython

from hidma.hw.bus import Bus

if not cython.compiled:
    from hidma.hw.cmem import words_of

    GRANULE = 4096
    GRANULE_SHIFT = 12
    IOVA_END = 1 << 48

    READ = 1
    WRITE = 2

    BYPASS = 0
    TRANSLATED = 1
    BLOCKED = 2

    EINVAL = 22
    EEXIST = 17

    TLB_ENTRIES = 512
    TLB_MASK = 511
    TLB_SHIFT = 9
    FAULTS_KEPT = 256


@dataclass(frozen=True)
class StreamFault:
    """One address that a stream was refused. ``direction`` is ``"read"`` or ``"write"``, ``why`` a few words."""

    time: int
    stream: int
    address: int
    direction: str
    why: str

    def __str__(self) -> str:
        return f"{self.time} ns: stream {self.stream}: {self.direction} at 0x{self.address:x}: {self.why}"


class Domain:
    """An address space: 4 KiB pages of IOVA, each with a physical page and permissions.

    :param bus: its RAM is the physical address space
    :param name: its name in messages and traces

    ``changes`` counts the calls that changed something. ``source`` is None, or a function that knows pages beside those that
    were mapped: called with the number of a page of IOVA each time that one is needed, it returns its physical address with the
    permissions, or None. What it returns is not kept.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        if bus.memory.base % GRANULE:
            raise ValueError(f"RAM at 0x{bus.memory.base:x} does not begin on a page of {GRANULE} bytes")
        self.bus = bus
        self.name = name
        self.pages: dict[int, int] = {}
        self.changes = 0
        self.source: Callable[[int], int | None] | None = None
        # a direct-mapped cache: for each slot a word with the upper part of the page number + 1, and one with the page
        # of RAM << 2 and the permissions
        self.cache = bytearray(8 * TLB_ENTRIES)
        self.tlb = words_of(memoryview(self.cache))

    def map(self, iova: int, phys: int, size: int, prot: int) -> int:
        """Map ``size`` bytes at ``iova`` to ``phys`` with ``prot`` (READ, WRITE or both).

        :returns: 0; -EINVAL when an address or the size is no multiple of 4096, the size is 0, the range leaves the 48
            bits or ``prot`` is neither; -EEXIST when a page of it is mapped already (nothing is changed then)
        """
        if (iova | phys | size) & (GRANULE - 1) or size <= 0 or iova < 0 or phys < 0:
            return -EINVAL
        if iova + size > IOVA_END or phys + size > IOVA_END or not prot & (READ | WRITE) or prot & ~(READ | WRITE):
            return -EINVAL
        first = iova >> GRANULE_SHIFT
        count = size >> GRANULE_SHIFT
        pages = self.pages
        if pages:
            for page in range(first, first + count):
                if page in pages:
                    return -EEXIST
        target = phys | prot
        for page in range(first, first + count):
            pages[page] = target
            target += GRANULE
        self.changes += 1
        return 0

    def unmap(self, iova: int, size: int) -> int:
        """Unmap up to ``size`` bytes from ``iova`` on, until the first page that is not mapped.

        :returns: how many bytes were unmapped: 0 when the first page was not mapped or a number is no multiple of 4096
        """
        if (iova | size) & (GRANULE - 1) or size <= 0 or iova < 0:
            return 0
        first = iova >> GRANULE_SHIFT
        done = 0
        pages = self.pages
        for page in range(first, first + (size >> GRANULE_SHIFT)):
            if pages.pop(page, None) is None:
                break
            self.tlb[(page & TLB_MASK) << 1] = 0
            done += GRANULE
        if done:
            self.changes += 1
        return done

    def iova_to_phys(self, iova: int) -> int:
        """The physical address that ``iova`` maps, 0 when it is not mapped."""
        entry = self.pages.get(iova >> GRANULE_SHIFT)
        if entry is None:
            return 0
        return (entry & ~(GRANULE - 1)) | (iova & (GRANULE - 1))

    def look(self, page: int) -> int:
        """The page of RAM that IOVA ``page`` maps, << 2, with its permissions; 0 when there is none."""
        slot = (page & TLB_MASK) << 1
        if self.tlb[slot] == (page >> TLB_SHIFT) + 1:
            return self.tlb[slot + 1]
        return self.walk(page)

    def walk(self, page: int) -> int:
        """:meth:`look` in the page table itself; what is found stays in the cache until it is unmapped."""
        entry = self.pages.get(page)
        if entry is None and self.source is not None:
            entry = self.source(page)
        if entry is None:
            return 0
        memory = self.bus.memory
        bits = entry
        phys = bits >> GRANULE_SHIFT << GRANULE_SHIFT
        if not memory.holds(phys, GRANULE):
            return 0
        value = ((phys - memory.base) >> GRANULE_SHIFT << 2) | (bits & (READ | WRITE))
        if self.source is not None:
            return value
        slot = (page & TLB_MASK) << 1
        self.tlb[slot] = (page >> TLB_SHIFT) + 1
        self.tlb[slot + 1] = value
        return value


class Stream:
    """One initiator of DMA; ``number`` is its number in the firmware. Made by :meth:`Smmu.stream`; in bypass at first."""

    def __init__(self, smmu: Smmu, number: int, name: str) -> None:
        self.smmu = smmu
        self.number = number
        self.name = name
        self.memory = smmu.bus.memory
        self.domain: Domain | None = None
        self.mode = BYPASS
        self.base = 0
        self.size = 0
        self.faults = 0
        self.bypass()

    def bypass(self) -> None:
        """From now on a bus address is a physical address."""
        self.mode = BYPASS
        self.domain = None
        self.base = self.memory.base
        self.size = self.memory.size

    def block(self) -> None:
        """From now on the stream reaches nothing."""
        self.mode = BLOCKED
        self.domain = None
        self.size = 0

    def attach(self, domain: Domain) -> None:
        """From now on the stream reaches what ``domain`` maps."""
        self.mode = TRANSLATED
        self.domain = domain
        self.size = 0

    def reach(self, address: int, count: int, need: int) -> int:
        """The place in RAM of the ``count`` bytes at bus ``address``, if they are in one piece and ``need`` is allowed.

        :param need: READ or WRITE
        :returns: byte offset into RAM, or -1
        """
        if self.mode == BYPASS:
            if self.memory.holds(address, count):
                return address - self.memory.base
            return -1
        domain = self.domain
        if domain is None or address >= IOVA_END or count > IOVA_END - address or count == 0:
            return -1
        page = address >> GRANULE_SHIFT
        last = (address + count - 1) >> GRANULE_SHIFT
        entry = domain.look(page)
        if not entry & need:
            return -1
        target = entry >> 2
        offset = (target << GRANULE_SHIFT) | (address & (GRANULE - 1))
        while page < last:
            page += 1
            target += 1
            entry = domain.look(page)
            if not entry & need or entry >> 2 != target:
                return -1
        return offset

    def first_fault(self, address: int, count: int, need: int) -> int:
        """How many of the ``count`` bytes at ``address`` may be reached before the first page that may not."""
        done = 0
        while done < count:
            here = address + done
            piece = GRANULE - (here & (GRANULE - 1))
            if piece > count - done:
                piece = count - done
            if self.reach(here, piece, need) < 0:
                return done
            done += piece
        return count

    def refuse(self, address: int, need: int) -> None:
        """Record that ``address`` may not be reached."""
        direction = "write" if need == WRITE else "read"
        if self.mode == BLOCKED:
            why = "the stream is blocked"
        elif self.mode == BYPASS:
            why = "no memory there"
        elif address >= IOVA_END:
            why = "beyond 48 bits"
        else:
            assert self.domain is not None
            entry = self.domain.pages.get(address >> GRANULE_SHIFT)
            if entry is None:
                why = "not mapped"
            elif not entry & need:
                why = "read-only" if need == WRITE else "write-only"
            else:
                why = "mapped to no memory"
        self.faults += 1
        self.smmu.record(StreamFault(self.smmu.bus.clock.now, self.number, address, direction, why))
        self.smmu.bus.refuse(self.name, direction, address, 1, why)


class Smmu:
    """All streams of a machine, the last 256 of their faults, and how many faults there were.

    :param bus: has the RAM that they reach
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.streams: dict[int, Stream] = {}
        self.faults: list[StreamFault] = []
        self.count = 0

    def stream(self, number: int, name: str = "") -> Stream:
        """The stream ``number``; it is made, in bypass, at the first call."""
        if number not in self.streams:
            self.streams[number] = Stream(self, number, name or f"stream {number}")
        return self.streams[number]

    def domain(self, name: str) -> Domain:
        """A new, empty domain."""
        return Domain(self.bus, name)

    def record(self, fault: StreamFault) -> None:
        """Keep ``fault``; the oldest one is dropped when there are too many."""
        self.count += 1
        self.faults.append(fault)
        if len(self.faults) > FAULTS_KEPT:
            del self.faults[0]
