# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/pm_runtime.h>``: runtime power management with autosuspend, as 4.5 has it.

A usage count below zero is not refused (a later kernel does). Devices of this series have no callbacks, so
suspending and resuming is a change of status; it is visible in sysfs and nowhere else.
"""

from __future__ import annotations

from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EACCES, EAGAIN, EBUSY
from hidma.linux.sched import Timer

RPM_ACTIVE = 0
RPM_SUSPENDED = 2
NSEC_PER_MSEC = 1000000

STATUS = {RPM_ACTIVE: "active", RPM_SUSPENDED: "suspended"}


class DevPmInfo:
    """``struct dev_pm_info``, the runtime part.

    Times are virtual nanoseconds; ``autosuspend_delay`` is in milliseconds. ``forced`` and ``get_rc`` make the
    asynchronous get return a given value (fault injection).
    """

    def __init__(self, dev: Any) -> None:
        self.dev = dev
        self.usage_count = 0
        self.disable_depth = 1
        self.runtime_status = RPM_SUSPENDED
        self.use_autosuspend = 0
        self.autosuspend_delay = 0
        self.last_busy = 0
        self.timer_expires = 0
        self.forced = 0
        self.get_rc = 1
        self.runtime_auto = 1
        self.active_time = 0
        self.suspended_time = 0
        self.accounting_time = 0
        self.timer: AutosuspendTimer | None = None


class AutosuspendTimer(Timer):
    """``pm_suspend_timer_fn()``: the device may have been idle for long enough."""

    def __init__(self, power: DevPmInfo, clock: Any) -> None:
        Timer.__init__(self)
        self.power = power
        self.clock = clock

    def fire(self) -> int:
        power = self.power
        power.timer_expires = 0
        if power.usage_count == 0 and power.disable_depth == 0 and power.runtime_status == RPM_ACTIVE:
            expires = power.last_busy + power.autosuspend_delay * NSEC_PER_MSEC
            if power.use_autosuspend and expires > self.clock.now:
                power.timer_expires = expires
                self.clock.schedule(self, expires)
            else:
                update_accounting(power, self.clock.now)
                power.runtime_status = RPM_SUSPENDED
        return 0


def update_accounting(power: DevPmInfo, now: int) -> int:
    """Add the time since the last change to the state that ends."""
    if power.runtime_status == RPM_SUSPENDED:
        power.suspended_time += now - power.accounting_time
    else:
        power.active_time += now - power.accounting_time
    power.accounting_time = now
    return 0


def emit(cpu: Any, call: str, power: DevPmInfo) -> int:
    """Trace one call."""
    cpu.trace.emit(("pm", call, power.usage_count))
    return 0


def suspend_later(power: DevPmInfo) -> int:
    """``rpm_suspend(RPM_AUTO)``: suspend now, or set the timer for when the delay is over."""
    if power.disable_depth > 0 or power.runtime_status != RPM_ACTIVE or power.usage_count != 0:
        return -EAGAIN
    clock = sched.this_cpu.clock
    expires = clock.now
    if power.use_autosuspend:
        if power.autosuspend_delay < 0:
            return -EAGAIN
        expires = power.last_busy + power.autosuspend_delay * NSEC_PER_MSEC
    if expires > clock.now:
        # a timer that is already running looks again when it fires
        if power.timer_expires == 0 or power.timer_expires > expires:
            if power.timer is None:
                power.timer = AutosuspendTimer(power, clock)
            power.timer_expires = expires
            clock.schedule(power.timer, expires)
        return 0
    update_accounting(power, clock.now)
    power.runtime_status = RPM_SUSPENDED
    return 0


def resume(power: DevPmInfo) -> int:
    """``rpm_resume()``: 1 when the device is active already, 0 when it has become so, -EACCES while PM is disabled."""
    if power.disable_depth > 0:
        return -EACCES
    if power.runtime_status == RPM_ACTIVE:
        return 1
    update_accounting(power, sched.this_cpu.clock.now)
    power.runtime_status = RPM_ACTIVE
    power.last_busy = power.accounting_time
    return 0


def pm_runtime_get_sync(dev: Any) -> int:
    """Take a reference and resume: 1 active already, 0 resumed, negative errno (the reference is taken all the same)."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count += 1
    if cpu.trace.on:
        emit(cpu, "get_sync", power)
    if cpu.lockdep and (cpu.hardirq or cpu.softirq):
        cpu.kernel.sleeping_call("pm_runtime_get_sync")
    if power.disable_depth == 0 and power.runtime_status == RPM_ACTIVE:
        return 1
    return resume(power)


