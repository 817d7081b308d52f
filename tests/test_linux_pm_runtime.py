# SPDX-License-Identifier: GPL-2.0-only
"""Runtime PM: usage counts, the autosuspend timer, disabling, parents."""

from __future__ import annotations

import pytest
from linux_rig import Rig, now

from hidma.linux.delay import msleep, udelay
from hidma.linux.device import Device
from hidma.linux.errno import EACCES, EAGAIN, EBUSY
from hidma.linux.pm_runtime import (
    RPM_ACTIVE,
    pm_runtime_allow,
    pm_runtime_disable,
    pm_runtime_enable,
    pm_runtime_forbid,
    pm_runtime_get,
    pm_runtime_get_sync,
    pm_runtime_mark_last_busy,
    pm_runtime_put_autosuspend,
    pm_runtime_put_sync,
    pm_runtime_put_sync_suspend,
    pm_runtime_reinit,
    pm_runtime_set_active,
    pm_runtime_set_autosuspend_delay,
    pm_runtime_use_autosuspend,
    power_times,
    runtime_status,
)
from hidma.linux.sched import hardirq_enter, hardirq_exit, running_cpu


def active(name: str = "dev", parent: Device | None = None, delay: int | None = None) -> Device:
    """A device as a driver's probe leaves it."""
    dev = Device(name, parent)
    if delay is not None:
        pm_runtime_set_autosuspend_delay(dev, delay)
        pm_runtime_use_autosuspend(dev)
    assert pm_runtime_set_active(dev) == 0
    pm_runtime_enable(dev)
    return dev


def suspended(name: str = "dev", parent: Device | None = None) -> Device:
    dev = Device(name, parent)
    pm_runtime_enable(dev)
    return dev


# --- references -----------------------------------------------------------------------------------------------------


def test_a_new_device_is_disabled_and_unsupported(rig: Rig) -> None:
    dev = Device("dev")
    assert runtime_status(dev) == "unsupported"
    assert pm_runtime_get_sync(dev) == -EACCES
    assert pm_runtime_get(dev) == -EACCES
    assert dev.power.usage_count == 2  # taken all the same


def test_the_first_reference_resumes_and_the_last_one_suspends(rig: Rig) -> None:
    dev = suspended()
    assert runtime_status(dev) == "suspended"
    assert pm_runtime_get_sync(dev) == 0
    assert runtime_status(dev) == "active"
    assert pm_runtime_get_sync(dev) == 1
    assert dev.power.usage_count > 0
    assert pm_runtime_put_sync(dev) == 0
    assert runtime_status(dev) == "active"
    assert pm_runtime_put_sync(dev) == 0
    assert runtime_status(dev) == "suspended"
    assert dev.power.usage_count == 0


def test_asking_for_a_resume_does_not_wait_for_it(rig: Rig) -> None:
    dev = suspended()
    assert pm_runtime_get(dev) == 0
    assert runtime_status(dev) == "suspended"
    udelay(1)
    assert runtime_status(dev) == "active"
    assert pm_runtime_get(dev) == 1
    assert dev.power.usage_count == 2


def test_a_reference_dropped_before_the_resume_came_suspends_after_it(rig: Rig) -> None:
    dev = suspended()
    pm_runtime_get(dev)
    assert pm_runtime_put_sync(dev) == -EAGAIN  # a resume that was asked for goes first
    udelay(1)
    assert runtime_status(dev) == "suspended"
    assert power_times(dev)[0] == 0


def test_a_resume_that_was_asked_for_happens_before_pm_is_disabled(rig: Rig) -> None:
    dev = suspended()
    pm_runtime_get(dev)
    pm_runtime_disable(dev)
    pm_runtime_enable(dev)
    assert runtime_status(dev) == "active"


def test_counts_below_zero_are_accepted(rig: Rig) -> None:
    dev = active(delay=100)
    assert pm_runtime_put_sync(dev) == 0
    assert pm_runtime_put_autosuspend(dev) == 0
    assert dev.power.usage_count == -2
    pm_runtime_get_sync(dev)
    pm_runtime_get_sync(dev)
    assert dev.power.usage_count == 0
    assert rig.log() == []


def test_dropping_a_reference_may_suspend_at_once(rig: Rig) -> None:
    dev = active(delay=5000)
    pm_runtime_get_sync(dev)
    pm_runtime_mark_last_busy(dev)
    assert pm_runtime_put_sync_suspend(dev) == 0
    assert runtime_status(dev) == "suspended"
    dev.power.usage_count += 1
    assert pm_runtime_put_sync_suspend(dev) == 1  # it is already


# --- autosuspend ----------------------------------------------------------------------------------------------------


