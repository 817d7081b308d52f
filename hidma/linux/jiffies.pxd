# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched

cpdef enum:
    HZ = 1000
    NSEC_PER_JIFFY = 1000000

cpdef long long jiffies() except -1
cpdef long long msecs_to_jiffies(long long m) noexcept
cpdef int time_is_before_jiffies(long long a) except -1
cpdef int time_after(long long a, long long b) noexcept
@cython.locals(rounded="long long")
cpdef long long round_jiffies(long long j, long long now) noexcept