def pm_runtime_get(dev: Any) -> int:
    """Take a reference and ask for a resume, without waiting for it."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count += 1
    if cpu.trace.on:
        emit(cpu, "get", power)
    if power.forced:
        return power.get_rc
    if power.disable_depth == 0 and power.runtime_status == RPM_ACTIVE:
        return 1
    return resume(power)


def pm_runtime_mark_last_busy(dev: Any) -> int:
    """Start the autosuspend delay anew."""
    cpu = sched.this_cpu
    power = dev.power
    power.last_busy = cpu.clock.now
    if cpu.trace.on:
        emit(cpu, "mark_last_busy", power)
    return 0


def pm_runtime_put_autosuspend(dev: Any) -> int:
    """Drop a reference; at zero, suspend when the delay is over."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count -= 1
    if cpu.trace.on:
        emit(cpu, "put_autosuspend", power)
    if power.usage_count == 0:
        return suspend_later(power)
    return 0


def pm_runtime_put_sync(dev: Any) -> int:
    """Drop a reference; at zero, the device is idle: it suspends (after the delay, with autosuspend)."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count -= 1
    if cpu.trace.on:
        emit(cpu, "put_sync", power)
    if power.usage_count == 0:
        return suspend_later(power)
    return 0


def pm_runtime_put_sync_suspend(dev: Any) -> int:
    """Drop a reference; at zero, suspend at once."""
    cpu = sched.this_cpu
    power = dev.power
    power.usage_count -= 1
    if cpu.trace.on:
        emit(cpu, "put_sync_suspend", power)
    if power.usage_count == 0:
        if power.disable_depth > 0:
            return -EACCES
        if power.runtime_status == RPM_ACTIVE:
            update_accounting(power, cpu.clock.now)
            power.runtime_status = RPM_SUSPENDED
    return 0


def pm_runtime_set_autosuspend_delay(dev: Any, delay: int) -> int:
    """The delay in milliseconds; a negative one prevents runtime suspend."""
    dev.power.autosuspend_delay = delay
    cpu = sched.this_cpu
    if cpu.trace.on:
        emit(cpu, "set_autosuspend_delay", dev.power)
    return 0


def pm_runtime_use_autosuspend(dev: Any) -> int:
    """Suspend only after the delay."""
    dev.power.use_autosuspend = 1
    cpu = sched.this_cpu
    if cpu.trace.on:
        emit(cpu, "use_autosuspend", dev.power)
    return 0


def pm_runtime_set_active(dev: Any) -> int:
    """Say that the device is active: 0, or -EAGAIN while runtime PM is enabled."""
    power = dev.power
    cpu = sched.this_cpu
    if cpu.trace.on:
        emit(cpu, "set_active", power)
    if power.disable_depth == 0:
        return -EAGAIN
    update_accounting(power, cpu.clock.now)
    power.runtime_status = RPM_ACTIVE
    return 0


def pm_runtime_enable(dev: Any) -> int:
    """Undo one :func:`pm_runtime_disable`."""
    power = dev.power
    cpu = sched.this_cpu
    if power.disable_depth > 0:
        power.disable_depth -= 1
    else:
        cpu.kernel.printk(4, f"{dev.name}: Unbalanced pm_runtime_enable!")
    if cpu.trace.on:
        emit(cpu, "enable", power)
    return 0


def pm_runtime_disable(dev: Any) -> int:
    """Stop runtime PM of the device; calls nest."""
    power = dev.power
    cpu = sched.this_cpu
    power.disable_depth += 1
    if power.timer is not None:
        cpu.clock.cancel(power.timer)
        power.timer_expires = 0
    if cpu.trace.on:
        emit(cpu, "disable", power)
    return 0


def pm_runtime_forbid(dev: Any) -> int:
    """``power/control`` = ``on``: keep the device active."""
    power = dev.power
    if power.runtime_auto:
        power.runtime_auto = 0
        power.usage_count += 1
        resume(power)
    return 0


def pm_runtime_allow(dev: Any) -> int:
    """``power/control`` = ``auto``: let the device suspend again."""
    power = dev.power
    if not power.runtime_auto:
        power.runtime_auto = 1
        power.usage_count -= 1
        if power.usage_count == 0:
            suspend_later(power)
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
    if power.disable_depth == 0:
        update_accounting(power, sched.this_cpu.clock.now)
    return power.active_time // NSEC_PER_MSEC, power.suspended_time // NSEC_PER_MSEC


def pm_busy(dev: Any) -> int:
    """-EBUSY while the device is in use, 0 otherwise."""
    return -EBUSY if dev.power.usage_count > 0 else 0
