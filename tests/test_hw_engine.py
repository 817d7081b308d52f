# SPDX-License-Identifier: GPL-2.0-only
"""The copy engine: data, events, order, bursts, back-pressure, faults of memory, time."""

from __future__ import annotations

import random

import pytest
from hw_rig import (
    CTRLSTS,
    DATA_READ,
    DATA_WRITE,
    DISABLE,
    DOORBELL,
    ENABLE,
    ENABLED,
    EOB,
    ERROR,
    EVENT_WRITE,
    INVALID,
    IRQ_EN,
    IRQ_STAT,
    MAX_BUS,
    MAX_XACTIONS,
    RAM,
    READ_PTR,
    RESET,
    RING_HIGH,
    RING_LEN,
    RING_LOW,
    RUNNING,
    SUSPEND,
    SUSPENDED,
    TRE_READ,
    WRITE_PTR,
    Pair,
    Rig,
)

from hidma.hw.engine import Timing
from hidma.hw.smmu import READ, WRITE

DONE = 0x10000023


def pair(**options: object) -> Pair:
    return Rig(**options).pairs[0].up()  # type: ignore[arg-type]


# --- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 64, 1023, 1024, 1025, 4096, 31 * 1024, 31 * 1024 + 1, 200_001])
@pytest.mark.parametrize("shift", [0, 3])
def test_memcpy_moves_every_byte_and_no_other(length: int, shift: int) -> None:
    p = pair()
    data = p.random_bytes(0, length + shift)
    source, dest = p.data + shift, p.data + 0x60005
    p.rig.memory.slice(dest - 8, length + 16)[:] = b"\xaa" * (length + 16)
    p.copy(dest, source, length)
    p.ring()
    assert p.rig.bytes(dest - 8, length + 16) == b"\xaa" * 8 + data[shift:] + b"\xaa" * 8
    assert p.events() == [(DONE, length, dest & 0xFFFFFFFF, dest >> 32)]
    assert p.model.bytes_moved == length
    assert p.model.read_bursts == p.model.write_bursts == -(-length // 1024)


@pytest.mark.parametrize("length", [1, 7, 8, 64, 1024, 1029, 40_000])
def test_memset_repeats_its_eight_bytes_from_the_first_byte_of_the_destination(length: int) -> None:
    p = pair()
    dest = p.data + 0x20003
    p.rig.memory.slice(dest - 8, length + 16)[:] = b"\xaa" * (length + 16)
    p.copy(dest, 0x8877665544332211, length, kind=4)
    p.ring()
    pattern = (bytes.fromhex("1122334455667788") * (length // 8 + 1))[:length]
    assert p.rig.bytes(dest - 8, length + 16) == b"\xaa" * 8 + pattern + b"\xaa" * 8
    assert p.model.read_bursts == 0
    assert p.model.write_bursts == -(-length // 1024)


@pytest.mark.parametrize("distance", [1, 5, 128, 1000, 1024, 1500, 3000, 4999, 5000, -1, -700, -1024])
def test_overlapping_copy_behaves_as_bursts_copied_forward_one_by_one(distance: int) -> None:
    p = pair()
    length = 5000
    source = p.data + 0x4000
    dest = source + distance
    p.random_bytes(0, 0x8000)
    expected = bytearray(p.rig.bytes(p.data, 0x8000))
    for start in range(0, length, 1024):
        n = min(1024, length - start)
        at = 0x4000 + start
        expected[at + distance : at + distance + n] = bytes(expected[at : at + n])
    p.copy(dest, source, length)
    p.ring()
    assert p.rig.bytes(p.data, 0x8000) == expected


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100])
def test_a_short_copy_inside_one_burst_reads_all_of_it_before_it_writes(length: int) -> None:
    for distance in (0, 1, 7, 16, 31, 32, 33, 48, 63, 64, -1, -16, -33, -63):
        p = pair()
        p.random_bytes(0, 0x400)
        expected = bytearray(p.rig.bytes(p.data, 0x400))
        expected[0x180 + distance : 0x180 + distance + length] = bytes(expected[0x180 : 0x180 + length])
        p.copy(p.data + 0x180 + distance, p.data + 0x180, length)
        p.ring()
        assert p.rig.bytes(p.data, 0x400) == expected, distance


def reference_overlap(memory: bytearray, dest: int, source: int, length: int, read: int, write: int) -> None:
    """What reads of ``read`` and writes of ``write`` bytes make of it, written down independently."""
    buffer = b""
    got = put = 0
    while put < length:
        want = min(write, length - put)
        while len(buffer) < want:
            n = min(read, length - got)
            buffer += bytes(memory[source + got : source + got + n])
            got += n
        memory[dest + put : dest + put + want] = buffer[:want]
        buffer = buffer[want:]
        put += want


@pytest.mark.parametrize(("read", "write"), [(128, 1024), (1024, 128), (256, 512), (100, 300), (300, 100)])
@pytest.mark.parametrize("distance", [64, 200, 1100])
def test_overlap_with_bursts_of_different_lengths(read: int, write: int, distance: int) -> None:
    rig = Rig(managed=True)
    rig.mw(0x400, 1)
    rig.mw(MAX_BUS, write << 16 | read)
    rig.mw(MAX_XACTIONS, 31 << 16 | 31)
    p = rig.pairs[0].up()
    p.random_bytes(0, 0x4000)
    expected = bytearray(rig.bytes(p.data, 0x4000))
    reference_overlap(expected, 0x1000 + distance, 0x1000, 2900, read, write)
    p.copy(p.data + 0x1000 + distance, p.data + 0x1000, 2900)
    p.ring()
    assert rig.bytes(p.data, 0x4000) == expected
    assert p.model.read_bursts == -(-2900 // read)
    assert p.model.write_bursts == -(-2900 // write)


@pytest.mark.parametrize(
    ("lengths", "counts", "kind", "length", "portions"),
    [
        ((1024, 1024), (4, 4), 3, 10000, [(4096, 4, 4), (4096, 4, 4), (1808, 2, 2)]),
        # whole bursts of the longer kind, until the rest of the grant is shorter than one of them
        ((128, 1024), (31, 31), 3, 5000, [(3072, 24, 3), (896, 7, 1), (1032, 9, 2)]),
        ((300, 100), (2, 5), 3, 1000, [(300, 1, 3), (200, 1, 2), (500, 2, 5)]),
        ((100, 300), (5, 2), 3, 1000, [(300, 3, 1), (200, 2, 1), (500, 5, 2)]),
        # the smaller count ends the grant
        ((100, 100), (2, 7), 3, 500, [(200, 2, 2), (200, 2, 2), (100, 1, 1)]),
        ((100, 100), (7, 2), 3, 500, [(200, 2, 2), (200, 2, 2), (100, 1, 1)]),
        # a fill reads nothing
        ((1024, 100), (1, 3), 4, 700, [(300, 0, 3), (300, 0, 3), (100, 0, 1)]),
        # one burst, whatever the other kind would need
        ((128, 1024), (1, 1), 3, 128, [(128, 1, 1)]),
        ((128, 1024), (2, 1), 3, 129, [(129, 2, 1)]),
    ],
)
def test_a_portion_is_what_fits_the_grant(
    lengths: tuple[int, int],
    counts: tuple[int, int],
    kind: int,
    length: int,
    portions: list[tuple[int, int, int]],
) -> None:
    rig = Rig(managed=True, instant=False, traced=True)
    rig.mw(0x400, 1)
    rig.mw(MAX_BUS, lengths[1] << 16 | lengths[0])
    rig.mw(MAX_XACTIONS, counts[1] << 16 | counts[0])
    p = rig.pairs[0].up()
    p.copy(p.data + 0x4000, p.data, length, kind=kind)
    p.ring()
    rig.run(1_000_000)
    bursts = {
        way: [event[5:7] for _, event in rig.log if event[0] == "burst" and event[3] == way]
        for way in ("read", "write")
    }
    times = [event[7:9] for _, event in rig.log if event[0] == "burst" and event[3] == "write"]
    assert all(start < end for start, end in times)
    assert [start for start, _ in times[1:]] == [end for _, end in times[:-1]]
    assert bursts["write"] == [(n, writes) for n, _, writes in portions]
    assert bursts["read"] == [(n, reads) for n, reads, _ in portions if reads]
    assert (p.model.read_bursts, p.model.write_bursts) == (
        sum(r for _, r, _ in portions),
        sum(w for _, _, w in portions),
    )


def test_copy_through_a_domain_whose_pages_are_scattered() -> None:
    rig = Rig(share=1 << 20)
    p = rig.pairs[0]
    domain = rig.smmu.domain("guest")
    for page in range(256):
        assert domain.map(0x10_0000 + page * 4096, RAM + (page ^ 0x55) * 4096, 4096, READ | WRITE) == 0
    p.stream.attach(domain)

    def physical(iova: int, count: int) -> bytes:
        return b"".join(
            rig.bytes(RAM + (((iova + i - 0x10_0000) >> 12) ^ 0x55) * 4096 + (iova + i) % 4096, 1) for i in range(count)
        )

    p.tre_ring, p.evre_ring = 0x10_0000, 0x10_1000
    p.space = 0x55 * 4096
    p.up()
    source, dest, length = 0x10_2F03, 0x11_0FF1, 9000
    for i in range(length):
        iova = source + i
        rig.memory.view[(((iova - 0x10_0000) >> 12) ^ 0x55) * 4096 + iova % 4096] = i * 7 & 0xFF
    p.copy(dest, source, length)
    p.ring()
    assert p.e(WRITE_PTR) == 16
    assert physical(dest, length) == bytes(i * 7 & 0xFF for i in range(length))
    assert rig.smmu.count == 0


@pytest.mark.parametrize("shift", [0, 0x7C0])
@pytest.mark.parametrize("ieob", [0, 1])
def test_rings_whose_pages_are_scattered(shift: int, ieob: int) -> None:
    rig = Rig(entries=512)
    p = rig.pairs[0]
    domain = rig.smmu.domain("guest")
    for page in range(256):
        assert domain.map(0x10_0000 + page * 4096, RAM + (page ^ 0x55) * 4096, 4096, READ | WRITE) == 0
    p.stream.attach(domain)

    def physical(iova: int) -> int:
        return RAM + (((iova - 0x10_0000) >> 12) ^ 0x55) * 4096 + iova % 4096

    # rings of four and two pages, or of one more if they begin inside a page
    p.tre_ring, p.evre_ring, source, dest = 0x10_0000 + shift, 0x10_8000 + shift, 0x11_0000, 0x12_0000
    p.up()
    sent = 0
    for batch in (300, 300, 1, 511, 200, 500):
        for number in range(sent, sent + batch):
            rig.store(physical(source + 8 * number), number, ~number)
            words = (3 | ieob << 16, 8, source + 8 * number, 0, dest + 8 * number, 0)
            rig.store(physical(p.tre_ring + 32 * (number % 512)), *words)
        p.tw(DOORBELL, 32 * ((sent + batch) % 512))
        for number in range(sent, sent + batch):
            assert rig.load(physical(dest + 8 * number), 2) == (number, ~number & 0xFFFFFFFF)
            event = rig.load(physical(p.evre_ring + 16 * (number % 512)), 4)
            assert event == (DONE, 8, dest + 8 * number, 0)
        sent += batch
        p.ew(DOORBELL, 16 * (sent % 512))
    assert rig.smmu.count == 0


# --- events and pointers -------------------------------------------------------------------------------------------


def test_events_come_in_the_order_of_their_tres_over_the_end_of_the_ring() -> None:
    p = pair(entries=5)
    for round in range(7):
        for i in range(3):
            p.copy(p.data + 64 * i, p.data + 4096, 16 * round + i + 1)
        p.ring()
        assert p.t(READ_PTR) == p.t(WRITE_PTR) == 32 * p.tail
        assert [event[1] for event in p.events()] == [16 * round + i + 1 for i in range(3)]
    assert p.model.tre_fetched == p.model.tre_done == p.model.evres == 21


def test_interrupt_only_for_a_tre_that_asks_for_it() -> None:
    p = pair()
    p.copy(p.data, p.data + 64, 8, ieob=0)
    p.ring()
    assert (p.e(IRQ_STAT), p.line.level) == (0, 0)
    assert p.e(WRITE_PTR) == 16
    p.copy(p.data, p.data + 64, 8, ieob=1)
    p.ring()
    assert (p.e(IRQ_STAT), p.line.level) == (EOB, 1)


@pytest.mark.parametrize("asking", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 1, 1, 0)])
def test_any_tre_of_a_batch_may_ask_for_the_interrupt(asking: tuple[int, ...]) -> None:
    p = pair()
    for ieob in asking:
        p.copy(p.data + 64, p.data, 64, ieob=ieob)
    p.ring()
    assert p.e(IRQ_STAT) == (EOB if any(asking) else 0)
    assert len(p.ear.heard) == any(asking)
    assert p.events() == [(DONE, 64, (p.data + 64) & 0xFFFFFFFF, 0)] * 4


def test_data_then_event_then_pointer_then_status_become_visible() -> None:
    rig = Rig(traced=True)
    p = rig.pairs[0].up()
    data = p.random_bytes(0, 64)
    seen: list[tuple[object, ...]] = []

    def look(event: tuple[object, ...]) -> None:
        if event[0] in ("burst", "evre", "irq"):
            arrived = rig.bytes(p.data + 4096, 64) == data
            there = rig.load(p.evre_ring, 4)[1] == 64
            seen.append(
                (event[0], event[3] if event[0] == "burst" else "", arrived, there, p.model.evca.peek(IRQ_STAT))
            )

    rig.bus.trace.sink = look
    p.copy(p.data + 4096, p.data, 64)
    p.ring()
    assert [entry[:2] for entry in seen] == [("burst", "read"), ("burst", "write"), ("evre", ""), ("irq", "")]
    assert seen[2] == ("evre", "", True, True, 0)
    assert seen[3] == ("irq", "", True, True, EOB)


def test_event_ring_keeps_one_slot_free_and_loses_nothing() -> None:
    p = pair(entries=4)
    p.rig.store(p.evre_ring + 48, 0x5A5A5A5A, 1, 2, 3)
    p.ew(RING_LEN, 64)
    # a transfer ring twice as long as the event ring
    p.command(DISABLE)
    p.entries = 8
    p.tre_ring += 0x4000
    p.space += 0x4000
    p.tw(RING_LOW, p.tre_ring & 0xFFFFFFFF)
    p.tw(RING_LEN, 256)
    p.command(ENABLE)
    for i in range(7):
        p.copy(p.data + 64 * i, p.data + 4096, i + 1)
    p.ring()
    assert p.states == (RUNNING, RUNNING)
    assert p.e(WRITE_PTR) == 48
    assert rig_words(p, 3) == (0x5A5A5A5A, 1, 2, 3)
    assert p.t(READ_PTR) == 128  # the fourth is fetched, its event waits
    assert p.model.stalls == 1
    p.ew(DOORBELL, 16)
    assert p.e(WRITE_PTR) == 0
    assert rig_words(p, 3)[1] == 4
    p.ew(DOORBELL, 0)
    assert p.e(WRITE_PTR) == 48
    assert [rig_words(p, i)[1] for i in range(3)] == [5, 6, 7]
    assert p.states == (ENABLED, ENABLED)
    assert p.model.tre_done == 7


def test_the_event_doorbell_may_say_the_ring_size_for_its_start() -> None:
    p = pair(entries=4)
    for _ in range(3):
        p.copy(p.data, p.data + 64, 8)
    p.ring()
    p.ew(DOORBELL, 48)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    assert p.e(WRITE_PTR) == 0
    p.ew(DOORBELL, 64)
    assert p.e(READ_PTR) == 64
    for _ in range(3):
        p.copy(p.data, p.data + 64, 8)
    p.ring()
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    assert (p.model.evres, p.e(WRITE_PTR)) == (7, 48)
    assert p.model.stalls == 1


def rig_words(p: Pair, slot: int) -> tuple[int, ...]:
    words: tuple[int, ...] = p.rig.load(p.evre_ring + 16 * slot, 4)
    return words


def test_doorbell_during_work_is_followed() -> None:
    p = pair(instant=False, entries=16)
    for i in range(4):
        p.copy(p.data + 64 * i, p.data + 4096, 1024)
    p.tw(DOORBELL, 64)
    assert p.states == (RUNNING, RUNNING)
    p.tw(DOORBELL, 128)
    p.rig.run(10_000)
    assert p.model.tre_done == 4
    assert p.states == (ENABLED, ENABLED)


def test_the_doorbell_may_say_the_ring_size_for_its_end() -> None:
    p = pair(entries=4)
    for i in range(4):
        p.copy(p.data, p.data + 64, i + 1)
    p.tw(DOORBELL, 128)
    assert p.t(WRITE_PTR) == 128
    assert p.t(READ_PTR) == 0
    assert (p.model.tre_fetched, p.model.tre_done) == (4, 3)
    assert [event[1] for event in p.events()] == [1, 2, 3]
    assert [event[1] for event in p.events()] == [4]
    assert p.model.accepted == 4
    p.tw(DOORBELL, 0)
    assert p.model.tre_fetched == 4


def test_a_doorbell_that_says_nothing_new_does_nothing() -> None:
    p = pair()
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    p.ring()
    assert p.model.tre_fetched == 1
    assert p.states == (ENABLED, ENABLED)


def test_copy_that_overwrites_the_next_tre_is_seen_by_the_fetch_of_it() -> None:
    p = pair()
    good = p.data + 0x100
    p.rig.store(good, 3 | 1 << 16, 4, (p.data + 0x200) & 0xFFFFFFFF, 0, (p.data + 0x300) & 0xFFFFFFFF, 0, 0, 0)
    p.rig.store(p.data + 0x200, 0x12345678)
    p.copy(p.tre_ring + 32, good, 32)
    p.tre(0xFF)
    p.ring()
    assert p.rig.load(p.data + 0x300, 1) == (0x12345678,)


def test_low_bits_of_a_ring_address_are_ignored() -> None:
    p = pair()
    p.command(DISABLE)
    p.tw(RING_LOW, (p.tre_ring & 0xFFFFFFFF) | 31)
    p.ew(RING_LOW, (p.evre_ring & 0xFFFFFFFF) | 15)
    p.command(ENABLE)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    assert len(p.events()) == 1


# --- faults of memory -----------------------------------------------------------------------------------------------


def broken(p: Pair, cause: int) -> None:
    assert p.e(IRQ_STAT) == cause
    assert p.line.level == 1
    assert p.states == (ERROR, ERROR)
    assert p.model.errors == 1


def test_source_that_is_not_there_moves_the_whole_bursts_before_it() -> None:
    p = pair(share=1 << 20)
    end = RAM + (1 << 20)
    data = p.random_bytes(end - 2500 - p.data, 2500)
    dest = p.data
    p.rig.memory.slice(dest, 8192)[:] = bytes(8192)
    p.copy(dest, end - 2500, 4096)
    p.copy(dest, dest + 64, 8)
    p.ring()
    broken(p, DATA_READ)
    assert p.rig.bytes(dest, 4096) == data[:2048] + bytes(2048)
    assert p.e(WRITE_PTR) == 0
    assert p.t(READ_PTR) == 32
    assert p.model.bytes_moved == 2048
    fault = p.rig.smmu.faults[-1]
    assert (fault.stream, fault.address, fault.direction, fault.why) == (0, end, "read", "no memory there")
    assert str(p.rig.bus.faults.records[-1]).endswith(f"stream 0: read at 0x{end:x} (1 bytes), no memory there")
    assert p.model.outcome(0).end == "failed"
    assert p.model.outcome(0).cause == f"burst at 0x{end - 2500 + 2048:x} could not be read, after 2048 of 4096 bytes"


def test_destination_that_is_not_there() -> None:
    p = pair(share=1 << 20)
    end = RAM + (1 << 20)
    data = p.random_bytes(0, 4096)
    p.copy(end - 1500, p.data, 4096)
    p.ring()
    broken(p, DATA_WRITE)
    assert p.rig.bytes(end - 1500, 1024) == data[:1024]
    assert p.rig.bytes(end - 476, 476) == bytes(476)
    assert p.rig.smmu.faults[-1].direction == "write"


def test_read_error_is_told_when_both_ends_fail_in_the_same_burst() -> None:
    p = pair()
    p.copy(0x1000, 0x2000, 64)
    p.ring()
    broken(p, DATA_READ)


def test_memset_to_nowhere() -> None:
    p = pair()
    p.copy(0x1000, 0x2000, 64, kind=4)
    p.ring()
    broken(p, DATA_WRITE)


def test_read_fault_with_long_write_bursts_writes_what_was_read() -> None:
    rig = Rig(managed=True, share=1 << 20)
    rig.mw(0x400, 1)
    rig.mw(MAX_BUS, 1024 << 16 | 128)
    rig.mw(MAX_XACTIONS, 31 << 16 | 31)
    p = rig.pairs[0].up()
    end = RAM + (1 << 20)
    data = p.random_bytes(end - 700 - p.data, 700)
    p.copy(p.data, end - 700, 2048)
    p.ring()
    broken(p, DATA_READ)
    assert rig.bytes(p.data, 1024) == data[:640] + bytes(384)
    assert (p.model.read_bursts, p.model.write_bursts) == (5, 1)


def test_read_fault_after_a_single_byte_writes_that_byte() -> None:
    rig = Rig(managed=True, share=1 << 20)
    rig.mw(0x400, 1)
    rig.mw(MAX_BUS, 4 << 16 | 1)
    rig.mw(MAX_XACTIONS, 31 << 16 | 31)
    p = rig.pairs[0].up()
    rig.store(RAM + (1 << 20) - 4, 0xA5000000)
    p.copy(p.data, RAM + (1 << 20) - 1, 4)
    p.ring()
    broken(p, DATA_READ)
    assert rig.load(p.data, 1) == (0xA5,)
    assert (p.model.read_bursts, p.model.write_bursts) == (1, 1)


@pytest.mark.parametrize("ring", ["tre", "event"])
def test_a_ring_does_not_wrap_around_the_end_of_the_address_space(ring: str) -> None:
    p = pair()
    domain = p.rig.smmu.domain("guest")
    for page in range(256):
        domain.map(page * 4096, RAM + page * 4096, 4096, READ | WRITE)
    for _ in range(2):
        p.copy(0x20000, 0x21000, 64)
    p.stream.attach(domain)
    registers = (p.tw, p.ew)
    for write in registers:
        write(RING_HIGH, 0)
        write(RING_LOW, 0x10000)
    p.rig.store(RAM + 0x10000, *p.rig.load(p.tre_ring, 16))
    p.tw(DOORBELL, 32)
    assert p.e(WRITE_PTR) == 16
    p.command(DISABLE)
    write = registers[ring == "event"]
    write(RING_HIGH, 0xFFFFFFFF)
    write(RING_LOW, 0xFFFFFFE0 if ring == "tre" else 0xFFFFFFF0)
    p.command(ENABLE)
    p.tw(DOORBELL, 64)
    assert p.states == (ERROR, ERROR)
    assert p.e(IRQ_STAT) & ~EOB == (TRE_READ if ring == "tre" else EVENT_WRITE)


@pytest.mark.parametrize("end", ["source", "dest"])
@pytest.mark.parametrize(
    ("offset", "length", "there"),
    [
        (-64, 64, True),
        (-1024, 1024, True),
        (-1, 1, True),
        (-63, 64, False),
        (-1023, 1024, False),
        (0, 1, False),
        (1 << 40, 64, False),
        (-(1 << 20) - 64, 64, False),
        (-(1 << 20), 64, True),
    ],
)
def test_a_copy_in_a_batch_reaches_the_end_of_ram_and_no_further(
    end: str, offset: int, length: int, there: bool
) -> None:
    p = Rig(ram=1 << 20).pairs[0].up()
    rig = p.rig
    p.random_bytes(0x8000, 1024, 2)
    place = RAM + rig.memory.size + offset
    before = bytearray(rig.bytes(p.data, 0x10000))
    p.copy(p.data, p.data + 0x8000, 8)
    if end == "source":
        p.copy(p.data + 0x1000, place, length)
    else:
        p.copy(place, p.data + 0x8000, length)
    p.copy(p.data + 8, p.data + 0x8000, 8)
    p.ring()
    before[:8] = before[0x8000:0x8008]
    if there:
        before[8:16] = before[:8]
        assert p.states == (ENABLED, ENABLED)
        assert len(p.events()) == 3
    else:
        assert p.states == (ERROR, ERROR)
        assert p.e(IRQ_STAT) == EOB | (DATA_READ if end == "source" else DATA_WRITE)
        assert p.model.tre_done == 1
    if end == "dest" or not there:
        assert rig.bytes(p.data, 0x10000) == before


def test_tre_ring_that_is_not_there() -> None:
    p = pair()
    p.command(DISABLE)
    p.tw(RING_HIGH, 7)
    p.command(ENABLE)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    broken(p, TRE_READ)
    assert p.t(READ_PTR) == 0
    assert p.rig.smmu.faults[-1].address == 7 << 32 | p.tre_ring & 0xFFFFFFFF
    assert p.model.outcome(0) == ("failed", f"TRE at 0x{7 << 32 | p.tre_ring:x} could not be fetched", 0, 0)
    p.reset()
    assert p.model.outcome(0).end == "failed"


def test_event_ring_that_is_not_there() -> None:
    p = pair()
    p.command(DISABLE)
    p.ew(RING_LOW, 0x1000)
    p.command(ENABLE)
    data = p.random_bytes(64, 8)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    broken(p, EVENT_WRITE)
    assert p.rig.bytes(p.data, 8) == data
    assert p.e(WRITE_PTR) == 0


@pytest.mark.parametrize("length", [0, 16, 31])
def test_event_ring_without_room_for_an_event_is_an_event_error(length: int) -> None:
    p = pair()
    p.command(DISABLE)
    p.ew(RING_LEN, length)
    p.command(ENABLE)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    broken(p, EVENT_WRITE)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0x10000 | 2, 64), "TRE of type 2"),
        ((0x10000 | 5, 64), "TRE of type 5"),
        ((0x10100 | 3, 64), "TRE for event channel 1"),
        ((0x10000 | 3, 0), "TRE of length 0"),
        ((0x10000 | 4, 0), "TRE of length 0"),
    ],
)
def test_tre_that_makes_no_sense(words: tuple[int, int], text: str) -> None:
    p = pair()
    p.tre(*words, p.data & 0xFFFFFFFF, 0, p.data & 0xFFFFFFFF, 0)
    p.ring()
    broken(p, INVALID)
    assert p.model.outcome(0).cause == text
    assert p.t(READ_PTR) == 32
    assert p.e(WRITE_PTR) == 0


