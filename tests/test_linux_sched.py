# SPDX-License-Identifier: GPL-2.0-only
"""CPUs, tasks and time: who runs when, what happens when nobody can, and how a kernel ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from linux_rig import REGS, Rig, cpu_number, now

from hidma.linux import io, sched
from hidma.linux.delay import msleep, udelay, usleep_range
from hidma.linux.interrupt import IRQ_HANDLED, request_irq
from hidma.linux.kthread import WaitQueueHead, kthread_create, kthread_run, kthread_stop, wait_event_timeout, wake_up
from hidma.linux.printk import dev_warn, printk
from hidma.linux.sched import KernelOops

Make = Callable[..., Rig]


def sleep_for_ever() -> int:
    sched.current().state = sched.TASK_UNINTERRUPTIBLE
    return sched.schedule()


# --- time ---------------------------------------------------------------------------------------------------------


def test_the_cpu_furthest_behind_runs(linux_rig: Make) -> None:
    rig = linux_rig(cpus=4)
    log: list[tuple[int, int]] = []

    def thread(cost: int) -> int:
        for _ in range(20):
            log.append((now(), cpu_number()))
            udelay(cost)
        return 0

    for cost in (1, 3, 7):
        kthread_run(thread, cost, f"t{cost}")
    msleep(1)
    times = [time for time, _ in log]
    assert len(log) == 60
    assert times == sorted(times)
    assert {cpu for _, cpu in log} == {0, 1, 2}
    for cpu, cost in ((0, 1), (1, 3), (2, 7)):
        assert [t for t, c in log if c == cpu] == [1000 * cost * i for i in range(20)]
    assert rig.kernel.dead is None


@pytest.mark.parametrize("ranks", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_cpus_at_the_same_moment_go_by_rank(linux_rig: Make, ranks: list[int]) -> None:
    linux_rig(cpus=3, ranks=ranks)
    order: list[int] = []
    for _ in range(3):
        kthread_run(lambda _: order.append(cpu_number()) or 0, None, "t")
    msleep(1)
    # the caller's own CPU goes first: it is running when it goes to sleep
    assert order[0] == 0
    assert order[1:] == sorted((1, 2), key=lambda cpu: ranks[cpu])


def test_the_order_is_the_same_in_every_run(linux_rig: Make) -> None:
    def run() -> list[tuple[int, int]]:
        linux_rig(cpus=4, ranks=[3, 1, 0, 2])
        log = []

        def thread(seed: int) -> int:
            for i in range(30):
                log.append((now(), cpu_number()))
                udelay(1 + (seed * 7 + i * i) % 5)
                if i % 7 == seed:
                    usleep_range(1, 3 + seed)
            return 0

        for seed in range(6):
            kthread_run(thread, seed, f"t{seed}")
        msleep(2)
        return log

    first = run()
    assert len(first) == 180
    assert run() == first


def test_a_busy_cpu_does_not_keep_the_others_from_their_time(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    seen = []

    def spinner(_: Any) -> int:
        while not sched.current().should_stop:
            io.readl(rig.base)
        return 7

    kthread_create(spinner, None, "unused")  # has CPU 0
    task = kthread_run(spinner, None, "spinner")
    for _ in range(5):
        usleep_range(10, 10)
        seen.append(now())
    assert seen == [10_000 * i for i in range(1, 6)]
    assert kthread_stop(task) == 7


def test_a_sleep_takes_the_upper_limit_of_its_range(rig: Rig) -> None:
    usleep_range(5, 20)
    assert now() == 20_000
    msleep(3)
    assert now() == 3_020_000
    assert sched.schedule_timeout(500) == 0
    assert now() == 3_020_500


def test_a_wake_up_ends_a_sleep_early_and_says_what_was_left(rig: Rig) -> None:
    me = sched.current()
    rig.at(300, lambda: sched.wake_up_process(me))
    assert sched.schedule_timeout(1000) == 700
    assert now() == 300
    # and the time-out of the sleep that is over wakes nobody later
    me.state = sched.TASK_UNINTERRUPTIBLE
    rig.at(5000, lambda: sched.wake_up_process(me))
    assert sched.schedule() == 0
    assert now() == 5000


def test_an_idle_cpu_wakes_at_the_moment_of_the_event(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    line = rig.line(5)
    taken = []

    def handler(irq: int, _: Any) -> int:
        taken.append((now(), cpu_number()))
        line.set(0)
        return IRQ_HANDLED

    assert request_irq(5, handler, 0, "test", line) == 0
    rig.at(1234, lambda: line.set(1))
    udelay(10)
    assert taken == [(1234, 1)]
    assert now() == 10_000


def test_tasks_of_one_cpu_take_turns(rig: Rig) -> None:
    order = []

    def thread(name: str) -> int:
        for _ in range(3):
            order.append(name)
            sched.cond_resched()
        return 0

    for name in "abc":
        kthread_run(thread, name, name)
    assert order == []  # nobody is preempted
    sched.cond_resched()
    assert order == ["a", "b", "c"]
    msleep(1)
    assert order == ["a", "b", "c"] * 3


def test_cond_resched_does_nothing_in_an_atomic_section(rig: Rig) -> None:
    ran = []
    kthread_run(lambda _: ran.append(1) or 0, None, "t")
    flags = sched.local_irq_save()
    sched.cond_resched()
    assert ran == []
    sched.local_irq_restore(flags)
    sched.cond_resched()
    assert ran == [1]
    assert not any("atomic" in text for text in rig.log())


def test_a_busy_wait_goes_on_when_another_cpu_has_something_to_do(linux_rig: Make) -> None:
    """It does not step over what the other CPU makes of an event."""
    rig = linux_rig(cpus=2)
    line = rig.line(5)
    done = []

    def handler(irq: int, _: Any) -> int:
        io.readl(rig.base)
        line.set(0)
        done.append(now())
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", line)
    rig.at(400_000, lambda: line.set(1))
    while not done:
        sched.cpu_relax()
    assert done == [400_100]
    assert now() - done[0] < 1000


# --- coming to rest -----------------------------------------------------------------------------------------------


def test_a_main_task_that_nobody_can_wake_is_told(rig: Rig) -> None:
    assert sleep_for_ever() == -1
    assert wait_event_timeout(WaitQueueHead(), lambda: False, None) == -1
    msleep(1)  # and goes on as usual
    assert now() == 1_000_000


def test_threads_that_wait_for_each_other_stall_the_machine_and_main_is_told(linux_rig: Make) -> None:
    linux_rig(cpus=4)
    queues = [WaitQueueHead(), WaitQueueHead()]

    def thread(i: int) -> int:
        usleep_range(1, 5)
        wait_event_timeout(queues[i], lambda: False, None)
        wake_up(queues[1 - i])
        return 0

    tasks = [kthread_run(thread, i, f"t{i}") for i in range(2)]
    assert sleep_for_ever() == -1
    assert now() >= 5000
    assert [t.state for t in tasks] == [sched.TASK_UNINTERRUPTIBLE] * 2
    # waiting for one of them to end is no better, and says so
    assert kthread_stop(tasks[0]) < 0


def test_rest_is_told_to_the_kernel_that_the_caller_is_on(linux_rig: Make) -> None:
    rig = linux_rig()
    guest = rig.boot("guest", 2)
    guest.enter()
    kthread_run(lambda _: sleep_for_ever(), None, "t")
    assert sleep_for_ever() == -1
    rig.kernel.enter()
    assert sleep_for_ever() == -1


# --- several kernels ----------------------------------------------------------------------------------------------


def test_a_kernel_that_is_left_goes_on(linux_rig: Make) -> None:
    rig = linux_rig()
    guest = rig.boot("guest")
    line = rig.line(9, guest)
    taken = []

    def handler(irq: int, _: Any) -> int:
        taken.append((sched.running_cpu().kernel.name, now()))
        line.set(0)
        return IRQ_HANDLED

    guest.enter()
    assert request_irq(9, handler, 0, "guest", line) == 0
    rig.kernel.enter()
    assert sched.running_cpu().kernel is rig.kernel
    rig.at(2000, lambda: line.set(1))
    udelay(5)
    assert taken == [("guest", 2000)]
    rig.kernel.leave()
    rig.kernel.leave()
    rig.kernel.enter()
    assert now() == 5000


def test_entering_a_kernel_waits_until_its_cpu_schedules(linux_rig: Make) -> None:
    """A thread that was in the middle of something is not lost, and not cut in two."""
    rig = linux_rig()
    guest = rig.boot("guest")
    log: list[str] = []

    def thread(_: Any) -> int:
        base = io.ioremap(REGS, 0x1000)
        for i in range(10):
            io.readl(base)
            log.append(f"access {i} at {now()}")
        return 3

    guest.enter()
    task = kthread_create(thread, None, "worker")
    rig.regs.cost = 1000
    rig.kernel.enter()
    sched.wake_up_process(task)
    udelay(3)
    assert log == ["access 0 at 1000", "access 1 at 2000", "access 2 at 3000"][: len(log)]
    assert 2 <= len(log) <= 3
    guest.enter()
    log.append(f"entered on {sched.current().name}")
    assert log[-1] == "entered on init"
    assert log[-2] == "access 9 at 10000"
    assert len(log) == 11
    assert task.result == 3


def test_entering_a_kernel_waits_for_the_end_of_a_handler(linux_rig: Make) -> None:
    rig = linux_rig()
    guest = rig.boot("guest")
    line = rig.line(9, guest)
    log = []

    def handler(irq: int, base: int) -> int:
        for _ in range(10):
            io.readl(base)
        line.set(0)
        log.append("handled")
        return IRQ_HANDLED

    guest.enter()
    request_irq(9, handler, 0, "guest", io.ioremap(REGS, 0x1000))
    rig.kernel.enter()
    rig.regs.cost = 1000
    rig.at(100, lambda: line.set(1))
    udelay(2)
    assert log == []
    guest.enter()
    assert log == ["handled"]
    cpu = sched.running_cpu()
    assert (cpu.hardirq, cpu.irqs_off, cpu.softirq) == (0, 0, 0)


def test_a_cpu_that_is_left_in_an_atomic_section_stands_still(linux_rig: Make) -> None:
    rig = linux_rig()
    guest = rig.boot("guest")
    line = rig.line(9, guest)
    taken: list[int] = []

    def handler(irq: int, _: Any) -> int:
        taken.append(now())
        line.set(0)
        return IRQ_HANDLED

    guest.enter()
    request_irq(9, handler, 0, "guest", line)
    ran: list[int] = []
    kthread_run(lambda _: ran.append(now()) or 0, None, "worker")
    flags = sched.local_irq_save()
    rig.kernel.enter()
    rig.at(1000, lambda: line.set(1))
    msleep(1)
    assert not taken and not ran
    guest.enter()
    assert sched.running_cpu().irqs_off == 1
    assert not taken
    sched.local_irq_restore(flags)
    assert taken == [1_000_000]
    msleep(1)
    assert len(ran) == 1


def test_two_machines_take_turns_in_one_program(linux_rig: Make) -> None:
    rigs = [linux_rig(), linux_rig()]
    for i, rig in enumerate(rigs * 3):
        rig.kernel.enter()
        printk(6, f"turn {i}")
        msleep(1 + i)
    assert rigs[0].log() == ["turn 0", "turn 2", "turn 4"]
    assert rigs[1].log() == ["turn 1", "turn 3", "turn 5"]
    assert rigs[0].clock.now == 9_000_000
    assert rigs[1].clock.now == 12_000_000


# --- the end of a kernel ------------------------------------------------------------------------------------------


def oops(_: Any) -> int:
    udelay(7)
    raise KernelOops("Unable to handle kernel paging request at virtual address deadbeef")


def test_an_oops_of_a_thread_reaches_a_main_task_that_sleeps(linux_rig: Make) -> None:
    rig = linux_rig(cpus=3)
    kthread_create(oops, None, "zero")
    kthread_run(oops, None, "one")
    with pytest.raises(KernelOops, match="deadbeef") as caught:
        msleep(1000)
    assert caught.value.kernel == "host"
    assert now() == 7000
    assert rig.kernel.dead is not None and rig.kernel.dead.message == caught.value.message
    assert rig.log()[0].startswith("Internal error: Oops: Unable to handle")
    with pytest.raises(KernelOops):
        msleep(1)
    with pytest.raises(KernelOops):
        rig.kernel.enter()


def test_an_oops_stops_one_kernel_and_the_others_go_on(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    guest = rig.boot("guest", 2)
    ran: list[str] = []

    def ticker(name: str) -> int:
        while True:
            usleep_range(10, 10)
            ran.append(name)

    guest.enter()
    kthread_run(oops, None, "bad")
    kthread_run(ticker, "guest", "ticker")
    rig.kernel.enter()
    kthread_run(ticker, "host", "ticker")
    usleep_range(1000, 1000)
    assert guest.dead is not None and rig.kernel.dead is None
    assert ran.count("guest") == 0  # the Oops came at 7 us, its first tick would have come at 10
    assert ran.count("host") in (99, 100)
    with pytest.raises(KernelOops, match="deadbeef"):
        guest.enter()
    # what happened to be woken on it does not run either
    before = len(ran)
    usleep_range(100, 100)
    assert ran[before:] == ["host"] * (len(ran) - before)
    assert rig.kernel.dead is None


def test_a_dead_kernel_takes_no_interrupt_and_no_tasklet_while_its_caller_unwinds(linux_rig: Make) -> None:
    rig = linux_rig()
    line = rig.line(5)
    taken = []
    request_irq(5, lambda irq, dev: taken.append(irq) or IRQ_HANDLED, 0, "test", line)
    flags = sched.local_irq_save()
    rig.kernel.die(KernelOops("gone"))
    line.set(1)
    sched.local_irq_restore(flags)
    io.readl(rig.base)
    assert taken == []


@pytest.mark.parametrize("where", ["same cpu", "other cpu"])
def test_a_mistake_in_a_thread_stops_the_kernel_and_keeps_its_cause(linux_rig: Make, where: str) -> None:
    linux_rig(cpus=2)
    if where == "other cpu":
        kthread_create(oops, None, "unused")

    def thread(_: Any) -> int:
        return {}["no such key"]  # type: ignore[no-any-return,index]

    kthread_run(thread, None, "t")
    with pytest.raises(KernelOops, match="KeyError") as caught:
        msleep(1)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_interrupted_program_hears_of_it_in_its_own_code(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)

    def thread(_: Any) -> int:
        udelay(5)
        raise KeyboardInterrupt

    kthread_create(oops, None, "unused")
    kthread_run(thread, None, "t")
    with pytest.raises(KeyboardInterrupt):
        msleep(1)
    assert sched.running_cpu().kernel is rig.kernel
    assert sched.running_cpu().number == 0


def test_index_past_an_array_is_an_oops(rig: Rig) -> None:
    kthread_run(lambda _: [1, 2][5], None, "t")
    with pytest.raises(KernelOops, match="an index past its array"):
        msleep(1)


def test_closing_ends_threads_wherever_they_stand(linux_rig: Make) -> None:
    rig = linux_rig(cpus=3)
    gone = []

    class Held:
        pass

    def thread(how: str) -> int:
        held = Held()
        watched.append(weakref.ref(held))
        try:
            if how == "asleep":
                msleep(1000)
            elif how == "for ever":
                sleep_for_ever()
            while True:
                io.readl(rig.base)
        finally:
            gone.append(how)
            msleep(5)  # who unwinds cannot wait for anything
            gone.append("never reached")

    watched: list[Any] = []
    for how in ("asleep", "for ever", "busy"):
        kthread_run(thread, how, how)
    kthread_create(thread, "not begun", "not begun")
    usleep_range(10, 10)
    time = rig.clock.now
    rig.kernel.close()
    rig.kernel.close()
    assert sorted(gone) == ["asleep", "busy", "for ever"]
    assert len(watched) == 3
    gc.collect()
    assert [ref() for ref in watched] == [None] * 3
    assert rig.clock.now == time


def test_closing_one_kernel_leaves_the_others_alone(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    guest = rig.boot("guest", 2)
    ran = []

    def ticker(name: str) -> int:
        while True:
            usleep_range(10, 10)
            ran.append(name)

    guest.enter()
    for _ in range(2):
        kthread_run(ticker, "guest", "ticker")
    rig.kernel.enter()
    kthread_run(ticker, "host", "ticker")
    usleep_range(55, 55)
    assert ran.count("guest") == 10 and ran.count("host") == 5
    guest.close()
    assert sched.running_cpu().kernel is rig.kernel
    usleep_range(50, 50)
    assert now() == 105_000
    assert ran.count("guest") == 10 and ran.count("host") == 10


def test_a_machine_that_nobody_closes_goes_quietly() -> None:
    """Threads of a machine that is forgotten neither run nor complain (a complaint would fail this test)."""
    ran = []

    def thread(_: Any) -> int:
        try:
            sleep_for_ever()
        finally:
            ran.append(1)
        return 0

    rig = Rig(cpus=4)
    for _ in range(8):
        kthread_run(thread, None, "t")
    msleep(1)
    rig.kernel.leave()
    del rig
    gc.collect()
    assert ran in ([], [1] * 8)


# --- atomic context -----------------------------------------------------------------------------------------------


def test_sleeping_in_a_handler_is_complained_about_once_and_goes_on(rig: Rig) -> None:
    line = rig.line(5)
    log = []

    def handler(irq: int, _: Any) -> int:
        usleep_range(250, 1000)
        usleep_range(250, 1000)
        log.append(now())
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", line)
    for _ in range(2):
        line.set(1)
        io.readl(rig.base)
    assert log == [2_000_100, 4_000_200]
    assert [t for t in rig.log() if "atomic" in t] == ["BUG: scheduling while atomic: init, hard interrupt"]


def test_a_task_that_waits_in_an_atomic_section_gets_its_context_back(rig: Rig) -> None:
    line = rig.line(5)
    states = []

    def handler(irq: int, _: Any) -> int:
        states.append(("handler", sched.running_cpu().irqs_off))
        line.set(0)
        return IRQ_HANDLED

    def thread(_: Any) -> int:
        states.append(("thread", sched.running_cpu().irqs_off))
        return 0

    request_irq(5, handler, 0, "test", line)
    kthread_run(thread, None, "t")
    flags = sched.local_irq_save()
    rig.at(500, lambda: line.set(1))
    sched.schedule_timeout(1000)
    assert sched.running_cpu().irqs_off == 1
    assert states == [("thread", 0), ("handler", 1)]
    sched.local_irq_restore(flags)
    assert sched.running_cpu().irqs_off == 0
    assert [t for t in rig.log() if "atomic" in t] == ["BUG: scheduling while atomic: init, irqs disabled"]


# --- the watchdog -------------------------------------------------------------------------------------------------


def lockup(rig: Rig, body: Callable[[], Any]) -> KernelOops:
    line = rig.line(5)

    def handler(irq: int, _: Any) -> int:
        body()
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", line)
    line.set(1)
    with pytest.raises(KernelOops) as caught:
        io.readl(rig.base)
    assert rig.kernel.dead is not None and rig.kernel.dead.message == caught.value.message
    return caught.value


def poll(rig: Rig, times: int) -> None:
    for _ in range(times):
        io.readl(rig.base)


def test_a_loop_in_a_handler_with_the_clock_standing_is_a_lockup(rig: Rig) -> None:
    rig.regs.cost = 0
    assert "100000 rounds while the clock stood" in lockup(rig, lambda: poll(rig, 100_002)).message


def test_the_watchdog_warns_once_of_twenty_seconds_in_a_handler(rig: Rig) -> None:
    line = rig.line(5)
    done = []

    def handler(irq: int, _: Any) -> int:
        rig.regs.cost = 1_000_000_000
        for _ in range(60):
            poll(rig, 1)
            printk(6, "still there")
        line.set(0)
        done.append(now() // 1_000_000_000)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", line)
    line.set(1)
    io.readl(rig.base)
    assert done == [60] and rig.kernel.dead is None
    assert rig.kernel.dmesg().count("BUG: soft lockup - CPU#0 stuck for 21s!") == 1


def test_long_loops_in_a_handler_that_end_are_none(rig: Rig) -> None:
    line = rig.line(5)
    done = []

    def handler(irq: int, _: Any) -> int:
        rig.regs.cost = 0
        poll(rig, 99_999)
        rig.regs.cost = 900_000_000
        poll(rig, 21)
        done.append(1)
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", line)
    line.set(1)
    io.readl(rig.base)
    assert done == [1]


def test_the_same_lines_over_and_over_in_a_handler_are_a_lockup(rig: Rig) -> None:
    from hidma.linux.device import Device

    dev = Device("test")
    count = []

    def body() -> None:
        for i in range(10_000):
            count.append(i)
            dev_warn(dev, f"out of sync {i % 3}\n")

    assert "the same messages over and over" in lockup(rig, body).message
    assert 900 <= len(count) <= 1000
