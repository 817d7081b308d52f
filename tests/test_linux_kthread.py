# SPDX-License-Identifier: GPL-2.0-only
"""Kernel threads, wait queues and completions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linux_rig import Rig, cpu_number, now

from hidma.linux import sched
from hidma.linux.delay import msleep, udelay, usleep_range
from hidma.linux.errno import EINTR
from hidma.linux.kthread import (
    WaitQueueHead,
    kthread_create,
    kthread_run,
    kthread_should_stop,
    kthread_stop,
    wait_event_timeout,
    wake_up,
)

Make = Callable[..., Rig]


def test_threads_are_given_to_cpus_round_robin(linux_rig: Make) -> None:
    linux_rig(cpus=3)
    where: list[int] = []
    for i in range(7):
        kthread_run(lambda i: where.append((i, cpu_number())) or 0, i, f"t{i}")
    msleep(1)
    assert sorted(where) == [(i, i % 3) for i in range(7)]


def test_a_created_thread_sleeps_until_it_is_woken(rig: Rig) -> None:
    ran: list[str] = []
    task = kthread_create(lambda data: ran.append(data) or 0, "data", "t")
    msleep(1)
    assert ran == []
    assert sched.wake_up_process(task) == 1
    assert sched.wake_up_process(task) == 0
    msleep(1)
    assert ran == ["data"]
    assert task.state == sched.TASK_DEAD
    assert sched.wake_up_process(task) == 0


def test_stopping_asks_waits_and_returns_the_result(linux_rig: Make) -> None:
    linux_rig(cpus=2)
    rounds: list[int] = []

    def thread(_: Any) -> int:
        while not kthread_should_stop():
            usleep_range(10, 10)
            rounds.append(now())
        usleep_range(100, 100)
        return 42

    task = kthread_run(thread, None, "t")
    usleep_range(55, 55)
    assert kthread_stop(task) == 42
    assert now() >= 150_000
    assert kthread_stop(task) == 42


def test_a_thread_that_was_stopped_before_it_was_woken_never_runs(rig: Rig) -> None:
    ran: list[int] = []
    task = kthread_create(lambda _: ran.append(1) or 0, None, "t")
    assert kthread_stop(task) == -EINTR
    assert ran == []


def test_several_tasks_may_wait_for_one_thread(linux_rig: Make) -> None:
    linux_rig(cpus=3)
    task = kthread_create(lambda _: usleep_range(50, 50) or 5, None, "t")
    got: list[int] = []
    for _ in range(2):
        kthread_run(lambda _: got.append(kthread_stop(task)) or 0, None, "waiter")
    sched.wake_up_process(task)
    msleep(1)
    assert got == [5, 5]


def test_a_thread_that_ended_by_itself_is_forgotten(rig: Rig) -> None:
    for i in range(50):
        kthread_run(lambda _: 0, None, f"t{i}")
    msleep(1)
    assert rig.kernel.threads == []


def test_a_thread_may_make_another_and_end(rig: Rig) -> None:
    ran: list[int] = []

    def thread(depth: int) -> int:
        ran.append(depth)
        if depth < 30:
            kthread_run(thread, depth + 1, f"t{depth + 1}")
        return 0

    kthread_run(thread, 0, "t0")
    msleep(1)
    assert ran == list(range(31))


def test_a_thread_that_ends_with_interrupts_disabled_is_complained_about(rig: Rig) -> None:
    kthread_run(lambda _: sched.local_irq_save() and 0, None, "careless")
    msleep(1)
    assert rig.log() == ["BUG: thread careless ended with interrupts or softirqs disabled"]
    assert sched.running_cpu().irqs_off == 0


# --- waiting --------------------------------------------------------------------------------------------------------


def test_waiting_returns_what_was_left(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    queue = WaitQueueHead()
    ready: list[int] = []

    def wake() -> None:
        ready.append(1)
        wake_up(queue)

    rig.at(300, wake)
    assert wait_event_timeout(queue, lambda: bool(ready), 1000) == 700
    assert now() == 300
    # it holds already: no time passes, and one that is late is still said to hold
    assert wait_event_timeout(queue, lambda: bool(ready), 50) == 50
    assert wait_event_timeout(queue, lambda: bool(ready), 0) == 1
    assert now() == 300


def test_waiting_ends_with_its_time(rig: Rig) -> None:
    queue = WaitQueueHead()
    assert wait_event_timeout(queue, lambda: False, 5000) == 0
    assert now() == 5000
    assert queue.tasks == []


def test_a_wake_up_without_the_condition_is_slept_over(rig: Rig) -> None:
    queue = WaitQueueHead()
    asked: list[int] = []
    for t in (100, 200, 300):
        rig.at(t, lambda: wake_up(queue))

    def condition() -> bool:
        asked.append(now())
        return now() >= 300

    assert wait_event_timeout(queue, condition, 1000) == 700
    assert asked == [0, 100, 200, 300]


def test_waiting_for_ever_for_what_never_comes_says_so(rig: Rig) -> None:
    assert wait_event_timeout(WaitQueueHead(), lambda: False, None) == -1


def test_a_wake_up_wakes_everybody(linux_rig: Make) -> None:
    linux_rig(cpus=4)
    queue = WaitQueueHead()
    woken: list[int] = []
    gate: list[int] = []

    def thread(i: int) -> int:
        wait_event_timeout(queue, lambda: bool(gate), None)
        woken.append(i)
        return 0

    for i in range(8):
        kthread_run(thread, i, "t")
    udelay(10)
    gate.append(1)
    wake_up(queue)
    msleep(1)
    assert sorted(woken) == list(range(8))


def test_time_outs_that_never_happen_do_not_fill_the_clock(rig: Rig) -> None:
    """A client that waits for a million transfers, each with a time-out of seconds, leaves nothing behind."""
    queue = WaitQueueHead()
    for _ in range(5000):
        rig.at(now() + 10, lambda: wake_up(queue))
        start = now()
        assert wait_event_timeout(queue, lambda start=start: now() > start, 3_000_000_000) > 0
    assert len(rig.clock.events) < 600
    assert now() == 50_000