@pytest.mark.parametrize("value", [1, 31, 33, 257, 288, 0xFFFFFFE0, 0xFFFFFFFF])
def test_doorbell_that_does_not_fit_the_ring(value: int) -> None:
    p = pair(entries=8)
    p.tw(DOORBELL, value)
    broken(p, INVALID)
    assert p.t(WRITE_PTR) == 0
    assert p.model.tre_fetched == 0


def test_doorbell_of_a_ring_of_length_0() -> None:
    p = pair()
    p.command(DISABLE)
    p.tw(RING_LEN, 0)
    p.command(ENABLE)
    p.tw(DOORBELL, 0)
    assert p.states == (ENABLED, ENABLED)
    p.tw(DOORBELL, 32)
    broken(p, INVALID)


def test_ring_that_shrinks_below_its_pointers_is_an_invalid_doorbell() -> None:
    p = pair(entries=8)
    p.command(SUSPEND)
    for _ in range(6):
        p.copy(p.data, p.data + 64, 8)
    p.ring()
    p.tw(RING_LEN, 64)
    p.command(ENABLE)
    broken(p, INVALID)


def test_ring_that_shrinks_below_its_read_pointer_is_an_invalid_doorbell() -> None:
    p = pair(entries=8)
    for _ in range(3):
        p.copy(p.data, p.data + 64, 8)
    p.ring()
    assert p.t(READ_PTR) == 96
    p.command(DISABLE)
    p.tw(RING_LEN, 64)
    p.command(ENABLE)
    p.tw(DOORBELL, 32)
    assert p.states == (ERROR, ERROR)
    assert p.e(IRQ_STAT) & ~EOB == INVALID
    assert p.model.tre_fetched == 3


