# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.clock cimport Clock
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu, Timer
from hidma.linux.device cimport Device
from hidma.linux.jiffies cimport HZ, NSEC_PER_JIFFY, round_jiffies

cdef extern from *:
    struct dev_pm_info:
        int usage_count
        int disable_depth
        int runtime_status
        long long last_busy
        int forced

cpdef enum:
    RPM_ACTIVE = 0
    RPM_SUSPENDED = 2
    NSEC_PER_MSEC = 1000000

@cython.final
cdef api class DevPmInfo [object dev_pm_info, type dev_pm_info_type]:
    cdef public object dev
    cdef public int usage_count
    cdef public int child_count
    cdef public int disable_depth
    cdef public int runtime_status
    cdef public int use_autosuspend
    cdef public long long autosuspend_delay
    cdef public long long last_busy
    cdef public long long timer_expires
    cdef public int request
    cdef public int forced
    cdef public int get_rc
    cdef public int runtime_auto
    cdef public long long active_time
    cdef public long long suspended_time
    cdef public long long accounting_time
    cdef public AutosuspendTimer timer
    cdef public ResumeWork work

cdef class AutosuspendTimer(Timer):
    cdef public DevPmInfo power
    cdef public Clock clock

cdef class ResumeWork(Timer):
    cdef public DevPmInfo power
    cdef public Clock clock

cpdef int update_accounting(DevPmInfo power, long long now) except -1
cdef int set_status(DevPmInfo power, int status, long long now) except -1
cdef int pm_event(Cpu cpu, str call, DevPmInfo power) except -1
cdef int check_suspend_allowed(DevPmInfo power) except? -1
@cython.locals(last_busy="long long", expires="long long")
cdef long long autosuspend_expiration(DevPmInfo power, long long now) except? -1
@cython.locals(expires="long long", rc=int)
cdef int rpm_suspend(DevPmInfo power, int auto, Clock clock) except? -1
@cython.locals(rc=int)
cdef int rpm_idle(DevPmInfo power, Clock clock) except? -1
@cython.locals(rc=int)
cdef int rpm_resume(DevPmInfo power, Clock clock) except? -1
@cython.locals(cpu=Cpu, power=DevPmInfo)
cpdef int pm_runtime_get_sync(Device dev) except? -1
cdef int rpm_get(DevPmInfo power, Cpu cpu) except? -1
@cython.locals(cpu=Cpu, power=DevPmInfo)
cpdef int pm_runtime_get(Device dev) except? -1
@cython.locals(cpu=Cpu, power=DevPmInfo)
cpdef int pm_runtime_mark_last_busy(Device dev) except? -1
@cython.locals(cpu=Cpu, power=DevPmInfo)
cpdef int pm_runtime_put_autosuspend(Device dev) except? -1
