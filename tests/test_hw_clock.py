# SPDX-License-Identifier: GPL-2.0-only
"""Virtual time: the queue of events and the timelines that spend the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from greenlet import getcurrent, greenlet
from linux_rig import Happening

from hidma.hw.clock import Clock, Event, Timeline

FOREVER = Clock().horizon


def at(clock: Clock, time: int, function: Callable[[], Any]) -> Event:
    event = Happening(function)
    clock.schedule(event, time)
    return event


# --- events ---------------------------------------------------------------------------------------------------------


def test_events_happen_in_the_order_of_their_times_then_of_scheduling() -> None:
    clock = Clock()
    log: list[tuple[str, int]] = []
    for name, time in (("c", 30), ("a", 10), ("b", 20), ("b2", 20), ("z", 10)):
        at(clock, time, lambda name=name: log.append((name, clock.now)))
    clock.tick(25)
    assert log == [("a", 10), ("z", 10), ("b", 20), ("b2", 20)]
    assert clock.now == 25
    assert clock.next_event() == 30
    clock.tick(5)
    assert log[-1] == ("c", 30)
    assert clock.next_event() == FOREVER


def test_an_event_that_is_cancelled_or_moved_happens_then_or_not_at_all() -> None:
    clock = Clock()
    log: list[int] = []
    moved = at(clock, 10, lambda: log.append(clock.now))
    gone = at(clock, 15, lambda: log.append(-1))
    clock.schedule(moved, 40)
    clock.cancel(gone)
    clock.cancel(gone)
    clock.tick(100)
    assert log == [40]
    clock.schedule(moved, 5)  # the past is now
    clock.tick(0)
    assert log == [40, 100]


def test_an_event_that_an_earlier_one_displaced_still_comes_before_its_juniors_of_the_same_time() -> None:
    clock = Clock()
    log: list[str] = []
    first = at(clock, 10, lambda: log.append("first"))
    at(clock, 10, lambda: log.append("second"))
    at(clock, 5, lambda: log.append("early"))
    clock.tick(7)
    assert log == ["early"]
    assert clock.next_event() == 10
    clock.cancel(first)
    assert clock.next_event() == 10
    clock.tick(10)
    assert log == ["early", "second"]
    assert clock.next_event() == FOREVER


@pytest.mark.parametrize("seed", range(20))
def test_the_next_event_is_the_earliest_that_still_stands(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock()
    log: list[int] = []
    standing: dict[int, tuple[int, int]] = {}
    events: list[Event] = []
    order = 0

    def body(number: int) -> None:
        log.append(number)
        expected = min(standing, key=standing.__getitem__)
        assert number == expected
        del standing[number]

    for number in range(12):
        events.append(Happening(lambda number=number: body(number)))
    for _ in range(400):
        number = rng.randrange(12)
        match rng.randrange(4):
            case 0:
                clock.cancel(events[number])
                standing.pop(number, None)
            case 1:
                clock.tick(rng.randrange(4))
            case _:
                order += 1
                time = clock.now + rng.randrange(6)
                clock.schedule(events[number], time)
                standing[number] = (time, order)
        assert clock.next_event() == min((time for time, _ in standing.values()), default=FOREVER)
    assert log


def test_an_event_may_schedule_itself_and_others() -> None:
    clock = Clock()
    log: list[int] = []

    def body() -> None:
        log.append(clock.now)
        if len(log) < 4:
            clock.schedule(event, clock.now + 10)

    event = at(clock, 10, body)
    clock.tick(35)
    assert log == [10, 20, 30]


@pytest.mark.parametrize("seed", range(5))
def test_any_mix_of_appointments_agrees_with_a_simple_list(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock()
    log: list[tuple[int, int]] = []
    events = [Happening(lambda i=i: log.append((i, clock.now))) for i in range(40)]
    model: dict[int, tuple[int, int]] = {}
    wanted: list[tuple[int, int]] = []
    for step in range(4000):
        i = rng.randrange(40)
        action = rng.random()
        if action < 0.6:
            time = clock.now + rng.randrange(1, 3000)
            clock.schedule(events[i], time)
            model[i] = (time, step)
        elif action < 0.8:
            clock.cancel(events[i])
            model.pop(i, None)
        else:
            clock.tick(rng.randrange(60))
            due = sorted((when, order, j) for j, (when, order) in model.items() if when <= clock.now)
            wanted += [(j, when) for when, _, j in due]
            for _, _, j in due:
                del model[j]
            assert log == wanted, f"seed {seed}"
        assert clock.next_event() == min((when for when, _ in model.values()), default=FOREVER)


def test_appointments_that_never_happen_do_not_fill_the_queue() -> None:
    clock = Clock()
    far = at(clock, 1 << 40, lambda: None)
    event = Happening(lambda: None)
    for i in range(100_000):
        clock.schedule(event, 1_000_000_000 + i)
        if i % 3 == 0:
            clock.cancel(event)
    assert len(clock.events) < 1000
    clock.cancel(event)
    assert clock.next_event() == far.time


def test_the_hardware_may_not_run_anybody_inside_an_event() -> None:
    """An event that spends time (a model that reads a register of another) does not fire the next one early."""
    clock = Clock()
    log: list[tuple[str, int]] = []

    def body() -> None:
        clock.tick(100)
        log.append(("first", clock.now))

    at(clock, 10, body)
    at(clock, 50, lambda: log.append(("second", clock.now)))
    clock.tick(60)
    assert log == [("first", 110), ("second", 50)]
    assert clock.now == 60


# --- timelines ------------------------------------------------------------------------------------------------------


class Line(Timeline):
    """A timeline whose life is ``body``."""

    def __init__(self, clock: Clock, rank: int, body: Callable[[Line], Any]) -> None:
        Timeline.__init__(self, clock, rank)
        self.body = body
        self.greenlet = greenlet(self.run)
        clock.add(self)

    def run(self) -> None:
        self.body(self)
        while True:
            self.clock.idle(self)


def main(clock: Clock) -> Timeline:
    """The caller as a timeline of rank 0."""
    me = Timeline(clock, 0)
    me.greenlet = getcurrent()
    clock.add(me)
    clock.main = clock.current = me
    me.runnable = 1
    return me


def test_the_one_furthest_behind_runs() -> None:
    clock = Clock()
    log: list[tuple[int, int]] = []

    def body(line: Line) -> None:
        for _ in range(10):
            log.append((clock.now, line.rank))
            clock.tick(line.rank * 10)

    me = main(clock)
    for rank in (3, 1, 2):
        clock.kick(Line(clock, rank, body))
    clock.tick(1000)
    assert clock.current is me
    assert clock.now == 1000
    assert [time for time, _ in log] == sorted(time for time, _ in log)
    for rank in (1, 2, 3):
        assert [time for time, r in log if r == rank] == [10 * rank * i for i in range(10)]
    # at the same moment the lower rank goes first
    assert [rank for time, rank in log if time == 0] == [1, 2, 3]


def test_a_timeline_that_is_kicked_begins_now_unless_it_is_ahead() -> None:
    clock = Clock()
    log: list[int] = []

    def body(line: Line) -> None:
        log.append(clock.now)
        clock.tick(500)
        clock.idle(line)
        log.append(clock.now)

    main(clock)
    line = Line(clock, 1, body)
    clock.tick(100)
    clock.kick(line)
    clock.tick(50)
    assert log == [100]
    assert clock.now == 150
    clock.tick(1000)
    clock.kick(line)
    clock.tick(1)
    clock.tick(1)
    assert log == [100, 1150]


def test_idle_returns_when_somebody_kicks_and_says_when_nobody_ever_will() -> None:
    clock = Clock()
    me = main(clock)
    at(clock, 70, lambda: clock.kick(me))
    assert clock.idle(me) == 0
    assert clock.now == 70
    assert clock.idle(me) == -1
    assert clock.idle(me) == -1

    def body(line: Line) -> None:
        clock.tick(5)

    clock.kick(Line(clock, 1, body))
    assert clock.idle(me) == -1


def test_a_timeline_that_was_taken_out_never_runs_again() -> None:
    clock = Clock()
    log: list[str] = []

    def body(line: Line) -> None:
        while True:
            log.append("ran")
            clock.tick(10)

    me = main(clock)
    line = Line(clock, 1, body)
    clock.kick(line)
    clock.tick(25)
    assert log == ["ran"] * 3
    clock.remove(line)
    clock.kick(line)
    assert not line.runnable
    clock.tick(1000)
    assert log == ["ran"] * 3
    assert clock.idle(me) == -1
    clock.add(line)
    clock.kick(line)
    clock.tick(10)
    assert len(log) > 3


def test_a_timeline_that_takes_itself_out_leaves_the_others_running() -> None:
    clock = Clock()

    def body(line: Line) -> None:
        clock.tick(10)
        clock.remove(line)
        clock.idle(line)
        raise AssertionError("it ran again")

    me = main(clock)
    clock.kick(Line(clock, 1, body))
    clock.tick(100)
    at(clock, 300, lambda: clock.kick(me))
    assert clock.idle(me) == 0
    assert clock.now == 300


def test_an_exception_of_another_timeline_leaves_the_caller_in_its_own_time() -> None:
    clock = Clock()

    def body(line: Line) -> None:
        clock.tick(30)
        raise ValueError("out of the blue")

    me = main(clock)
    line = Line(clock, 1, body)
    clock.kick(line)
    with pytest.raises(ValueError, match="out of the blue"):
        clock.tick(100)
    assert clock.current is me
    assert clock.now >= 100
    clock.remove(line)
    clock.tick(10)
    assert clock.now >= 110


def test_a_timeline_that_was_removed_is_none_of_the_clock() -> None:
    clock = Clock()
    one, two = Timeline(clock, 0), Timeline(clock, 1)
    clock.add(one)
    clock.add(two)
    clock.remove(one)
    assert clock.timelines == (two,) and one.gone


def test_a_timeline_that_is_woken_runs_as_soon_as_the_running_one_is_past_it() -> None:
    clock = Clock()
    log: list[tuple[str, int]] = []
    main, other = Timeline(clock, 0), Timeline(clock, 1)
    main.greenlet = getcurrent()

    def work() -> None:
        log.append(("other", clock.now))
        clock.idle(other)

    other.greenlet = greenlet(work)
    for line in (main, other):
        clock.add(line)
    main.runnable = 1
    clock.current = clock.main = main
    clock.tick(10)
    clock.kick(other)
    log.append(("main", clock.now))
    clock.tick(1)
    assert log == [("main", 10), ("other", 10)] and clock.now == 11
