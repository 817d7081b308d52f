# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts and tasklets: when they are taken, by whom, and what happens to those that nobody wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from linux_rig import Rig, cpu_number, now

from hidma.hw.line import Line
from hidma.linux import io, sched
from hidma.linux.delay import msleep, udelay, usleep_range
from hidma.linux.device import Device
from hidma.linux.errno import EBUSY, EINVAL
from hidma.linux.interrupt import (
    IRQ_HANDLED,
    IRQ_NONE,
    IRQF_SHARED,
    IRQF_TRIGGER_HIGH,
    TaskletStruct,
    devm_free_irq,
    devm_request_irq,
    disable_irq,
    disable_irq_nosync,
    enable_irq,
    free_irq,
    generic_handle_irq,
    in_interrupt,
    local_bh_disable,
    local_bh_enable,
    request_irq,
    synchronize_irq,
    tasklet_disable,
    tasklet_enable,
    tasklet_init,
    tasklet_kill,
    tasklet_schedule,
)
from hidma.linux.kthread import kthread_create, kthread_run
from hidma.linux.sched import KernelOops
from hidma.linux.spinlock import Spinlock, spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore

Make = Callable[..., Rig]
Log = list[Any]


def logging_handler(log: Log, name: str = "", line: Line | None = None,
                    rc: int = IRQ_HANDLED) -> Callable[[int, Any], int]:
    """Writes down that it ran, and lowers its line."""
    def handler(irq: int, dev_id: Any) -> int:
        log.append(name or irq)
        if line is not None:
            line.set(0)
        return rc

    return handler


def tasklet(func: Callable[[Any], Any], data: Any = None) -> TaskletStruct:
    t = TaskletStruct()
    tasklet_init(t, func, data)
    return t


# --- level ---------------------------------------------------------------------------------------------------------


def test_an_interrupt_comes_as_long_as_its_line_is_up(rig: Rig) -> None:
    line = rig.line(5)
    count = []

    def handler(irq: int, dev_id: Any) -> int:
        assert (irq, dev_id) == (5, "cookie")
        count.append(now())
        if len(count) == 3:
            line.set(0)
        return IRQ_HANDLED

    assert request_irq(5, handler, 0, "test", "cookie") == 0
    io.readl(rig.base)
    assert count == []
    line.set(1)
    assert count == []  # the line alone does not stop the CPU between two accesses
    io.readl(rig.base)
    assert len(count) == 3
    io.readl(rig.base)
    assert len(count) == 3
    assert rig.kernel.gic.descs[5].counts == {0: 3}


def test_a_line_that_is_up_already_is_taken_when_the_handler_comes(rig: Rig) -> None:
    line = rig.line(5)
    line.set(1)
    log: Log = []
    io.readl(rig.base)
    request_irq(5, logging_handler(log, line=line), 0, "test", None)
    assert log == [5]


def test_an_interrupt_is_taken_after_the_access_during_which_it_came(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append(("irq", now()))
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    rig.at(150, lambda: (log.append(("up", now())), line.set(1)))
    for _ in range(3):
        log.append(("read", now()))
        io.readl(rig.base)
    assert log == [("read", 0), ("read", 100), ("up", 150), ("irq", 200), ("read", 200)]


def test_a_write_and_odd_accesses_take_interrupts_too(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log, line=line), 0, "test", None)
    line.set(1)
    io.writel(1, rig.base)
    assert len(log) == 1
    line.set(1)
    io.access_odd(rig.base, 2)
    assert len(log) == 2


def test_a_masked_interrupt_waits_and_masks_nest(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log, line=line), 0, "test", None)
    disable_irq(5)
    disable_irq_nosync(5)
    line.set(1)
    msleep(1)
    enable_irq(5)
    msleep(1)
    assert log == []
    enable_irq(5)
    assert log == [5]
    assert not any("Unbalanced" in text for text in rig.log())
    enable_irq(5)
    assert rig.log() == ["WARNING: Unbalanced enable for IRQ 5"]


def test_a_level_that_goes_away_while_masked_leaves_nothing(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log), 0, "test", None)
    disable_irq(5)
    line.set(1)
    line.set(0)
    enable_irq(5)
    msleep(1)
    assert log == []


