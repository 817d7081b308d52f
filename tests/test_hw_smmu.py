# SPDX-License-Identifier: GPL-2.0-only
"""Streams, domains, and what they refuse."""

from __future__ import annotations

import random

import pytest
from hw_rig import ERROR, RAM, Rig

from hidma.hw.bus import Bus
from hidma.hw.clock import Clock
from hidma.hw.memory import Memory
from hidma.hw.smmu import READ, WRITE, Domain, Smmu
from hidma.hw.trace import Trace

BOTH = READ | WRITE
SIZE = 1 << 20


def smmu() -> Smmu:
    return Smmu(Bus(Clock(), Memory(RAM, SIZE), Trace()))


def test_bypass_reaches_all_of_ram_and_nothing_else() -> None:
    s = smmu().stream(3)
    assert s.reach(RAM, 64, READ) == 0
    assert s.reach(RAM + SIZE - 64, 64, WRITE) == SIZE - 64
    assert s.reach(RAM, SIZE, WRITE) == 0
    for address, count in [
        (RAM - 1, 1),
        (RAM + SIZE, 1),
        (RAM + SIZE - 63, 64),
        (RAM, SIZE + 1),
        (0, 1),
        ((1 << 64) - 8, 16),
    ]:
        assert s.reach(address, count, READ) == -1


def test_a_blocked_stream_reaches_nothing() -> None:
    s = smmu().stream(0)
    s.block()
    assert s.reach(RAM, 1, READ) == -1
    s.refuse(RAM, READ)
    assert s.smmu.faults[0].why == "the stream is blocked"
    s.bypass()
    assert s.reach(RAM, 1, READ) == 0


def test_permissions_hold_per_page_and_direction() -> None:
    m = smmu()
    d = m.domain("d")
    assert d.map(0x10000, RAM, 4096, READ) == 0
    assert d.map(0x11000, RAM + 4096, 4096, WRITE) == 0
    assert d.map(0x12000, RAM + 8192, 4096, BOTH) == 0
    s = m.stream(1)
    s.attach(d)
    assert [s.reach(0x10000 + 4096 * page, 4, need) for page in range(4) for need in (READ, WRITE)] == [
        0, -1, -1, 4096, 8192, 8192, -1, -1,
    ]  # fmt: skip
    assert s.reach(0x11FF0, 32, WRITE) == 4096 + 0xFF0
    assert s.reach(0x11FF0, 32, READ) == -1
    assert s.reach(0x10FF0, 32, READ) == s.reach(0x10FF0, 32, WRITE) == -1
    # no bytes are nowhere, and a count may be anything
    assert s.reach(0x10000, 0, READ) == -1
    assert s.reach(0x10800, (1 << 64) - 0x800, READ) == -1
    for address, need, why in [
        (0x10008, WRITE, "read-only"),
        (0x11008, READ, "write-only"),
        (0x13008, READ, "not mapped"),
        (1 << 48, READ, "beyond 48 bits"),
    ]:
        s.refuse(address, need)
        fault = m.faults[-1]
        assert (fault.stream, fault.address, fault.direction, fault.why) == (
            1,
            address,
            "write" if need == WRITE else "read",
            why,
        )
        assert str(fault) == f"0 ns: stream 1: {fault.direction} at 0x{address:x}: {why}"
    assert (s.faults, m.count, m.bus.faults.count) == (4, 4, 4)


def test_pages_that_lie_apart_are_not_one_piece() -> None:
    m = smmu()
    d = m.domain("d")
    d.map(0x10000, RAM + 0x5000, 4096, BOTH)
    d.map(0x11000, RAM + 0x7000, 4096, BOTH)
    s = m.stream(1)
    s.attach(d)
    assert s.reach(0x10FF8, 8, READ) == 0x5FF8
    assert s.reach(0x10FF8, 9, READ) == -1
    assert s.first_fault(0x10FF8, 9, READ) == 9
    assert s.first_fault(0x10FF8, 0x2000, READ) == 8 + 0x1000


def test_what_is_mapped_to_no_memory_is_refused() -> None:
    m = smmu()
    d = m.domain("d")
    assert d.map(0x10000, 0x1000, 4096, BOTH) == 0
    assert d.map(0x11000, RAM + SIZE, 4096, BOTH) == 0
    s = m.stream(1)
    s.attach(d)
    assert s.reach(0x10000, 4, READ) == s.reach(0x11000, 4, READ) == -1
    s.refuse(0x10000, READ)
    assert m.faults[-1].why == "mapped to no memory"


@pytest.mark.parametrize(
    ("iova", "phys", "size", "prot"),
    [
        (0x800, RAM, 4096, BOTH),
        (0, RAM + 1, 4096, BOTH),
        (0, RAM, 4095, BOTH),
        (0, RAM, 0, BOTH),
        (0, RAM, -4096, BOTH),
        (-4096, RAM, 4096, BOTH),
        (1 << 48, RAM, 4096, BOTH),
        ((1 << 48) - 4096, RAM, 8192, BOTH),
        (0, (1 << 48) - 4096, 8192, BOTH),
        (0, RAM, 4096, 0),
        (0, RAM, 4096, 4),
    ],
)
def test_a_map_that_makes_no_sense_is_einval(iova: int, phys: int, size: int, prot: int) -> None:
    d = smmu().domain("d")
    assert d.map(iova, phys, size, prot) == -22
    assert (d.pages, d.changes) == ({}, 0)