def test_event_doorbell_that_does_not_fit_is_dropped_and_counted() -> None:
    p = pair(entries=8)
    for number, value in enumerate([1, 8, 129, 144, 0xFFFFFFF0], 1):
        p.ew(DOORBELL, value)
        assert p.model.doorbells_dropped == number
    assert p.e(READ_PTR) == 0
    p.ew(DOORBELL, 112)
    assert p.e(READ_PTR) == 112


def test_nothing_moves_after_an_error_until_both_blocks_are_reset() -> None:
    p = pair()
    p.copy(0x1000, p.data, 8)
    p.ring()
    p.tail = 0
    p.tw(DOORBELL, 64)
    assert p.model.doorbells_dropped == 1
    p.command(ENABLE)
    assert p.states == (ENABLED, ENABLED)
    p.tw(DOORBELL, 64)
    assert p.model.doorbells_dropped == 2
    p.tw(CTRLSTS, RESET << 16)
    p.rig.run(1000)
    p.program()
    p.command(ENABLE)
    p.tw(DOORBELL, 64)
    assert p.model.tre_fetched == 1
    p.reset()
    p.program()
    p.command(ENABLE)
    p.copy(p.data, p.data + 64, 8)
    p.ring()
    assert p.model.tre_fetched == 2
    assert len(p.events()) == 1