def test_a_handler_may_mask_its_own_interrupt(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append(irq)
        disable_irq_nosync(irq)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    line.set(1)
    msleep(1)
    assert log == [5]


def test_a_pulse_is_one_interrupt_and_none_while_masked(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log), 0, "test", None)
    line.pulse()
    io.readl(rig.base)
    io.readl(rig.base)
    assert log == [5]
    line.pulse()
    line.pulse()
    io.readl(rig.base)
    assert log == [5, 5]
    disable_irq(5)
    line.pulse()
    enable_irq(5)
    io.readl(rig.base)
    assert log == [5, 5]


def test_two_lines_on_one_number_are_joined(rig: Rig) -> None:
    one, two = rig.line(5), rig.line(5)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append((one.level, two.level))
        (one if one.level else two).set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    one.set(1)
    two.set(1)
    io.readl(rig.base)
    assert log == [(1, 1), (0, 1)]


def test_pending_interrupts_take_turns(rig: Rig) -> None:
    lines = [rig.line(irq) for irq in (5, 6, 7)]
    log: Log = []

    def handler(irq: int, line: Line) -> int:
        log.append(irq)
        if log.count(irq) == 2:
            line.set(0)
        return IRQ_HANDLED

    for line in lines:
        request_irq(line.number, handler, 0, "test", line)
    flags = sched.local_irq_save()
    for line in lines:
        line.set(1)
    sched.local_irq_restore(flags)
    assert log == [5, 6, 7, 5, 6, 7]


def test_a_line_that_goes_down_leaves_the_order_of_the_others(rig: Rig) -> None:
    log: Log = []
    lines = {irq: rig.line(irq) for irq in (5, 6, 7, 8)}
    for irq, line in lines.items():
        request_irq(irq, logging_handler(log, line=line), 0, "test", None)
    for gone in lines:
        log.clear()
        flags = sched.local_irq_save()
        for line in lines.values():
            line.set(1)
        lines[gone].set(0)
        sched.local_irq_restore(flags)
        assert log == [irq for irq in lines if irq != gone]


def test_interrupts_that_wait_are_taken_after_the_tasklets_of_the_one_before(rig: Rig) -> None:
    log: Log = []
    t = tasklet(log.append, "tasklet")
    lines = [rig.line(irq) for irq in (5, 6)]

    def handler(irq: int, line: Line) -> int:
        log.append(irq)
        tasklet_schedule(t)
        line.set(0)
        return IRQ_HANDLED

    for line in lines:
        request_irq(line.number, handler, 0, "test", line)
    flags = sched.local_irq_save()
    for line in lines:
        line.set(1)
    sched.local_irq_restore(flags)
    assert log == [5, "tasklet", 6, "tasklet"]


# --- where it is not taken ----------------------------------------------------------------------------------------


def test_no_interrupt_inside_a_section_with_interrupts_disabled(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log, line=line), 0, "test", None)
    lock = Spinlock("test")
    spin_lock_init(lock)
    outer = sched.local_irq_save()
    inner = spin_lock_irqsave(lock)
    line.set(1)
    io.readl(rig.base)
    io.writel(1, rig.base)
    udelay(100)
    spin_unlock_irqrestore(lock, inner)
    io.readl(rig.base)
    log.append("end of the section")
    sched.local_irq_restore(outer)
    log.append("after it")
    assert log == ["end of the section", 5, "after it"]


def test_unlocking_takes_what_became_pending(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log, line=line), 0, "test", None)
    lock = Spinlock("test")
    spin_lock_init(lock)
    flags = spin_lock_irqsave(lock)
    line.set(1)
    io.readl(rig.base)
    log.append("locked")
    spin_unlock_irqrestore(lock, flags)
    assert log == ["locked", 5]


def test_a_handler_is_not_interrupted(rig: Rig) -> None:
    one, two = rig.line(5), rig.line(6)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append("one begins")
        two.set(1)
        io.readl(rig.base)
        udelay(10)
        assert sched.running_cpu().irqs_off == 1
        assert in_interrupt()
        log.append("one ends")
        one.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "one", None)
    request_irq(6, logging_handler(log, "two", two), 0, "two", None)
    one.set(1)
    io.readl(rig.base)
    assert log == ["one begins", "one ends", "two"]
    assert not in_interrupt()


# --- CPUs -----------------------------------------------------------------------------------------------------------


