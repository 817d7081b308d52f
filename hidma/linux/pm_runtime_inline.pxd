# SPDX-License-Identifier: GPL-2.0-only
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.device cimport Device, device_t
from hidma.linux.inline cimport not_null, there
from hidma.linux.pm_runtime cimport DevPmInfo, dev_pm_info, pm_event, rpm_get, rpm_resume, rpm_suspend
from hidma.linux.sched cimport cpu_t

ctypedef device_t *device_p

ctypedef fused device_arg:
    Device
    device_p

cdef inline dev_pm_info *power_of(device_arg dev) except NULL:
    cdef dev_pm_info *power
    there(<void *>dev)
    power = (<device_t *>dev).power
    there(power)
    return <dev_pm_info *>not_null(power)

cdef inline int pm_runtime_get_sync(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count += 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "get_sync", <DevPmInfo>power)
    if cpu.lockdep and (cpu.hardirq or cpu.softirq):
        sched.sleeping_call(sched.this_cpu, "pm_runtime_get_sync")
    if not power.disable_depth | power.runtime_status:  # enabled, and RPM_ACTIVE
        return 1
    return rpm_resume(<DevPmInfo>power, sched.this_cpu.clock)

cdef inline int pm_runtime_get(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count += 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "get", <DevPmInfo>power)
    if not power.forced | power.disable_depth | power.runtime_status:  # enabled, and RPM_ACTIVE
        return 1
    return rpm_get(<DevPmInfo>power, sched.this_cpu)

cdef inline int pm_runtime_mark_last_busy(device_arg dev) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.last_busy = sched.this_cpu.clock.now
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "mark_last_busy", <DevPmInfo>power)
    return 0

cdef inline int pm_runtime_put_autosuspend(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count -= 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "put_autosuspend", <DevPmInfo>power)
    if power.usage_count == 0:
        return rpm_suspend(<DevPmInfo>power, 1, sched.this_cpu.clock)
    return 0