def test_two_streams_share_nothing() -> None:
    rig = Rig(channels=2)
    one, two = rig.pairs
    domain = rig.smmu.domain("one")
    assert domain.map(RAM, RAM, 1 << 20, READ | WRITE) == 0
    one.stream.attach(domain)
    for p in rig.pairs:
        p.up()
    before = rig.bytes(two.data, 4096)
    one.copy(two.data, one.data, 64)
    one.ring()
    two.copy(two.data + 8192, two.data + 4096, 64)
    two.ring()
    assert one.states == (ERROR, ERROR)
    assert rig.bytes(two.data, 4096) == before
    assert len(two.events()) == 1


# --- time -----------------------------------------------------------------------------------------------------------


def finish(p: Pair) -> int:
    """Time from the doorbell access to the last rise of the line."""
    start = p.rig.clock.now
    p.ring()
    p.rig.run(1_000_000)
    return p.ear.heard[-1][0] - start


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (64, 150 + 40 + 5),
        (65, 150 + 40 + 6),
        (1024, 150 + 40 + 80),
        (4096, 150 + 4 * 40 + 320),
        (64 * 1024, 150 + 64 * 40 + 2 * 2480 + 160),
    ],
)
def test_a_copy_takes_fetch_plus_bursts_plus_bytes(length: int, expected: int) -> None:
    p = pair(instant=False)
    p.copy(p.data + 0x20000, p.data, length)
    assert finish(p) == expected


