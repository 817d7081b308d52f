# SPDX-License-Identifier: GPL-2.0-only
# The C side of jiffies.py: inline functions only, which Cython compiles into the modules that cimport them.
from hidma.linux cimport sched

cdef enum:
    HZ = 1000
    NSEC_PER_JIFFY = 1000000

cdef inline long long jiffies() except -1:
    return sched.this_cpu.clock.now // NSEC_PER_JIFFY

cdef inline long long msecs_to_jiffies(long long m) noexcept:
    return m

cdef inline bint time_is_before_jiffies(long long a) except -1:
    return sched.this_cpu.clock.now // NSEC_PER_JIFFY > a

cdef inline long long round_jiffies(long long j, long long now) noexcept:
    cdef long long rounded = j - j % HZ
    if j % HZ >= HZ // 4:
        rounded += HZ
    return rounded if rounded > now else j
