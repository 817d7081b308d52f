# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.bus cimport Block
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu, interrupts, watch

@cython.final
cdef class Window:
    cdef public Block block
    cdef public unsigned int start
    cdef public unsigned long long size
    cdef public long long first

cpdef int unmapped(unsigned long long address) except -1
@cython.locals(cpu=Cpu, window=Window, slot="unsigned long long")
cdef int turn_to(unsigned long long address) except -1
@cython.locals(value="unsigned int", offset="unsigned long long")
cpdef unsigned int readl(unsigned long long address) except? 0xDEADBEEF  # inline
@cython.locals(offset="unsigned long long")
cpdef int writel(unsigned int value, unsigned long long address) except -1  # inline
cpdef unsigned int readl_relaxed(unsigned long long address) except? 0xDEADBEEF  # inline
cpdef int writel_relaxed(unsigned int value, unsigned long long address) except -1  # inline