def test_reads_and_writes_go_side_by_side_and_the_slower_way_counts() -> None:
    rig = Rig(managed=True, instant=False)
    rig.mw(0x400, 1)
    rig.mw(MAX_BUS, 1024 << 16 | 128)
    rig.mw(MAX_XACTIONS, 31 << 16 | 31)
    p = rig.pairs[0].up()
    p.copy(p.data + 0x20000, p.data, 1024)
    assert finish(p) == 150 + 8 * 40 + 80


def test_timing_can_be_set() -> None:
    p = pair(instant=False, timing=Timing(tre_ns=1, burst_ns=2, bytes_per_ns=64.0))
    p.copy(p.data + 0x20000, p.data, 128)
    assert finish(p) == 1 + 2 + 2


@pytest.mark.parametrize("bad", [Timing(tre_ns=-1), Timing(burst_ns=-1), Timing(bytes_per_ns=0)])
def test_timing_that_makes_no_sense_is_refused(bad: Timing) -> None:
    with pytest.raises(ValueError, match="times cannot be negative and a bus needs a bandwidth"):
        Rig(timing=bad)


def test_instant_work_is_done_in_the_moment_of_the_doorbell_but_not_inside_the_access() -> None:
    rig = Rig(traced=True)
    p = rig.pairs[0].up()
    rig.log.clear()
    p.copy(p.data + 4096, p.data, 64)
    before = rig.clock.now
    p.ring()
    assert rig.clock.now == before + 100
    assert [event[0] for _, event in rig.log] == [
        "write", "doorbell", "state", "state", "tre", "burst", "burst", "evre", "irq", "line", "state", "state",
    ]  # fmt: skip
    assert {time for time, _ in rig.log} == {before}


