# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/jiffies.h>``: HZ is 1000; jiffies start at 0 at power-on and follow the CPU's virtual time."""

from __future__ import annotations

from hidma.linux import sched

HZ = 1000
NSEC_PER_JIFFY = 1000000


def jiffies() -> int:
    """The running CPU's time in jiffies."""
    return sched.running_cpu().clock.now // NSEC_PER_JIFFY


def msecs_to_jiffies(m: int) -> int:
    """``m`` milliseconds in jiffies."""
    return m


def time_is_before_jiffies(a: int) -> int:
    """Whether ``a`` lies before now (``time_after(jiffies, a)``)."""
    return sched.running_cpu().clock.now // NSEC_PER_JIFFY > a


def time_after(a: int, b: int) -> int:
    """Whether ``a`` is later than ``b``."""
    return a > b


def round_jiffies(j: int, now: int) -> int:
    """``j`` rounded to a whole second, down from less than a quarter; unless that would be at or before ``now``.

    The few jiffies that keep CPUs apart are left out.
    """
    rounded = j - j % HZ
    if j % HZ >= HZ // 4:
        rounded += HZ
    return rounded if rounded > now else j