def test_a_map_over_a_mapped_page_changes_nothing() -> None:
    d = smmu().domain("d")
    assert d.map(0x3000, RAM, 4096, BOTH) == 0
    assert d.map(0x1000, RAM, 0x4000, BOTH) == -17
    assert list(d.pages) == [3]
    assert d.map((1 << 48) - 4096, RAM, 4096, BOTH) == 0


def test_unmap_tells_how_much_it_unmapped() -> None:
    d = smmu().domain("d")
    d.map(0x1000, RAM, 0x3000, BOTH)
    d.map(0x5000, RAM, 0x1000, BOTH)
    assert d.unmap(0x800, 4096) == d.unmap(0x1000, 100) == d.unmap(0x1000, 0) == d.unmap(0, 4096) == 0
    assert d.unmap(0x2000, 0x1000) == 0x1000
    assert d.unmap(0x1000, 0x5000) == 0x1000
    assert d.unmap(0x3000, 0x10000) == 0x1000
    assert sorted(d.pages) == [5]
    assert d.changes == 5
    assert d.iova_to_phys(0x5123) == RAM + 0x123
    assert d.iova_to_phys(0x1000) == 0


def test_pages_may_be_known_to_a_table_elsewhere_which_is_asked_each_time() -> None:
    m = smmu()
    d = m.domain("d")
    elsewhere: dict[int, int] = {0x20: RAM + 4096 | READ}
    d.source = elsewhere.get
    assert d.map(0x10000, RAM, 4096, BOTH) == 0
    s = m.stream(1)
    s.attach(d)
    assert [s.reach(0x20010, 4, need) for need in (READ, WRITE)] == [4096 + 16, -1]
    assert s.reach(0x10000, 4, WRITE) == 0
    elsewhere[0x20] = RAM + 8192 | BOTH
    assert s.reach(0x20000, 4, WRITE) == 8192
    del elsewhere[0x20]
    assert s.reach(0x20000, 4, READ) == -1


def test_what_was_unmapped_or_mapped_anew_is_seen_at_once() -> None:
    m = smmu()
    d = m.domain("d")
    s, t = m.stream(1), m.stream(2)
    s.attach(d)
    t.attach(d)
    rng = random.Random(7)
    plain: dict[int, int] = {}
    for _ in range(4000):
        page = rng.choice([rng.randrange(64), 512 + rng.randrange(64), (1 << 36) - 1 - rng.randrange(64)])
        if page in plain and rng.random() < 0.3:
            assert d.unmap(page << 12, 4096) == 4096
            del plain[page]
        elif page not in plain:
            plain[page] = rng.randrange(SIZE >> 12)
            assert d.map(page << 12, RAM + (plain[page] << 12), 4096, BOTH) == 0
        for stream in (s, t):
            look = rng.choice(list(plain) + [page])
            assert stream.reach(look << 12, 16, READ) == (plain[look] << 12 if look in plain else -1)


def test_ram_must_begin_on_a_page_for_a_domain() -> None:
    bus = Bus(Clock(), Memory(RAM + 32, SIZE), Trace())
    with pytest.raises(ValueError, match="RAM at 0x80000020 does not begin on a page of 4096 bytes"):
        Domain(bus, "d")


def test_streams_are_made_once() -> None:
    m = smmu()
    assert m.stream(5) is m.stream(5)
    assert (m.stream(5).name, m.stream(6, "gpu").name) == ("stream 5", "gpu")


def test_faults_are_kept_up_to_a_number() -> None:
    m = smmu()
    s = m.stream(0)
    for address in range(300):
        s.refuse(address, READ)
    assert m.count == 300
    assert [fault.address for fault in m.faults] == list(range(44, 300))


@pytest.mark.parametrize("attached", [False, True])
def test_a_stream_that_is_blocked_or_attached_to_an_empty_domain_moves_nothing(attached: bool) -> None:
    p = Rig().pairs[0].up()
    p.random_bytes(0, 64)
    before = p.rig.bytes(RAM, p.rig.memory.size)
    p.copy(p.data + 64, p.data, 64)
    p.copy(p.data + 128, p.data, 64)
    written = p.rig.bytes(p.tre_ring, 64)
    if attached:
        p.stream.attach(p.rig.smmu.domain("empty"))
    else:
        p.stream.block()
    p.ring()
    assert p.states == (ERROR, ERROR)
    assert p.rig.bytes(RAM, p.rig.memory.size) == written + before[64:]
    p.stream.bypass()
    assert p.stream.domain is None
    p.up()
    p.copy(p.data + 64, p.data, 64)
    p.ring()
    assert p.rig.bytes(p.data + 64, 64) == p.rig.bytes(p.data, 64)


def test_a_guest_whose_page_is_taken_away_gets_an_error_not_the_page() -> None:
    rig = Rig(instant=True)
    p = rig.pairs[0]
    d = rig.smmu.domain("guest")
    d.map(RAM, RAM, SIZE, BOTH)
    p.stream.attach(d)
    p.up()
    p.copy(p.data, p.data + 0x8000, 64)
    p.ring()
    assert len(p.events()) == 1
    before = rig.bytes(p.data, 64)
    assert d.unmap(p.data & ~4095, 4096) == 4096
    p.random_bytes(0x8000, 64)
    p.copy(p.data, p.data + 0x8000, 64)
    p.ring()
    assert p.states == (5, 5)
    assert rig.bytes(p.data, 64) == before
