# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.bus cimport Block, Bus
from hidma.hw.clock cimport Clock
from hidma.hw.cmem cimport bytes_of, words_of
from hidma.hw.registers cimport *
from hidma.hw.trace cimport Trace

cpdef enum:
    ACCESS_NS = 100

cdef class RegisterBlock(Block):
    cdef public Bus bus
    cdef public Clock clock
    cdef public Trace trace
    cdef public tuple rows
    cdef public object buffer
    cdef public object view
    cdef object codes_of
    cdef object keeps_of
    cdef unsigned int *w
    cdef unsigned char *codes
    cdef unsigned int *keeps
    cdef public long long access_ns
    cdef public str initiator
    cdef public long long reads
    cdef public long long writes
    cdef public long long writes_ignored
    @cython.locals(value="unsigned int")
    cpdef unsigned int read32(self, unsigned int offset) except? 0xDEADBEEF
    cpdef int write32(self, unsigned int offset, unsigned int value) except -1
    @cython.locals(index="unsigned int", code="unsigned int", keep="unsigned int")
    cdef int write_register(self, unsigned int offset, unsigned int value) except -1
    cdef int trace_access(self, str what, unsigned int offset, unsigned int value) except -1
    cdef int wrote(self, unsigned int code, unsigned int offset, unsigned int value) except -1
    cpdef object read_odd(self, unsigned int offset, int width)
    cpdef int write_odd(self, unsigned int offset, int width, object value) except -1
    cpdef int refuse(self, str what, unsigned int offset, int width) except -1
    cpdef unsigned int peek(self, unsigned int offset) except? 0xDEADBEEF
    cpdef int clear_registers(self) except -1
