# SPDX-License-Identifier: GPL-2.0-only
"""Delays and jiffies: virtual time of the CPU that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from linux_rig import Rig, now

from hidma.linux.delay import msleep, udelay, usleep_range
from hidma.linux.jiffies import HZ, jiffies, msecs_to_jiffies, round_jiffies, time_after, time_is_before_jiffies
from hidma.linux.kthread import kthread_run


def test_jiffies_are_milliseconds_since_power_on(rig: Rig) -> None:
    assert HZ == 1000
    assert jiffies() == 0
    udelay(999)
    assert jiffies() == 0
    udelay(1)
    assert jiffies() == 1
    msleep(41)
    assert jiffies() == 42
    assert msecs_to_jiffies(500) == 500


def test_before_and_after_are_strict(rig: Rig) -> None:
    msleep(5)
    assert time_is_before_jiffies(4)
    assert not time_is_before_jiffies(5)
    assert time_after(2, 1) and not time_after(1, 1)


def test_spinning_keeps_the_cpu_and_sleeping_gives_it_up(rig: Rig) -> None:
    ran: list[int] = []
    kthread_run(lambda _: ran.append(now()) or 0, None, "t")
    udelay(100)
    assert ran == []
    usleep_range(10, 20)
    assert ran == [100_000]


def test_each_cpu_has_jiffies_of_its_own(linux_rig: Callable[..., Rig]) -> None:
    linux_rig(cpus=2)
    seen: dict[str, int] = {}

    def thread(ms: int) -> int:
        udelay(1000 * ms)
        seen[f"{ms} ms"] = jiffies()
        return 0

    kthread_run(thread, 1, "t")
    kthread_run(thread, 7, "t")
    msleep(10)
    assert seen == {"1 ms": 1, "7 ms": 7}


@pytest.mark.parametrize(("j", "at", "wanted"), [
    (3000, 0, 3000), (3001, 0, 3000), (3249, 0, 3000), (3250, 0, 4000), (3999, 0, 4000),
    (3100, 2999, 3000), (3100, 3000, 3100), (3700, 3650, 4000),
])
def test_long_time_outs_are_rounded_to_whole_seconds_but_never_into_the_past(j: int, at: int, wanted: int) -> None:
    assert round_jiffies(j, at) == wanted


def test_a_delay_lets_hardware_happen_in_time(rig: Rig) -> None:
    seen: list[Any] = []
    for t in (3000, 1000, 2000):
        rig.at(t, lambda: seen.append(now()))
    udelay(2)
    assert seen == [1000, 2000]
    udelay(2)
    assert seen == [1000, 2000, 3000]
