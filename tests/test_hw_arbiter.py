# SPDX-License-Identifier: GPL-2.0-only
"""The arbiter: shares, priorities, rounds, and that nobody is looked at who has nothing to do."""

from __future__ import annotations

import pytest
from hw_rig import CFG, CTRLSTS, ENABLED, MAX_BUS, MAX_XACTIONS, QOS, RESET, RUNNING, Rig


def saturated(channels: int, qos: list[tuple[int, int]], length: int = 16384, **options: object) -> Rig:
    """A rig whose channels have more to do than they will get done, with (priority, weight) for each."""
    rig = Rig(channels=channels, entries=1024, managed=True, instant=False, share=1 << 20, **options)  # type: ignore[arg-type]
    rig.mw(MAX_BUS, 1024 << 16 | 1024)
    rig.mw(MAX_XACTIONS, 4 << 16 | 4)
    rig.mw(CFG, 1)
    for index, (priority, weight) in enumerate(qos):
        rig.mw(QOS + 4 * index, priority << 15 | weight << 8)
    for p in rig.pairs:
        p.up()
        for _ in range(1023):
            p.copy(p.data + 0x20000, p.data, length)
    for p in rig.pairs:
        p.ring()
    return rig


def moved(rig: Rig, ns: int) -> list[int]:
    before = [p.model.bytes_moved for p in rig.pairs]
    rig.run(ns)
    return [p.model.bytes_moved - was for p, was in zip(rig.pairs, before, strict=True)]


@pytest.mark.parametrize(("length", "ns"), [(16384, 1_500_000), (3000, 500_000), (64, 10 * 80 * 195)])
def test_weights_15_and_5_give_three_to_one(length: int, ns: int) -> None:
    rig = saturated(2, [(0, 15), (0, 5)], length)
    one, two = moved(rig, ns)
    assert one / two == pytest.approx(3, rel=0.02)
    assert all(p.states == (RUNNING, RUNNING) for p in rig.pairs)


def test_equal_weights_share_equally_among_six() -> None:
    rig = saturated(6, [(0, 3)] * 6)
    shares = moved(rig, 2_000_000)
    assert max(shares) / min(shares) == pytest.approx(1, rel=0.02)


def test_tres_of_different_length_share_by_bursts() -> None:
    rig = saturated(2, [(0, 5), (0, 5)])
    # the second channel's TREs are four times as long
    for slot in range(1024):
        rig.store(rig.pairs[0].tre_ring + 32 * slot + 4, 4096)
    rig.run(10_000)
    one, two = moved(rig, 800_000)
    assert one / two == pytest.approx(1, rel=0.02)


def test_priority_1_starves_priority_0_and_back() -> None:
    rig = saturated(2, [(0, 5), (1, 5)])
    rig.run(20_000)
    one, two = moved(rig, 1_000_000)
    assert one == 0
    assert two > 0
    rig.mw(QOS, 1 << 15 | 5 << 8)
    rig.mw(QOS + 4, 0 << 15 | 5 << 8)
    rig.run(20_000)
    one, two = moved(rig, 1_000_000)
    assert two == 0
    assert one > 0
    rig.mw(QOS, 0 << 15 | 5 << 8)
    rig.run(20_000)
    one, two = moved(rig, 1_000_000)
    assert one / two == pytest.approx(1, rel=0.02)


def test_new_weights_hold_within_one_round() -> None:
    rig = saturated(2, [(0, 10), (0, 10)])
    rig.run(500_000)
    round_ns = 20 * 4 * (40 + 80)  # grants of a round x bursts of a grant x time of a burst
    rig.mw(QOS, 15 << 8)
    rig.mw(QOS + 4, 5 << 8)
    rig.run(round_ns)
    one, two = moved(rig, 20 * round_ns)
    assert one / two == pytest.approx(3, rel=0.05)


