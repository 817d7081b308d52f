# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
cdef class Trace:
    cdef public int on
    cdef public object clock
    cdef public object sink
    cdef public tuple taps
    cpdef emit(self, tuple event)
