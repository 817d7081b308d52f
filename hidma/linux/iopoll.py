# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/iopoll.h>``: waiting for a register, as Linux 4.5 does it."""

from __future__ import annotations

from collections.abc import Callable

from hidma.linux import sched
from hidma.linux.delay import udelay, usleep_range
from hidma.linux.errno import ETIMEDOUT
from hidma.linux.io import readl


def readl_poll_timeout(addr: int, cond: Callable[[int], bool], sleep_us: int, timeout_us: int) -> tuple[int, int]:
    """Read ``addr`` until ``cond(val)``, sleeping up to ``sleep_us`` microseconds between reads.

    The deadline is taken before the first read. When it has passed, one more read decides.

    :param addr: register address
    :param cond: the condition on the u32 value
    :param sleep_us: microseconds between two reads (0: do not sleep)
    :param timeout_us: microseconds until the time-out (0: none)
    :returns: (0 or -ETIMEDOUT, last value read)
    """
    clock = sched.running_cpu().clock
    timeout = clock.now + timeout_us * 1000
    while True:
        val = readl(addr)
        if cond(val):
            break
        if timeout_us and clock.now > timeout:
            val = readl(addr)
            break
        if sleep_us:
            usleep_range((sleep_us >> 2) + 1, sleep_us)
    return (0 if cond(val) else -ETIMEDOUT), val


def readl_poll_timeout_atomic(addr: int, cond: Callable[[int], bool], delay_us: int, timeout_us: int) -> tuple[int, int]:
    """As :func:`readl_poll_timeout`, for atomic context: ``delay_us`` microseconds are spun between reads (0: none)."""
    clock = sched.running_cpu().clock
    timeout = clock.now + timeout_us * 1000
    while True:
        val = readl(addr)
        if cond(val):
            break
        if timeout_us and clock.now > timeout:
            val = readl(addr)
            break
        if delay_us:
            udelay(delay_us)
    return (0 if cond(val) else -ETIMEDOUT), val
