# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu

@cython.final
cdef class Interrupts:
    cdef public object pending
    cdef public long long count
    cdef public object before
    cpdef int wanted(self) except -1
    cdef int hold(self) except -1
    @cython.locals(count=int)
    cdef int release(self) except -1

@cython.final
cdef class Running:
    cdef object machine
    cdef Interrupts interrupts
    cdef bint hold
    cdef bint counted
    cdef int _begin(self, object kernel) except -1
    cdef int _end(self) except -1

@cython.locals(cpu=Cpu)
cpdef int settle() except -1