def test_interrupts_are_given_to_cpus_round_robin_from_cpu_1(linux_rig: Make) -> None:
    rig = linux_rig(cpus=4)
    where: dict[int, int] = {}
    for irq in range(10, 20):
        line = rig.line(irq)

        def handler(irq: int, line: Line) -> int:
            where[irq] = cpu_number()
            line.set(0)
            return IRQ_HANDLED

        request_irq(irq, handler, 0, "test", line)
        line.set(1)
    msleep(1)
    assert [where[irq] for irq in range(10, 20)] == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]


def test_an_interrupt_keeps_its_cpu_when_it_is_requested_again(linux_rig: Make) -> None:
    rig = linux_rig(cpus=4)
    rig.line(5)
    line = rig.line(6)
    where = []

    def handler(irq: int, line: Line) -> int:
        where.append(cpu_number())
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "other", None)
    for _ in range(2):
        request_irq(6, handler, 0, "test", line)
        line.set(1)
        msleep(1)
        free_irq(6, line)
    assert where == [2, 2]


def test_handlers_of_different_cpus_run_at_the_same_time(linux_rig: Make) -> None:
    rig = linux_rig(cpus=3)
    log: Log = []
    for irq in (5, 6):
        line = rig.line(irq)

        def handler(irq: int, line: Line) -> int:
            for _ in range(3):
                log.append((now(), irq))
                io.readl(rig.base)
            line.set(0)
            return IRQ_HANDLED

        request_irq(irq, handler, 0, "test", line)
        rig.at(1000, lambda line=line: line.set(1))
    msleep(1)
    assert sorted(log) == [(t, irq) for t in (1000, 1100, 1200) for irq in (5, 6)]
    assert [t for t, _ in log] == sorted(t for t, _ in log)


# --- requesting and freeing -----------------------------------------------------------------------------------------


def test_requests_that_do_not_agree_are_refused(rig: Rig) -> None:
    rig.line(5)
    log: Log = []
    handler = logging_handler(log)
    assert request_irq(99, handler, 0, "test", None) == -EINVAL
    assert request_irq(5, handler, IRQF_SHARED, "test", None) == -EINVAL
    assert request_irq(5, handler, 0, "first", "a") == 0
    assert request_irq(5, handler, 0, "second", "b") == -EBUSY
    assert request_irq(5, handler, IRQF_SHARED, "third", "c") == -EBUSY
    assert rig.log() == ["genirq: Flags mismatch irq 5. 00000000 (second) vs. 00000000 (first)",
                         "genirq: Flags mismatch irq 5. 00000080 (third) vs. 00000000 (first)"]


def test_shared_handlers_are_all_called_and_must_agree_on_the_trigger(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    assert request_irq(5, logging_handler(log, "a", rc=IRQ_NONE), IRQF_SHARED, "a", "a") == 0
    assert request_irq(5, logging_handler(log, "b", line), IRQF_SHARED, "b", "b") == 0
    assert request_irq(5, logging_handler(log, "c"), IRQF_SHARED | IRQF_TRIGGER_HIGH, "c", "c") == -EBUSY
    line.set(1)
    io.readl(rig.base)
    assert log == ["a", "b"]
    free_irq(5, "b")
    log.clear()
    line.pulse()
    io.readl(rig.base)
    assert log == ["a"]


def test_a_freed_interrupt_is_masked_and_may_be_requested_again(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log), 0, "test", "a")
    free_irq(5, "a")
    line.set(1)
    msleep(1)
    assert log == []
    free_irq(5, "a")
    free_irq(77, "a")
    assert rig.log() == ["WARNING: Trying to free already-free IRQ 5", "WARNING: Trying to free already-free IRQ 77"]
    request_irq(5, logging_handler(log, "again", line), 0, "test", "a")
    assert log == ["again"]


@pytest.mark.parametrize("stop", [lambda: free_irq(5, "dev"), lambda: disable_irq(5), lambda: synchronize_irq(5)])
def test_freeing_and_masking_wait_for_a_handler_on_another_cpu(linux_rig: Make, stop: Callable[[], None]) -> None:
    rig = linux_rig(cpus=2)
    line = rig.line(5)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append("begins")
        for _ in range(100):
            io.readl(rig.base)
        line.set(0)
        log.append("ends")
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", "dev")
    line.set(1)
    udelay(1)
    assert log == ["begins"]
    stop()
    assert log == ["begins", "ends"]


