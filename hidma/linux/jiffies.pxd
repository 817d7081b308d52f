# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux cimport sched

cpdef long long jiffies() except -1
cpdef long long msecs_to_jiffies(long long m) noexcept
cpdef int time_is_before_jiffies(long long a) except -1
cpdef int time_after(long long a, long long b) noexcept