def test_a_smaller_weight_ends_the_turn_that_is_under_way() -> None:
    rig = saturated(2, [(0, 100), (0, 1)], traced=True)
    rig.run(200_000)  # a turn of 100 grants takes 48 us
    while rig.core.arbiter.busy is not rig.pairs[0].model or rig.pairs[0].model.credits < 50:
        rig.run(500)
    rig.mw(QOS, 3 << 8)
    rig.log.clear()
    rig.run(20_000)
    first = [event[1] for _, event in rig.log if event[0] == "burst" and event[3] == "write"]
    before = first.index("hidma.chan1")
    # the grant under way, and the three of the new weight
    assert 3 <= before <= 4


def test_a_new_priority_ends_the_turn_that_is_under_way() -> None:
    rig = saturated(2, [(0, 10), (0, 10)], traced=True)
    one = rig.pairs[0].model
    while rig.core.arbiter.busy is not one or not 2 <= one.credits <= 3:
        rig.run(100)
    for n in range(2):
        rig.mw(QOS + 4 * n, 1 << 15 | 10 << 8)
    rig.log.clear()
    rig.run(20_000)
    order = [event[1] for _, event in rig.log if event[0] == "burst" and event[3] == "write"]
    # the grant under way, then the turn of the other one
    assert order[:11] == ["hidma.chan0"] + ["hidma.chan1"] * 10


@pytest.mark.parametrize("priority", [0, 1])
def test_the_share_of_an_idle_channel_leaves_the_others_their_turns(priority: int) -> None:
    rig = saturated(4, [(priority, 1)] * 4)
    rig.pairs[3].reset()
    for value in (1 - priority, priority, 1 - priority):
        rig.mw(QOS + 12, value << 15 | 1 << 8)
        rig.run(20_000)
        assert all(moved(rig, 50_000)[:3])
    assert not rig.pairs[3].model.queued


def test_work_that_takes_time_is_never_paused() -> None:
    rig = Rig(entries=512, managed=True, instant=False, timeline=True)
    rig.mw(MAX_XACTIONS, 1 << 16 | 1)
    rig.mw(CFG, 1)
    p = rig.pairs[0].up()
    for _ in range(500):
        p.copy(p.data + 64, p.data, 64, ieob=0)
    p.ring()
    start = rig.clock.now - 100  # the time of the doorbell, before the access
    rig.clock.tick(start + 500 * 195 - rig.clock.now)
    assert p.model.tre_done == 500


def test_weight_0_counts_as_1() -> None:
    rig = saturated(2, [(0, 0), (0, 3)])
    rig.run(10_000)
    one, two = moved(rig, 2_000_000)
    assert two / one == pytest.approx(3, rel=0.02)


def test_a_turn_is_weight_grants_of_max_xactions_bursts() -> None:
    rig = saturated(2, [(0, 3), (0, 2)], traced=True)
    rig.run(100_000)
    runs: list[list[object]] = []
    for _, event in rig.log:
        if event[0] == "burst" and event[3] == "write":
            if runs and runs[-1][0] == event[1]:
                runs[-1][1] += event[6]  # type: ignore[operator]
            else:
                runs.append([event[1], event[6]])
    assert [tuple(run) for run in runs[1:7]] == [("hidma.chan1", 8), ("hidma.chan0", 12)] * 3


@pytest.mark.parametrize("counts", [(2, 7), (7, 2), (2, 2)])
def test_a_grant_of_short_copies_ends_with_its_reads_or_writes_whichever_are_fewer(counts: tuple[int, int]) -> None:
    rig = Rig(channels=2, entries=64, managed=True)
    rig.mw(MAX_BUS, 1024 << 16 | 1024)
    rig.mw(MAX_XACTIONS, counts[1] << 16 | counts[0])
    log = rig.pairs[0].data
    for p in rig.pairs:
        p.up()
        for number in range(20):
            rig.store(p.data + 0x8000 + 8 * number, p.index, number)
            # two copies are one entry of the log: all others move up, the new one is the first
            p.copy(log + 8, log, 504, ieob=0)
            p.copy(log, p.data + 0x8000 + 8 * number, 8, ieob=0)
        p.ring()
    rig.mw(CFG, 1)
    entries = [rig.load(log + 8 * number, 2) for number in range(40)]
    assert entries[::-1] == [(index, number) for number in range(20) for index in (0, 1)]


