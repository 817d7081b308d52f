# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.memory cimport Memory
from hidma.linux cimport sched

cpdef int bad_address(unsigned long long address) except -1
@cython.locals(memory=Memory, at="unsigned long long", offset="unsigned long long")
cpdef long long load_u32(unsigned long long ptr, unsigned long long index) except -1