def test_autosuspend_waits_for_the_delay_after_the_last_use(rig: Rig) -> None:
    dev = active(delay=500)
    pm_runtime_get_sync(dev)
    msleep(100)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    msleep(499)
    assert runtime_status(dev) == "active"
    msleep(2)
    assert runtime_status(dev) == "suspended"


def test_use_in_between_starts_the_delay_anew(rig: Rig) -> None:
    dev = active(delay=500)
    for _ in range(4):
        pm_runtime_get_sync(dev)
        pm_runtime_mark_last_busy(dev)
        pm_runtime_put_autosuspend(dev)
        msleep(300)
        assert runtime_status(dev) == "active"
    msleep(199)
    assert runtime_status(dev) == "active"
    msleep(2)
    assert runtime_status(dev) == "suspended"


def test_a_device_in_use_when_the_timer_fires_stays_active(rig: Rig) -> None:
    dev = active(delay=100)
    pm_runtime_get_sync(dev)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    pm_runtime_get_sync(dev)
    msleep(1000)
    assert runtime_status(dev) == "active"
    pm_runtime_put_autosuspend(dev)  # used long ago: at once
    assert runtime_status(dev) == "suspended"


def test_a_device_with_a_negative_count_suspends_when_the_timer_fires(rig: Rig) -> None:
    dev = active(delay=100)
    pm_runtime_get_sync(dev)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    pm_runtime_put_autosuspend(dev)
    assert dev.power.usage_count == -1
    msleep(200)
    assert runtime_status(dev) == "suspended"


@pytest.mark.parametrize(("busy_ms", "end_ms"), [(0, 2000), (100, 2100), (249, 2249), (250, 3000), (999, 3000)])
def test_delays_of_a_second_and_more_may_be_rounded_up_to_a_whole_second(rig: Rig, busy_ms: int, end_ms: int) -> None:
    """As round_jiffies() does; what it rounds down is found to be too early when the timer fires."""
    dev = active(delay=2000)
    pm_runtime_get_sync(dev)
    if busy_ms:
        msleep(busy_ms)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    msleep(end_ms - busy_ms - 1)
    assert runtime_status(dev) == "active"
    msleep(2)
    assert runtime_status(dev) == "suspended"


def test_the_timer_does_not_stop_the_caller_from_sleeping_on(rig: Rig) -> None:
    dev = active(delay=2000)
    pm_runtime_get_sync(dev)
    pm_runtime_put_autosuspend(dev)
    msleep(10_000)
    assert now() == 10_000_000_000


def test_a_negative_delay_keeps_the_device_active_until_it_is_taken_back(rig: Rig) -> None:
    dev = active(delay=100)
    pm_runtime_get_sync(dev)
    pm_runtime_put_sync_suspend(dev)
    assert runtime_status(dev) == "suspended"
    pm_runtime_set_autosuspend_delay(dev, -1)
    assert runtime_status(dev) == "active"
    assert dev.power.usage_count == 1
    pm_runtime_set_autosuspend_delay(dev, -5)
    assert dev.power.usage_count == 1
    msleep(1000)
    assert runtime_status(dev) == "active"
    pm_runtime_set_autosuspend_delay(dev, 100)
    assert dev.power.usage_count == 0
    assert runtime_status(dev) == "suspended"


# --- disabling ------------------------------------------------------------------------------------------------------


def test_disabling_nests_and_stops_the_timer(rig: Rig) -> None:
    dev = active(delay=100)
    pm_runtime_get_sync(dev)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    pm_runtime_disable(dev)
    pm_runtime_disable(dev)
    assert runtime_status(dev) == "unsupported"
    msleep(1000)
    pm_runtime_enable(dev)
    assert runtime_status(dev) == "unsupported"
    assert pm_runtime_get_sync(dev) == -EACCES
    assert pm_runtime_put_sync(dev) == -EACCES
    pm_runtime_enable(dev)
    assert runtime_status(dev) == "active"
    pm_runtime_enable(dev)
    assert rig.log() == [" dev: Unbalanced pm_runtime_enable!"]


def test_the_status_cannot_be_set_while_pm_is_enabled(rig: Rig) -> None:
    dev = suspended()
    assert pm_runtime_set_active(dev) == -EAGAIN
    assert runtime_status(dev) == "suspended"


def test_a_driver_that_leaves_a_device_active_and_disabled_leaves_it_suspended_to_the_next(rig: Rig) -> None:
    dev = active()
    pm_runtime_reinit(dev)
    assert runtime_status(dev) == "active"  # still enabled: not its business
    pm_runtime_disable(dev)
    pm_runtime_reinit(dev)
    pm_runtime_enable(dev)
    assert runtime_status(dev) == "suspended"


