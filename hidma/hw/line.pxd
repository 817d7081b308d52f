# SPDX-License-Identifier: GPL-2.0-only
cimport cython

cdef class LineSink:
    cpdef int line_changed(self, Line line) except -1
    cpdef int line_pulsed(self, Line line) except -1

@cython.final
cdef class Line:
    cdef public int number
    cdef public str name
    cdef public int level
    cdef public LineSink sink
    cdef public long long raised
    cpdef int set(self, int level) except -1
    cpdef int pulse(self) except -1