def test_a_register_access_costs_100_ns_whatever_the_timing() -> None:
    for instant in (True, False):
        p = pair(instant=instant)
        before = p.rig.clock.now
        p.t(CTRLSTS)
        p.tw(RING_LOW, 0)
        assert p.rig.clock.now == before + 200


def test_data_of_a_step_is_not_there_before_the_step_is_over() -> None:
    p = pair(instant=False)
    data = p.random_bytes(0, 1024)
    p.copy(p.data + 4096, p.data, 1024)
    p.ring()
    p.rig.run(150 + 40 + 80 - 101)
    assert p.rig.bytes(p.data + 4096, 1024) == bytes(1024)
    assert p.e(WRITE_PTR) == 0
    assert p.rig.bytes(p.data + 4096, 1024) == data
    assert p.e(WRITE_PTR) == 16


def test_same_result_and_same_trace_whether_the_arbiter_loops_or_makes_appointments() -> None:
    logs = []
    for timeline in (False, True):
        rig = Rig(channels=3, entries=32, instant=False, timeline=timeline, traced=True)
        for p in rig.pairs:
            p.up()
            for i in range(20):
                p.copy(p.data + 0x8000 + 700 * i, p.data + 500 * i, 333 * i + 1)
        for p in rig.pairs:
            p.ring()
        for _ in range(400):
            rig.run(150)
            for p in rig.pairs:
                p.events()
        assert all(p.model.tre_done == 20 for p in rig.pairs)
        logs.append(rig.log)
    assert logs[0] == logs[1]


