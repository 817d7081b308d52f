# SPDX-License-Identifier: GPL-2.0-only
from hidma.hw.clock cimport Clock
from hidma.hw.memory cimport Memory
from hidma.hw.registers cimport *
from hidma.hw.trace cimport Trace

cdef class Block:
    cdef public str name
    cdef public unsigned long long base
    cdef public unsigned long long size
    cpdef unsigned int read32(self, unsigned int offset) except? 0xDEADBEEF
    cpdef int write32(self, unsigned int offset, unsigned int value) except -1
    cpdef object read_odd(self, unsigned int offset, int width)
    cpdef int write_odd(self, unsigned int offset, int width, object value) except -1

cdef class Bus:
    cdef public Clock clock
    cdef public Memory memory
    cdef public Trace trace
    cdef public object faults
    cdef public list blocks
