# SPDX-License-Identifier: GPL-2.0-only
cdef class Trace:
    cdef public int on
    cdef public object sink
    cpdef emit(self, tuple event)
