# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.arbiter cimport Arbiter
from hidma.hw.block cimport RegisterBlock
from hidma.hw.channel cimport Channel
from hidma.hw.registers cimport *

@cython.final
cdef class ManagementBlock(RegisterBlock):
    cdef public Arbiter arbiter
    cdef public unsigned int version
    cdef public list channels
    cdef public int runs
    @cython.locals(w=cython.p_uint, number=int)
    cpdef int set_up(self) except -1
    cpdef int adopt(self, Channel channel) except -1
    @cython.locals(channel=Channel, number="unsigned int")
    cdef int wrote_qos(self, unsigned int offset, unsigned int value) except -1
    @cython.locals(channel=Channel)
    cpdef int refresh(self) except -1
    @cython.locals(word="unsigned int")
    cpdef int share(self, Channel channel) except -1
    cpdef int limit(self, Channel channel) except -1
    @cython.locals(lengths="unsigned int", counts="unsigned int")
    cpdef int bus_limits(self) except -1
    @cython.locals(channel=Channel, runs=int, was=int)
    cpdef int run(self) except -1
