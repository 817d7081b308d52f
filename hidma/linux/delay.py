# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/delay.h>``: waiting, in virtual time. A sleep takes the upper limit of its range."""

from __future__ import annotations

from hidma.linux import sched


def udelay(usecs: int) -> None:
    """Spin for ``usecs`` microseconds."""
    sched.spend(usecs * 1000)


def mdelay(msecs: int) -> None:
    """Spin for ``msecs`` milliseconds."""
    udelay(msecs * 1000)


def usleep_range(low: int, high: int) -> None:
    """Sleep for ``high`` microseconds; in atomic context complain as the kernel does, and spin instead."""
    cpu = sched.running_cpu()
    if cpu.dead:
        sched.stopped(cpu)
    if sched.in_interrupt(cpu) or cpu.irqs_off:
        cpu.kernel.atomic_sleep(cpu)
        sched.spend(high * 1000)
    else:
        sched.schedule_timeout(high * 1000)
        cpu.kernel.module("watchdog").touched = cpu.clock.now


def msleep(msecs: int) -> None:
    """Sleep for ``msecs`` milliseconds."""
    usleep_range(msecs * 1000, msecs * 1000)
