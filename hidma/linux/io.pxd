# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.block cimport RegisterBlock
from hidma.hw.bus cimport Block
from hidma.hw.clock cimport Clock
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu, interrupts, watch

@cython.final
cdef class Window:
    cdef public Block block
    cdef public unsigned int start
    cdef public unsigned long long size
    cdef public long long first
    cdef public unsigned long long plain
    cdef public RegisterBlock registers
    cdef public Trace trace

cpdef int unmapped(unsigned long long address) except -1
@cython.locals(cpu=Cpu, slot="unsigned long long")
cdef Window find(unsigned long long address)  # struct inline
cdef unsigned int read_block(Block block, unsigned int offset) except? 0xDEADBEEF
cdef int write_block(Block block, unsigned int offset, unsigned int value) except -1
cdef int overdue(Clock clock) except -1
@cython.locals(cpu=Cpu, window=Window, registers=RegisterBlock, clock=Clock, value="unsigned int", offset="unsigned int")
cpdef unsigned int readl(unsigned long long address) except? 0xDEADBEEF  # struct inline
@cython.locals(cpu=Cpu, window=Window, offset="unsigned int")
cpdef int writel(unsigned int value, unsigned long long address) except -1  # struct inline
cpdef unsigned int readl_relaxed(unsigned long long address) except? 0xDEADBEEF  # struct inline
cpdef int writel_relaxed(unsigned int value, unsigned long long address) except -1  # struct inline