def test_masking_without_waiting_does_not_wait(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    line = rig.line(5)
    log: Log = []

    def handler(irq: int, _: Any) -> int:
        log.append("begins")
        for _ in range(100):
            io.readl(rig.base)
        log.append("ends")
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", "dev")
    line.set(1)
    udelay(1)
    disable_irq_nosync(5)
    assert log == ["begins"]
    msleep(1)
    assert log == ["begins", "ends"]


@pytest.mark.parametrize("stop", [lambda: free_irq(5, "dev"), lambda: disable_irq(5)])
def test_a_handler_that_waits_for_its_own_end_is_a_lockup(rig: Rig, stop: Callable[[], None]) -> None:
    line = rig.line(5)

    def handler(irq: int, _: Any) -> int:
        stop()
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", "dev")
    line.set(1)
    with pytest.raises(KernelOops, match="waits for its own end"):
        io.readl(rig.base)


def test_generic_handle_irq_runs_the_handlers_and_what_they_leave(rig: Rig) -> None:
    rig.line(5)
    log: Log = []
    assert generic_handle_irq(5) == -EINVAL
    assert generic_handle_irq(6) == -EINVAL
    t = tasklet(lambda _: log.append("tasklet"))

    def handler(irq: int, _: Any) -> int:
        tasklet_schedule(t)
        log.append("handler")
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    assert generic_handle_irq(5) == IRQ_HANDLED
    assert log == ["handler", "tasklet"]


def test_a_managed_interrupt_goes_with_its_device(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    dev = Device("test")
    assert devm_request_irq(dev, 5, logging_handler(log, line=line), 0, "test", dev) == 0
    assert devm_request_irq(dev, 5, logging_handler(log), 0, "test", dev) == -EBUSY
    line.set(1)
    io.readl(rig.base)
    assert log == [5]
    dev.devres.release_all()
    line.set(1)
    io.readl(rig.base)
    assert log == [5]


def test_a_managed_interrupt_may_be_freed_early_once(rig: Rig) -> None:
    rig.line(5)
    dev = Device("test")
    devm_request_irq(dev, 5, logging_handler([]), 0, "test", dev)
    devm_free_irq(dev, 5, dev)
    assert dev.devres.entries == []
    assert rig.kernel.gic.descs[5].actions == []
    assert not any("free" in text for text in rig.log())
    devm_free_irq(dev, 5, dev)
    assert any("devm_free_irq" in text for text in rig.log())


# --- nobody cared ---------------------------------------------------------------------------------------------------


def test_an_interrupt_that_nobody_handles_is_switched_off(rig: Rig) -> None:
    line, other = rig.line(5), rig.line(6)
    log: Log = []

    def not_mine(irq: int, _: Any) -> int:
        log.append(irq)
        return IRQ_NONE

    request_irq(5, not_mine, IRQF_SHARED, "test", "a")
    request_irq(6, logging_handler([], line=other), 0, "other", None)
    line.set(1)
    io.readl(rig.base)
    assert len(log) == 100_000
    text = rig.kernel.dmesg()
    assert 'irq 5: nobody cared (try booting with the "irqpoll" option)' in text
    assert "not_mine" in text.split("handlers:")[1]
    assert text.endswith("Disabling IRQ #5\n")
    # the rest goes on, and a new handler gets another chance
    other.set(1)
    io.readl(rig.base)
    assert other.level == 0
    caring: Log = []
    request_irq(5, logging_handler(caring, "cares", line), IRQF_SHARED, "new", "b")
    assert caring == ["cares"]


def test_interrupts_that_somebody_handles_now_and_then_are_not_switched_off(rig: Rig) -> None:
    line = rig.line(5)
    count = 0

    def handler(irq: int, _: Any) -> int:
        nonlocal count
        count += 1
        if count == 150_000:
            line.set(0)
        return IRQ_HANDLED if count % 900 == 0 else IRQ_NONE

    request_irq(5, handler, 0, "test", None)
    rig.at(1 << 60, lambda: None)
    line.set(1)
    io.readl(rig.base)
    assert count == 150_000
    assert rig.log() == []


def test_rare_interrupts_that_nobody_handles_are_borne(rig: Rig) -> None:
    """Those that come more than a tenth of a second after the last are not counted together."""
    line = rig.line(5)
    count = 0

    def handler(irq: int, _: Any) -> int:
        nonlocal count
        count += 1
        return IRQ_NONE

    request_irq(5, handler, 0, "test", None)
    for i in range(100_000):
        rig.clock.tick(100_000_001 if i % 50 == 0 else 1)
        line.pulse()
        sched.interrupts(sched.running_cpu())
    assert count == 100_000
    assert rig.log() == []


def test_a_storm_that_nothing_can_end_is_a_lockup(rig: Rig) -> None:
    """A handler that says it cared and leaves the line up, on a machine where nothing else will ever happen."""
    line = rig.line(5)
    request_irq(5, logging_handler([]), 0, "test", None)
    line.set(1)
    with pytest.raises(KernelOops, match="irq 5 comes again and again"):
        io.readl(rig.base)


def test_a_storm_that_something_ends_is_survived(rig: Rig) -> None:
    line = rig.line(5)
    count = 0

    def handler(irq: int, _: Any) -> int:
        nonlocal count
        count += 1
        rig.clock.tick(100)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    rig.at(20_000_000, lambda: line.set(0))
    line.set(1)
    io.readl(rig.base)
    assert count == pytest.approx(200_000, abs=3)


def test_a_storm_is_a_lockup_20_seconds_after_the_last_tasklet(rig: Rig) -> None:
    """A tasklet is progress: the watchdog counts time and interrupts from its end on."""
    line = rig.line(5)
    count = 0
    t = tasklet(lambda _: None)

    def handler(irq: int, _: Any) -> int:
        nonlocal count
        count += 1
        rig.clock.tick(150_000)
        if count == 100_000:  # after 15 s
            tasklet_schedule(t)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    rig.at(1 << 60, lambda: None)
    line.set(1)
    with pytest.raises(KernelOops, match="irq 5 comes again and again"):
        io.readl(rig.base)
    assert now() == pytest.approx(35_000_000_000, abs=1_000_000)


# --- tasklets -------------------------------------------------------------------------------------------------------


def test_a_tasklet_runs_once_however_often_it_is_scheduled(rig: Rig) -> None:
    log: Log = []
    a, b = tasklet(log.append, "a"), tasklet(log.append, "b")
    for t in (b, a, a, b, a):
        tasklet_schedule(t)
    assert log == []
    msleep(1)
    assert log == ["b", "a"]
    tasklet_schedule(a)
    msleep(1)
    assert log == ["b", "a", "a"]


def test_a_tasklet_that_is_initialised_again_is_neither_scheduled_nor_disabled(rig: Rig) -> None:
    log: Log = []
    t = TaskletStruct()
    t.state = t.count = 1
    tasklet_init(t, log.append, "runs")
    tasklet_schedule(t)
    msleep(1)
    assert log == ["runs"]


def test_a_tasklet_runs_when_the_hard_interrupt_returns(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []

    def body(_: Any) -> None:
        cpu = sched.running_cpu()
        log.append(("tasklet", cpu.hardirq, cpu.softirq, cpu.irqs_off, bool(in_interrupt())))

    t = tasklet(body)

    def handler(irq: int, _: Any) -> int:
        tasklet_schedule(t)
        io.readl(rig.base)
        line.set(0)
        log.append("handler ends")
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    line.set(1)
    io.readl(rig.base)
    assert log == ["handler ends", ("tasklet", 0, 1, 0, True)]


def test_an_interrupt_may_come_while_a_tasklet_runs_and_its_tasklets_wait(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    other = tasklet(lambda _: log.append("other tasklet"))

    def handler(irq: int, _: Any) -> int:
        log.append(f"handler in softirq {sched.running_cpu().softirq}")
        tasklet_schedule(other)
        line.set(0)
        return IRQ_HANDLED

    def body(_: Any) -> None:
        log.append("begins")
        line.set(1)
        io.readl(rig.base)
        log.append("ends")

    request_irq(5, handler, 0, "test", None)
    tasklet_schedule(tasklet(body))
    msleep(1)
    assert log == ["begins", "handler in softirq 1", "ends", "other tasklet"]


def test_a_tasklet_that_schedules_itself_lets_the_others_run_first(rig: Rig) -> None:
    log: Log = []

    def again(_: Any) -> None:
        log.append("a")
        if log.count("a") < 3:
            tasklet_schedule(a)
            tasklet_schedule(a)

    a = tasklet(again)
    b = tasklet(log.append, "b")
    tasklet_schedule(a)
    tasklet_schedule(b)
    msleep(1)
    assert log == ["a", "b", "a", "a"]


def test_a_tasklet_that_schedules_itself_for_ever_leaves_the_cpu_to_tasks(rig: Rig) -> None:
    count = 0

    def again(_: Any) -> None:
        nonlocal count
        count += 1
        tasklet_schedule(t)

    t = tasklet(again)
    tasklet_schedule(t)
    done = []
    kthread_run(lambda _: done.append(now()) or 0, None, "t")
    msleep(1)
    assert done and done[0] < 100_000
    assert now() == pytest.approx(1_000_000, abs=2000)
    assert count > 100


def test_interrupts_and_tasklets_without_end_leave_the_cpu_to_tasks(rig: Rig) -> None:
    """As a client does that submits its next transfer in the callback of the last one."""
    line = rig.line(5)
    count = 0

    def completion(_: Any) -> None:
        nonlocal count
        count += 1
        line.set(1)
        io.readl(rig.base)

    t = tasklet(completion)

    def handler(irq: int, _: Any) -> int:
        line.set(0)
        tasklet_schedule(t)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    line.set(1)
    msleep(1)
    assert now() == pytest.approx(1_000_000, abs=20_000)
    assert count > 1000


def test_tasklets_run_on_the_cpu_that_scheduled_them(linux_rig: Make) -> None:
    linux_rig(cpus=3)
    where: Log = []
    tasklets = [tasklet(lambda i: where.append((i, cpu_number())), i) for i in range(3)]
    for i in range(3):
        kthread_run(lambda i: tasklet_schedule(tasklets[i]), i, "t")
    msleep(1)
    assert sorted(where) == [(0, 0), (1, 1), (2, 2)]


def test_a_tasklet_never_runs_on_two_cpus_at_once(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    log: Log = []

    def body(_: Any) -> None:
        log.append(("begins", cpu_number()))
        for _ in range(50):
            io.readl(rig.base)
        log.append(("ends", cpu_number()))

    t = tasklet(body)

    def thread(first: int) -> int:
        if cpu_number() != first:
            udelay(1)
        tasklet_schedule(t)
        return 0

    kthread_run(thread, 1, "zero")
    kthread_run(thread, 1, "one")
    msleep(1)
    assert log == [("begins", 1), ("ends", 1), ("begins", 0), ("ends", 0)]


def test_a_disabled_tasklet_waits_and_holds_up_nobody(rig: Rig) -> None:
    log: Log = []
    a, b = tasklet(log.append, "a"), tasklet(log.append, "b")
    tasklet_disable(a)
    tasklet_disable(a)
    tasklet_schedule(a)
    tasklet_schedule(b)
    msleep(1)
    assert log == ["b"]
    tasklet_enable(a)
    msleep(1)
    assert log == ["b"]
    tasklet_enable(a)
    msleep(1)
    assert log == ["b", "a"]


def test_enabling_a_tasklet_wakes_the_cpu_that_it_waits_on(linux_rig: Make) -> None:
    linux_rig(cpus=2)
    log: Log = []
    t = tasklet(lambda _: log.append((now(), cpu_number())))
    tasklet_disable(t)
    kthread_create(lambda _: 0, None, "unused")
    kthread_run(lambda _: tasklet_schedule(t), None, "one")
    msleep(1)
    tasklet_enable(t)
    udelay(10)
    assert log == [(1_000_000, 1)]


def test_disabling_a_tasklet_waits_until_it_has_ended_elsewhere(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)
    log: Log = []

    def body(_: Any) -> None:
        log.append("begins")
        for _ in range(50):
            io.readl(rig.base)
        log.append("ends")

    t = tasklet(body)
    kthread_create(lambda _: 0, None, "unused")
    kthread_run(lambda _: tasklet_schedule(t), None, "one")
    udelay(1)
    assert log == ["begins"]
    tasklet_disable(t)
    assert log == ["begins", "ends"]


def test_killing_a_tasklet_lets_a_scheduled_one_run_first(rig: Rig) -> None:
    log: Log = []
    t = tasklet(log.append, "ran")
    tasklet_kill(t)
    assert log == []
    tasklet_schedule(t)
    tasklet_kill(t)
    assert log == ["ran"]
    msleep(1)
    assert log == ["ran"]


@pytest.mark.parametrize("when", ["before it starts", "while it runs"])
def test_killing_a_tasklet_waits_for_another_cpu(linux_rig: Make, when: str) -> None:
    rig = linux_rig(cpus=2)
    log: Log = []

    def body(_: Any) -> None:
        log.append("begins")
        for _ in range(50):
            io.readl(rig.base)
        log.append("ends")

    t = tasklet(body)

    def thread(_: Any) -> int:
        tasklet_schedule(t)
        if when == "before it starts":
            udelay(20)
        return 0

    kthread_create(lambda _: 0, None, "unused")
    kthread_run(thread, None, "one")
    udelay(2)
    assert log == ([] if when == "before it starts" else ["begins"])
    tasklet_kill(t)
    assert log == ["begins", "ends"]
    assert cpu_number() == 0


def test_killing_a_disabled_tasklet_that_is_scheduled_is_a_lockup_and_no_hang(rig: Rig) -> None:
    t = tasklet(lambda _: None)
    tasklet_disable(t)
    tasklet_schedule(t)
    with pytest.raises(KernelOops, match="tasklet_kill"):
        tasklet_kill(t)
    assert now() > 20_000_000_000


def test_killing_a_tasklet_from_an_interrupt_that_it_waits_behind_is_a_lockup(rig: Rig) -> None:
    line = rig.line(5)
    t = tasklet(lambda _: None)

    def handler(irq: int, _: Any) -> int:
        line.set(0)
        tasklet_kill(t)  # nothing is scheduled: that is only complained about
        tasklet_schedule(t)
        tasklet_kill(t)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    line.set(1)
    with pytest.raises(KernelOops, match="tasklet_kill"):
        io.readl(rig.base)
    assert rig.log()[0] == "Attempt to kill tasklet from interrupt"


def test_softirqs_wait_for_the_end_of_a_section_that_disables_them(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    t = tasklet(log.append, "tasklet")

    def handler(irq: int, _: Any) -> int:
        log.append("handler")
        tasklet_schedule(t)
        line.set(0)
        return IRQ_HANDLED

    request_irq(5, handler, 0, "test", None)
    local_bh_disable()
    local_bh_disable()
    line.set(1)
    io.readl(rig.base)
    local_bh_enable()
    assert log == ["handler"]
    local_bh_enable()
    assert log == ["handler", "tasklet"]


def test_a_task_that_polls_gets_the_tasklets_that_it_scheduled(rig: Rig) -> None:
    done: Log = []
    t = tasklet(done.append, "done")
    tasklet_schedule(t)
    start = now()
    while not done:
        sched.cpu_relax()
    assert now() - start < 10_000


@pytest.mark.parametrize("error", [KernelOops("in a handler"), IndexError("in a handler"), ValueError("in a handler")])
def test_whatever_a_handler_raises_leaves_no_context_behind(rig: Rig, error: Exception) -> None:
    line = rig.line(5)

    def handler(irq: int, _: Any) -> int:
        raise error

    request_irq(5, handler, 0, "test", None)
    line.set(1)
    oops = not isinstance(error, ValueError)
    with pytest.raises(KernelOops if oops else ValueError, match="an index past" if type(error) is IndexError else "in a"):
        io.readl(rig.base)
    cpu, desc = rig.kernel.cpus[0], rig.kernel.gic.descs[5]
    assert (cpu.hardirq, desc.in_progress) == (0, 0)
    # after an Oops the kernel takes no interrupt any more; what is wrong with the handler is not the kernel's to judge
    assert (rig.kernel.dead is not None, desc.depth, desc.pending) == ((True, 1, 0) if oops else (False, 0, 1))
    line.set(0)


def test_of_two_handlers_both_are_called_and_one_that_says_so_is_enough(rig: Rig) -> None:
    line = rig.line(5)
    log: Log = []
    request_irq(5, logging_handler(log, "one", rc=IRQ_NONE), IRQF_SHARED, "one", "one")
    request_irq(5, logging_handler(log, "two", line), IRQF_SHARED, "two", "two")
    line.set(1)
    io.readl(rig.base)
    assert log == ["one", "two"]
    assert rig.kernel.gic.descs[5].unhandled == 0


def test_an_oops_in_a_tasklet_leaves_no_context_behind(linux_rig: Make) -> None:
    rig = linux_rig(cpus=2)

    def body(_: Any) -> None:
        raise KernelOops("in a tasklet")

    t = tasklet(body)
    kthread_create(lambda _: 0, None, "unused")
    kthread_run(lambda _: tasklet_schedule(t), None, "one")
    with pytest.raises(KernelOops, match="in a tasklet"):
        usleep_range(10, 10)
    assert rig.kernel.dead is not None
    assert [cpu.softirq for cpu in rig.kernel.cpus] == [0, 0]
