# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/pm_runtime.h>`` and ``drivers/base/power/runtime.c`` of 4.5: runtime power management with autosuspend.

A usage count below zero is not refused (a later kernel does). Drivers of this series have no callbacks, so suspending
and resuming is a change of status, seen in sysfs; a device resumes its parent and keeps it active. Requests that may
not sleep (``pm_runtime_get``) are carried out by a work item a moment later, the autosuspend delay ends on a jiffy, and
one of a second and more may end up to three quarters of a second later, on a whole second.
"""

from __future__ import annotations

from typing import Any

import cython

from hidma.linux import sched
from hidma.linux.errno import EACCES, EAGAIN, EBUSY
from hidma.linux.sched import Timer

if cython.compiled:
    from cython.cimports.hidma.linux import pm_runtime_inline as inline
if not cython.compiled:
    from hidma.linux.jiffies import HZ, NSEC_PER_JIFFY, round_jiffies

    RPM_ACTIVE = 0
    RPM_SUSPENDED = 2
    NSEC_PER_MSEC = 1000000

STATUS = {RPM_ACTIVE: "active", RPM_SUSPENDED: "suspended"}


class DevPmInfo:
    """``struct dev_pm_info``, the runtime part.

    Times are virtual nanoseconds; ``autosuspend_delay`` is in milliseconds. ``forced`` and ``get_rc`` make the
    asynchronous get return a given value (fault injection). ``request`` is set while a resume is asked for.
    """

    def __init__(self, dev: Any) -> None:
        self.dev = dev
        self.usage_count = 0
        self.child_count = 0
        self.disable_depth = 1
        self.runtime_status = RPM_SUSPENDED
        self.use_autosuspend = 0
        self.autosuspend_delay = 0
        self.last_busy = 0
        self.timer_expires = 0
        self.request = 0
        self.forced = 0
        self.get_rc = 1
        self.runtime_auto = 1
        self.active_time = 0
        self.suspended_time = 0
        self.accounting_time = 0
        self.timer: AutosuspendTimer | None = None
        self.work: ResumeWork | None = None


class AutosuspendTimer(Timer):
    """``pm_suspend_timer_fn()``: the device may have been idle for long enough."""

    def __init__(self, power: DevPmInfo, clock: Any) -> None:
        Timer.__init__(self)
        self.power = power
        self.clock = clock

    def fire(self) -> int:
        self.power.timer_expires = 0
        rpm_suspend(self.power, 1, self.clock)
        return 0


class ResumeWork(Timer):
    """``pm_runtime_work()``: the resume that somebody asked for without waiting."""

    def __init__(self, power: DevPmInfo, clock: Any) -> None:
        Timer.__init__(self)
        self.power = power
        self.clock = clock

    def fire(self) -> int:
        if self.power.request:
            rpm_resume(self.power, self.clock)
        return 0


def update_accounting(power: DevPmInfo, now: int) -> int:
    """Add the time since the last change to the state that ends; while runtime PM is disabled it belongs to none."""
    if power.disable_depth == 0:
        if power.runtime_status == RPM_SUSPENDED:
            power.suspended_time += now - power.accounting_time
        else:
            power.active_time += now - power.accounting_time
    power.accounting_time = now
    return 0


def set_status(power: DevPmInfo, status: int, now: int) -> int:
    """The device becomes ``status``; its parent counts the active ones."""
    update_accounting(power, now)
    parent = power.dev.parent
    if status != power.runtime_status and parent is not None:
        if status == RPM_ACTIVE:
            parent.power.child_count += 1
        elif parent.power.child_count > 0:
            parent.power.child_count -= 1
    power.runtime_status = status
    return 0


def pm_event(cpu: Any, call: str, power: DevPmInfo) -> int:
    """Trace one call."""
    cpu.trace.emit(("pm", call, power.usage_count))
    return 0


def check_suspend_allowed(power: DevPmInfo) -> int:
    """``rpm_check_suspend_allowed()``: a negative errno when the device may not suspend, 1 when it has already."""
    if power.disable_depth > 0:
        return -EACCES
    if power.usage_count > 0:
        return -EAGAIN
    if power.child_count > 0:
        return -EBUSY
    if power.request:
        return -EAGAIN
    return 1 if power.runtime_status == RPM_SUSPENDED else 0


def autosuspend_expiration(power: DevPmInfo, now: int) -> int:
    """``pm_runtime_autosuspend_expiration()``: when the delay will be over, in ns; 0 when it is over."""
    if not power.use_autosuspend or power.autosuspend_delay < 0:
        return 0
    last_busy = power.last_busy // NSEC_PER_JIFFY
    expires = last_busy + power.autosuspend_delay * HZ // 1000
    if power.autosuspend_delay >= 1000:
        expires = round_jiffies(expires, now // NSEC_PER_JIFFY)
    if now // NSEC_PER_JIFFY >= expires:
        return 0
    return expires * NSEC_PER_JIFFY


def rpm_suspend(power: DevPmInfo, auto: int, clock: Any) -> int:
    """Suspend; with ``auto``, only when the autosuspend delay is over, else the timer is set for that.

    Returns 0 (done, or later), 1 (suspended already), -EACCES (disabled), -EAGAIN (in use), -EBUSY (an active child).
    """
    rc = check_suspend_allowed(power)
    if rc:
        return rc
    if auto:
        expires = autosuspend_expiration(power, clock.now)
        if expires:
            # a timer that is already running looks again when it fires
            if power.timer_expires == 0 or power.timer_expires > expires:
                if power.timer is None:
                    power.timer = AutosuspendTimer(power, clock)
                power.timer_expires = expires
                clock.schedule(power.timer, expires)
            return 0
    if power.timer is not None:
        clock.cancel(power.timer)
        power.timer_expires = 0
    set_status(power, RPM_SUSPENDED, clock.now)
    parent = power.dev.parent
    if parent is not None:
        rpm_idle(parent.power, clock)
    return 0


def rpm_idle(power: DevPmInfo, clock: Any) -> int:
    """The device may be idle: without a callback that objects, it suspends (after the delay, with autosuspend)."""
    rc = check_suspend_allowed(power)
    if rc < 0:
        return rc
    if power.runtime_status != RPM_ACTIVE:
        return -EAGAIN
    return rpm_suspend(power, 1, clock)


def rpm_resume(power: DevPmInfo, clock: Any) -> int:
    """Resume, the parent first: 1 when the device is active already, 0 when it has become so.

    -EACCES while PM is disabled, -EBUSY when the parent does not become active.
    """
    if power.disable_depth > 0:
        return -EACCES
    power.request = 0
    if power.runtime_status == RPM_ACTIVE:
        return 1
    parent = power.dev.parent
    rc = 0
    if parent is not None:
        parent.power.usage_count += 1
        if parent.power.disable_depth == 0:
            rpm_resume(parent.power, clock)
            if parent.power.runtime_status != RPM_ACTIVE:
                rc = -EBUSY
    if rc == 0:
        set_status(power, RPM_ACTIVE, clock.now)
        power.last_busy = clock.now
        # nobody may hold it: then the delay begins
        rpm_idle(power, clock)
    if parent is not None:
        parent.power.usage_count -= 1
        if parent.power.usage_count == 0:
            rpm_idle(parent.power, clock)
    return rc


def rpm_get(power: DevPmInfo, cpu: Any) -> int:
    """Ask for a resume: 1 active already, 0 asked for, -EACCES while PM is disabled; a given value, if there is one."""
    if power.forced:
        return power.get_rc
    if power.disable_depth > 0:
        return -EACCES
    if power.runtime_status == RPM_ACTIVE:
        return 1
    power.request = 1
    if power.work is None:
        power.work = ResumeWork(power, cpu.clock)
    cpu.clock.schedule(power.work, cpu.clock.now)
    return 0


def pm_runtime_get_sync(dev: Any) -> int:
    """Take a reference and resume: 1 active already, 0 resumed, negative errno (the reference is taken all the same).

    :param dev: the device
    """
    if cython.compiled:
        return inline.pm_runtime_get_sync(dev)
    else:
        cpu = sched.this_cpu
        power = dev.power
        power.usage_count += 1
        if cpu.trace.on:
            pm_event(cpu, "get_sync", power)
        if cpu.lockdep and (cpu.hardirq or cpu.softirq):
            cpu.kernel.sleeping_call("pm_runtime_get_sync")
        if not power.disable_depth | power.runtime_status:  # enabled, and RPM_ACTIVE
            return 1
        return rpm_resume(power, cpu.clock)


def pm_runtime_get(dev: Any) -> int:
    """Take a reference and ask for a resume, without waiting for it: 1 active already, 0 asked for, negative errno."""
    if cython.compiled:
        return inline.pm_runtime_get(dev)
    else:
        cpu = sched.this_cpu
        power = dev.power
        power.usage_count += 1
        if cpu.trace.on:
            pm_event(cpu, "get", power)
        return rpm_get(power, cpu)


def pm_runtime_mark_last_busy(dev: Any) -> int:
    """Start the autosuspend delay anew."""
    if cython.compiled:
        return inline.pm_runtime_mark_last_busy(dev)
    else:
        cpu = sched.this_cpu
        power = dev.power
        power.last_busy = cpu.clock.now
        if cpu.trace.on:
            pm_event(cpu, "mark_last_busy", power)
        return 0


def pm_runtime_put_autosuspend(dev: Any) -> int:
    """Drop a reference; at zero, suspend when the delay is over."""
    if cython.compiled:
        return inline.pm_runtime_put_autosuspend(dev)
    else:
        cpu = sched.this_cpu
        power = dev.power
        power.usage_count -= 1
        if cpu.trace.on:
            pm_event(cpu, "put_autosuspend", power)
        if power.usage_count == 0:
            return rpm_suspend(power, 1, cpu.clock)
        return 0


def pm_runtime_put_sync(dev: Any) -> int:
    """Drop a reference; at zero, the device is idle: it suspends (after the delay, with autosuspend)."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count -= 1
    if cpu.trace.on:
        pm_event(cpu, "put_sync", power)
    if power.usage_count == 0:
        return rpm_idle(power, cpu.clock)
    return 0