def test_forbidding_resumes_and_holds_and_allowing_lets_go(rig: Rig) -> None:
    dev = suspended()
    pm_runtime_forbid(dev)
    pm_runtime_forbid(dev)
    assert (runtime_status(dev), dev.power.usage_count) == ("active", 1)
    msleep(100)
    assert runtime_status(dev) == "active"
    pm_runtime_allow(dev)
    pm_runtime_allow(dev)
    assert (runtime_status(dev), dev.power.usage_count) == ("suspended", 0)


def test_times_are_counted_by_status_and_not_while_disabled(rig: Rig) -> None:
    dev = active(delay=50)
    pm_runtime_get_sync(dev)
    msleep(100)
    pm_runtime_put_sync_suspend(dev)
    msleep(30)
    assert power_times(dev) == (100, 30)
    pm_runtime_get_sync(dev)
    msleep(7)
    pm_runtime_disable(dev)
    assert power_times(dev)[1] == 30
    msleep(1000)
    power_times(dev)
    pm_runtime_enable(dev)
    msleep(5)
    assert power_times(dev)[1] == 30
    assert power_times(dev)[0] < 200


# --- parents --------------------------------------------------------------------------------------------------------


def test_a_device_resumes_its_parent_and_keeps_it_active(rig: Rig) -> None:
    parent = suspended("parent")
    child = suspended("child", parent)
    assert pm_runtime_get_sync(child) == 0
    assert runtime_status(parent) == "active"
    assert parent.power.usage_count == 0
    # the parent cannot suspend before its child
    pm_runtime_get_sync(parent)
    assert pm_runtime_put_sync(parent) == -EBUSY
    assert runtime_status(parent) == "active"
    pm_runtime_put_sync(child)
    assert (runtime_status(child), runtime_status(parent)) == ("suspended", "suspended")


def test_two_children_keep_a_parent_until_both_sleep(rig: Rig) -> None:
    parent = suspended("parent")
    children = [suspended(f"child{i}", parent) for i in range(2)]
    for child in children:
        pm_runtime_get_sync(child)
    pm_runtime_put_sync(children[0])
    assert runtime_status(parent) == "active"
    pm_runtime_put_sync(children[1])
    assert runtime_status(parent) == "suspended"


def test_a_child_cannot_be_active_below_a_suspended_parent(rig: Rig) -> None:
    parent = suspended("parent")
    child = Device("child", parent)
    assert pm_runtime_set_active(child) == -EBUSY
    pm_runtime_get_sync(parent)
    assert pm_runtime_set_active(child) == 0
    pm_runtime_enable(child)
    assert pm_runtime_put_sync(parent) == -EBUSY
    assert runtime_status(child) == "active"


def test_a_parent_whose_pm_is_disabled_is_no_obstacle(rig: Rig) -> None:
    parent = Device("parent")
    child = active("child", parent)
    pm_runtime_get_sync(child)
    assert pm_runtime_put_sync(child) == 0
    assert pm_runtime_get_sync(child) == 0
    assert parent.power.usage_count == 0


# --- traces ---------------------------------------------------------------------------------------------------------


def test_every_call_is_traced_with_the_count_after_it(rig: Rig) -> None:
    events = rig.record()
    dev = active(delay=2000)
    pm_runtime_get_sync(dev)
    pm_runtime_get(dev)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    pm_runtime_put_sync(dev)
    pm_runtime_put_sync_suspend(dev)
    pm_runtime_disable(dev)
    assert [e[1:] for e in events if e[0] == "pm"] == [
        ("set_autosuspend_delay", 0), ("use_autosuspend", 0), ("set_active", 0), ("enable", 0), ("get_sync", 1),
        ("get", 2), ("mark_last_busy", 2), ("put_autosuspend", 1), ("put_sync", 0), ("put_sync_suspend", -1),
        ("disable", -1)]


def test_disabling_resumes_a_device_whose_resume_was_asked_for_and_keeps_its_references(rig: Rig) -> None:
    dev = suspended()
    pm_runtime_get(dev)
    pm_runtime_disable(dev)
    assert (dev.power.usage_count, dev.power.runtime_status) == (1, RPM_ACTIVE)


def test_a_reference_that_may_sleep_is_complained_of_in_an_interrupt(rig: Rig) -> None:
    dev = active()
    cpu = running_cpu()
    hardirq_enter(cpu)
    pm_runtime_get_sync(dev)
    hardirq_exit(cpu)
    assert rig.log() == ["BUG: sleeping function called from invalid context: pm_runtime_get_sync"]


def test_a_timer_that_has_expired_expires_no_more(rig: Rig) -> None:
    dev = active(delay=10)
    pm_runtime_get_sync(dev)
    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    assert dev.power.timer_expires == 10_000_000
    msleep(20)
    assert (runtime_status(dev), dev.power.timer_expires) == ("suspended", 0)