def test_an_endless_ring_that_costs_no_time_does_not_hold_up_the_clock() -> None:
    rig = Rig(entries=16384, share=4 << 20)
    p = rig.pairs[0].up()
    rig.core.engine.set_bus(1024, 1024, 1, 1)
    p.random_bytes(0, 64)
    for _ in range(16383):
        p.copy(p.data + 64, p.data, 64)
    p.ring()  # 256 at once, as many again at the end of the access
    assert p.model.tre_done == 2 * 256
    rig.run(99)
    assert p.model.tre_done == 2 * 256
    rig.run(1)
    assert p.model.tre_done == 3 * 256
    rig.run(61 * 100)
    assert p.model.tre_done == 16383


# --- fuzz -----------------------------------------------------------------------------------------------------------


def test_random_copies_equal_a_plain_model() -> None:
    seed = 20151
    rng = random.Random(seed)
    p = pair(entries=64, share=1 << 18)
    p.random_bytes(0, 0x20000, seed)
    plain = bytearray(p.rig.bytes(p.data, 0x20000))
    for _ in range(300):
        for _ in range(rng.randrange(1, 5)):
            length = rng.choice([1, 3, 64, 100, 1024, 1500, 4096, 40_000])
            source, dest = rng.randrange(0x20000 - length), rng.randrange(0x20000 - length)
            if rng.random() < 0.2:
                pattern = rng.randrange(1 << 64)
                p.copy(p.data + dest, pattern, length, kind=4)
                plain[dest : dest + length] = (pattern.to_bytes(8, "little") * (length // 8 + 1))[:length]
            else:
                p.copy(p.data + dest, p.data + source, length)
                for start in range(0, length, 1024):
                    n = min(1024, length - start)
                    plain[dest + start : dest + start + n] = bytes(plain[source + start : source + start + n])
        p.ring()
        p.events()
        assert p.rig.bytes(p.data, 0x20000) == plain, f"seed {seed}"
    assert p.e(IRQ_EN) and p.states == (ENABLED, ENABLED)
    assert SUSPENDED not in p.states