def test_a_burst_of_higher_priority_waits_for_the_grant_only() -> None:
    rig = saturated(2, [(0, 15), (1, 1)])
    low, high = rig.pairs
    high.reset()
    rig.run(50_000)
    high.program()
    high.command(1)
    for _ in range(2):
        high.copy(high.data + 0x20000, high.data, 4096)
    high.ear.heard.clear()
    start = rig.clock.now
    high.ring()
    rig.run(10_000)
    rise = high.ear.heard[0][0] - start
    assert rise <= 150 + 2 * 4 * (40 + 80) + 150


def test_a_stalled_channel_does_not_hold_up_the_others() -> None:
    rig = saturated(2, [(1, 127), (0, 1)])
    stuck, other = rig.pairs
    stuck.reset()
    stuck.program()
    stuck.ew(0x10, 32)
    stuck.command(1)
    for _ in range(4):
        stuck.copy(stuck.data, stuck.data + 64, 64)
    stuck.ring()
    rig.run(10_000)
    assert stuck.model.stalls == 1
    assert moved(rig, 100_000)[1] > 0
    assert other.states == (2, 2)


@pytest.mark.parametrize("instant", [False, True])
def test_the_number_of_idle_channels_does_not_matter(instant: bool) -> None:
    events = []
    for channels in (1, 6, 64):
        rig = Rig(channels=channels, entries=16, instant=instant, share=1 << 14)
        p = rig.pairs[-1].up()
        for _ in range(10):
            p.copy(p.data, p.data + 1024, 64)
        before = rig.clock.sequence
        p.ring()
        rig.run(10_000)
        assert p.model.tre_done == 10
        events.append(rig.clock.sequence - before)
    assert events == [events[0]] * 3


def test_all_64_channels_get_done_what_they_were_given() -> None:
    rig = Rig(channels=64, entries=16, instant=False, share=1 << 14)
    for p in rig.pairs:
        p.up()
        for i in range(12):
            p.copy(p.data + 0x2000, p.data, 100 + i)
    for p in rig.pairs:
        p.ring()
    rig.run(1_000_000)
    assert [p.model.tre_done for p in rig.pairs] == [12] * 64
    assert {p.states for p in rig.pairs} == {(ENABLED, ENABLED)}


def test_reset_of_the_channel_on_the_bus_gives_the_bus_to_the_next_one() -> None:
    rig = saturated(2, [(0, 127), (0, 1)])
    one, two = rig.pairs
    rig.run(5_000)
    assert two.model.bytes_moved == 0
    one.tw(CTRLSTS, RESET << 16)
    rig.run(5_000)
    assert two.model.bytes_moved > 0


def scenario(rig: Rig) -> tuple[list[object], list[int]]:
    for p in rig.pairs:
        p.up()
        for i in range(50):
            p.copy(p.data + 0x8000, p.data, 100 * (i + 1) + p.index)
    for p in rig.pairs:
        p.ring()
    for _ in range(60):
        rig.run(3_000)
        for p in rig.pairs:
            p.events()
    return rig.log, [p.model.bytes_moved for p in rig.pairs]


def test_the_same_program_gives_the_same_trace() -> None:
    first = scenario(Rig(channels=4, entries=64, instant=False, traced=True))
    second = scenario(Rig(channels=4, entries=64, instant=False, traced=True))
    assert first == second
    assert len(first[0]) > 1000


def test_tracing_changes_nothing() -> None:
    def state(traced: bool) -> list[object]:
        rig = Rig(channels=3, entries=64, instant=False, traced=traced)
        scenario(rig)
        return [rig.bytes(p.data, 0x10000) for p in rig.pairs] + [rig.clock.now] + [p.ear.heard for p in rig.pairs]

    assert state(True) == state(False)


def test_a_channel_that_is_reset_waits_for_the_bus_no_more() -> None:
    rig = saturated(3, [(0, 5), (1, 5), (0, 5)])
    rig.run(5_000)
    assert rig.pairs[0].model.queued
    rig.pairs[0].tw(CTRLSTS, RESET << 16)
    assert not rig.pairs[0].model.queued
