# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.block cimport RegisterBlock
from hidma.hw.bus cimport Block
from hidma.hw.clock cimport Clock
from hidma.hw.cmem cimport words_from, words_of
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.sched cimport LOCKUP_NS, Cpu, look, stuck

cdef extern from *:
    struct window_t:
        void *block
        unsigned int start
        unsigned long long size
        unsigned int plain
        unsigned int *words
        long long access_ns
        void *registers
        void *clock
        void *trace

@cython.final
cdef api class Window [object window_t, type window_type]:
    cdef public Block block
    cdef public unsigned int start
    cdef public unsigned long long size
    cdef public long long first
    cdef readonly unsigned int plain
    cdef unsigned int *words
    cdef public long long access_ns
    cdef readonly RegisterBlock registers
    cdef readonly Clock clock
    cdef readonly Trace trace

cpdef enum:
    WINDOW_SHIFT = 20
    WINDOW_MASK = 0xFFFFF

cpdef int unmapped(unsigned long long address) except -1
@cython.locals(offset="unsigned int", value="unsigned int")
cdef long long read_any(Cpu cpu, Window window, unsigned long long address) except -1
cdef int write_any(Cpu cpu, Window window, unsigned int offset, unsigned int value) except -1
cpdef long long readl(unsigned long long address) except -1
cpdef int writel(unsigned int value, unsigned long long address) except -1
cpdef long long readl_relaxed(unsigned long long address) except -1
cpdef int writel_relaxed(unsigned int value, unsigned long long address) except -1
