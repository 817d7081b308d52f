# SPDX-License-Identifier: GPL-2.0-only
"""Spinlocks: contention between CPUs, spins that never end, and what lockdep says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from linux_rig import Rig, cpu_number, now

from hidma.linux import io, sched
from hidma.linux.delay import msleep, udelay, usleep_range
from hidma.linux.interrupt import IRQ_HANDLED, request_irq
from hidma.linux.kthread import kthread_create, kthread_run
from hidma.linux.sched import KernelOops
from hidma.linux.spinlock import (
    Spinlock,
    spin_lock,
    spin_lock_init,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
)

Make = Callable[..., Rig]


def ready(name: str = "test.lock") -> Spinlock:
    lock = Spinlock(name)
    spin_lock_init(lock)
    return lock


@pytest.mark.parametrize("irqsave", [False, True])
def test_cpus_take_turns_in_a_section_with_register_accesses(linux_rig: Make, irqsave: bool) -> None:
    """The holder hands over at each access, and still nobody else gets in."""
    rig = linux_rig(cpus=4)
    lock = ready()
    inside: list[int] = []
    visits: list[int] = []

    def thread(cost: int) -> int:
        for _ in range(10):
            flags = spin_lock_irqsave(lock) if irqsave else spin_lock(lock)
            assert not inside
            inside.append(cpu_number())
            visits.append(cpu_number())
            for _ in range(5):
                io.readl(rig.base)
            assert inside == [cpu_number()]
            inside.clear()
            spin_unlock_irqrestore(lock, flags) if irqsave else spin_unlock(lock)
            udelay(cost)
        return 0

    for cost in (1, 1, 2, 3):
        kthread_run(thread, cost, "t")
    msleep(10)
    assert rig.kernel.dead is None
    assert sorted(visits) == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    # they really met: somebody had to wait
    assert visits != sorted(visits)
    assert lock.holder == 0


def test_a_cpu_that_spins_spends_the_time_until_the_lock_is_free(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    lock = ready()
    got: list[tuple[int, int]] = []

    def holder(_: Any) -> int:
        flags = spin_lock_irqsave(lock)
        rig.regs.cost = 5000
        io.readl(rig.base)
        spin_unlock_irqrestore(lock, flags)
        return 0

    kthread_create(holder, None, "unused")
    kthread_run(holder, None, "holder")
    udelay(1)
    flags = spin_lock_irqsave(lock)
    got.append((cpu_number(), now()))
    spin_unlock_irqrestore(lock, flags)
    assert got[0][0] == 0
    assert 5000 <= got[0][1] <= 6000


def test_interrupts_wait_while_a_cpu_spins_with_them_disabled(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    line = rig.line(5)
    rig.line(4)
    lock = ready()
    log: list[str] = []

    def holder(_: Any) -> int:
        flags = spin_lock_irqsave(lock)
        for _ in range(10):
            io.readl(rig.base)
        log.append("free")
        spin_unlock_irqrestore(lock, flags)
        return 0

    def handler(irq: int, _: Any) -> int:
        log.append(f"irq on {cpu_number()}")
        line.set(0)
        return IRQ_HANDLED

    request_irq(4, handler, 0, "other", None)
    request_irq(5, handler, 0, "test", None)
    kthread_create(holder, None, "unused")
    kthread_run(holder, None, "holder")
    rig.at(500, lambda: line.set(1))
    udelay(0)
    io.readl(rig.base)
    flags = spin_lock_irqsave(lock)
    log.append("got it")
    spin_unlock_irqrestore(lock, flags)
    assert log == ["free", "got it", "irq on 0"]


@pytest.mark.parametrize("take", [spin_lock, spin_lock_irqsave])
def test_taking_a_lock_twice_is_an_oops(rig: Rig, take: Callable[[Spinlock], int]) -> None:
    lock = ready("hidma_chan.lock")
    take(lock)
    with pytest.raises(KernelOops, match=r"BUG: spinlock recursion on CPU#0, hidma_chan\.lock"):
        take(lock)


def test_two_cpus_that_wait_for_each_other_are_an_oops(linux_rig: Make) -> None:
    rig = linux_rig(cpus=3)
    a, b = ready("a"), ready("b")

    def thread(order: tuple[Spinlock, Spinlock]) -> int:
        spin_lock(order[0])
        io.readl(rig.base)
        spin_lock(order[1])
        return 0

    kthread_create(thread, None, "unused")
    kthread_run(thread, (a, b), "ab")
    kthread_run(thread, (b, a), "ba")
    text = r"spinlock lockup on CPU#[12], [ab]: CPU#[12] waits for [ab], which is held here"
    with pytest.raises(KernelOops, match=text):
        msleep(1)
    assert now() < 10_000


def test_a_circle_of_three_cpus_is_an_oops(linux_rig: Make) -> None:
    rig = linux_rig(cpus=4)
    locks = [ready(name) for name in "abc"]

    def thread(i: int) -> int:
        spin_lock(locks[i])
        io.readl(rig.base)
        spin_lock(locks[(i + 1) % 3])
        return 0

    kthread_create(thread, None, "unused")
    for i in range(3):
        kthread_run(thread, i, f"t{i}")
    with pytest.raises(KernelOops, match="spinlock lockup"):
        msleep(1)
    assert now() < 10_000


def test_a_holder_that_never_comes_back_is_an_oops_and_no_hang(linux_rig: Make) -> None:
    linux_rig(cpus=2)
    lock = ready()

    def thread(_: Any) -> int:
        spin_lock(lock)
        sched.current().state = sched.TASK_UNINTERRUPTIBLE
        sched.schedule()
        return 0

    kthread_create(thread, None, "unused")
    kthread_run(thread, None, "sleeper")
    udelay(1)
    with pytest.raises(KernelOops, match="CPU#1 never lets go"):
        spin_lock(lock)


def test_a_holder_that_sleeps_and_comes_back_is_waited_for(linux_rig: Make) -> None:
    linux_rig(cpus=2)
    lock = ready()

    def thread(_: Any) -> int:
        spin_lock(lock)
        usleep_range(300, 300)
        spin_unlock(lock)
        return 0

    kthread_create(thread, None, "unused")
    kthread_run(thread, None, "sleeper")
    udelay(1)
    spin_lock(lock)
    assert 300_000 <= now() <= 302_000
    spin_unlock(lock)


# --- lockdep ------------------------------------------------------------------------------------------------------


def from_an_interrupt(rig: Rig, irq: int, body: Callable[[], Any]) -> None:
    line = rig.line(irq)

    def handler(irq: int, _: Any) -> int:
        body()
        line.set(0)
        return IRQ_HANDLED

    request_irq(irq, handler, 0, "test", line)
    line.set(1)
    io.readl(rig.base)


def with_irqs_disabled(lock: Spinlock) -> None:
    flags = spin_lock_irqsave(lock)
    spin_unlock_irqrestore(lock, flags)


def plainly(lock: Spinlock) -> None:
    spin_lock(lock)
    spin_unlock(lock)


def test_the_proper_use_of_a_lock_is_not_complained_about(rig: Rig) -> None:
    lock = ready()
    with_irqs_disabled(lock)
    from_an_interrupt(rig, 5, lambda: plainly(lock))
    from_an_interrupt(rig, 6, lambda: with_irqs_disabled(lock))
    with_irqs_disabled(lock)
    assert rig.log() == []


@pytest.mark.parametrize("first", ["task", "interrupt"])
def test_a_lock_of_interrupts_that_tasks_take_with_interrupts_enabled_is_complained_about(rig: Rig, first: str) -> None:
    lock = ready("mixed")
    if first == "task":
        plainly(lock)
    from_an_interrupt(rig, 5, lambda: plainly(lock))
    plainly(lock)
    # once
    from_an_interrupt(rig, 6, lambda: plainly(lock))
    plainly(lock)
    usage = "{HARDIRQ-ON-W} -> {IN-HARDIRQ-W}" if first == "task" else "{IN-HARDIRQ-W} -> {HARDIRQ-ON-W}"
    assert rig.log() == [f"inconsistent {usage} usage of mixed on CPU#0"]


def test_a_lock_that_was_never_initialised_is_complained_about_once_and_works(rig: Rig) -> None:
    lock = Spinlock("lldev.lock")
    with_irqs_disabled(lock)
    with_irqs_disabled(lock)
    plainly(lock)
    assert rig.log() == ["BUG: spinlock bad magic on CPU#0, lldev.lock: used before spin_lock_init()"]


def test_releasing_what_is_not_held_is_complained_about_once_and_goes_on(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    lock = ready("l")
    spin_unlock(lock)
    spin_unlock(lock)
    assert rig.log() == ["BUG: spinlock already unlocked on CPU#0, l"]

    def thread(_: Any) -> int:
        spin_lock(lock)
        return 0

    kthread_create(thread, None, "unused")
    kthread_run(thread, None, "one")
    udelay(1)
    spin_unlock(lock)
    assert rig.log()[1:] == ["BUG: spinlock wrong CPU on CPU#0, l"]
    spin_lock(lock)
    assert lock.holder == 1