def pm_runtime_put_sync_suspend(dev: Any) -> int:
    """Drop a reference; at zero, suspend at once."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count -= 1
    if cpu.trace.on:
        pm_event(cpu, "put_sync_suspend", power)
    if power.usage_count == 0:
        return rpm_suspend(power, 0, cpu.clock)
    return 0


def update_autosuspend(power: DevPmInfo, old_delay: int, old_use: int) -> int:
    """A negative delay with autosuspend in use holds a reference: the device never suspends by itself."""
    clock = sched.this_cpu.clock
    if power.use_autosuspend and power.autosuspend_delay < 0:
        if not old_use or old_delay >= 0:
            power.usage_count += 1
            rpm_resume(power, clock)
    else:
        if old_use and old_delay < 0:
            power.usage_count -= 1
        rpm_idle(power, clock)
    return 0


def pm_runtime_set_autosuspend_delay(dev: Any, delay: int) -> int:
    """The delay in milliseconds; a negative one prevents runtime suspend."""
    cpu = sched.this_cpu
    power = dev.power
    old_delay = power.autosuspend_delay
    power.autosuspend_delay = delay
    update_autosuspend(power, old_delay, power.use_autosuspend)
    if cpu.trace.on:
        pm_event(cpu, "set_autosuspend_delay", power)
    return 0


def pm_runtime_use_autosuspend(dev: Any) -> int:
    """Suspend only after the delay."""
    cpu = sched.this_cpu
    power = dev.power
    old_use = power.use_autosuspend
    power.use_autosuspend = 1
    update_autosuspend(power, power.autosuspend_delay, old_use)
    if cpu.trace.on:
        pm_event(cpu, "use_autosuspend", power)
    return 0


def pm_runtime_set_active(dev: Any) -> int:
    """Say that the device is active: 0, -EAGAIN while runtime PM is enabled, -EBUSY below a suspended parent."""
    power = dev.power
    cpu = sched.running_cpu()
    if cpu.trace.on:
        pm_event(cpu, "set_active", power)
    if power.disable_depth == 0:
        return -EAGAIN
    parent = dev.parent
    if (power.runtime_status != RPM_ACTIVE and parent is not None and parent.power.disable_depth == 0
            and parent.power.runtime_status != RPM_ACTIVE):
        return -EBUSY
    set_status(power, RPM_ACTIVE, cpu.clock.now)
    return 0


def pm_runtime_reinit(dev: Any) -> int:
    """A driver has left, or its probe failed: a device whose runtime PM is disabled is suspended for the next one."""
    power = dev.power
    if power.disable_depth > 0 and power.runtime_status == RPM_ACTIVE:
        set_status(power, RPM_SUSPENDED, sched.this_cpu.clock.now)
        if dev.parent is not None:
            rpm_idle(dev.parent.power, sched.this_cpu.clock)
    return 0


def pm_runtime_enable(dev: Any) -> int:
    """Undo one :func:`pm_runtime_disable`."""
    power = dev.power
    cpu = sched.this_cpu
    if power.disable_depth > 0:
        power.disable_depth -= 1
    else:
        driver = dev.driver.name if dev.driver is not None else ""
        cpu.kernel.printk(4, f"{driver} {dev.name}: Unbalanced pm_runtime_enable!")
    if cpu.trace.on:
        pm_event(cpu, "enable", power)
    return 0


def pm_runtime_disable(dev: Any) -> int:
    """Stop runtime PM of the device; calls nest. A resume that was asked for happens first."""
    power = dev.power
    cpu = sched.this_cpu
    if power.disable_depth == 0:
        if power.request:
            power.usage_count += 1
            rpm_resume(power, cpu.clock)
            power.usage_count -= 1
        if power.timer is not None:
            cpu.clock.cancel(power.timer)
            power.timer_expires = 0
    power.disable_depth += 1
    if cpu.trace.on:
        pm_event(cpu, "disable", power)
    return 0


def pm_runtime_forbid(dev: Any) -> int:
    """``power/control`` = ``on``: keep the device active."""
    power = dev.power
    if power.runtime_auto:
        power.runtime_auto = 0
        power.usage_count += 1
        rpm_resume(power, sched.this_cpu.clock)
    return 0


def pm_runtime_allow(dev: Any) -> int:
    """``power/control`` = ``auto``: let the device suspend again."""
    power = dev.power
    if not power.runtime_auto:
        power.runtime_auto = 1
        power.usage_count -= 1
        if power.usage_count == 0:
            rpm_idle(power, sched.this_cpu.clock)
    return 0


def runtime_status(dev: Any) -> str:
    """``power/runtime_status``."""
    power = dev.power
    if power.disable_depth:
        return "unsupported"
    return STATUS[power.runtime_status]


def power_times(dev: Any) -> tuple[int, int]:
    """Milliseconds that the device has been active, and suspended; while runtime PM is disabled nothing is added."""
    power = dev.power
    update_accounting(power, sched.this_cpu.clock.now)
    return power.active_time // NSEC_PER_MSEC, power.suspended_time // NSEC_PER_MSEC
