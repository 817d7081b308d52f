# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.block cimport RegisterBlock
from hidma.hw.bus cimport Block
from hidma.hw.clock cimport Clock
from hidma.hw.cmem cimport words_from, words_of
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu, look, stuck

@cython.final
cdef class Window:
    cdef public Block block
    cdef public unsigned int start
    cdef public unsigned long long size
    cdef public long long first
    cdef public unsigned int plain
    cdef unsigned int *words
    cdef public long long access_ns
    cdef public RegisterBlock registers
    cdef public Clock clock
    cdef public Trace trace

cpdef int unmapped(unsigned long long address) except -1
@cython.locals(cpu=Cpu, slot="unsigned long long")
cdef Window find(unsigned long long address)  # struct inline
cdef unsigned int word_at(unsigned int offset) noexcept  # inline
@cython.locals(offset="unsigned int", value="unsigned int")
cdef long long read_any(Window window, unsigned long long address) except -1
cdef int write_block(Block block, unsigned int offset, unsigned int value) except -1
cdef int overdue(Clock clock) except -1
# as a long long, in which no value looks like the -1 of an exception
@cython.locals(cpu=Cpu, window=Window, registers=RegisterBlock, clock=Clock, value="long long", word="unsigned int")
cpdef long long readl(unsigned long long address) except -1  # struct inline
@cython.locals(cpu=Cpu, window=Window, offset="unsigned int")
cpdef int writel(unsigned int value, unsigned long long address) except -1  # struct inline
cpdef long long readl_relaxed(unsigned long long address) except -1  # struct inline
cpdef int writel_relaxed(unsigned int value, unsigned long long address) except -1  # struct inline
