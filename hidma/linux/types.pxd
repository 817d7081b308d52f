# SPDX-License-Identifier: GPL-2.0-only
cimport cython

ctypedef int (*fn_t)(object) except -1

@cython.final
cdef class CFunction:
    cdef fn_t fn

cdef CFunction function(fn_t fn)
cdef int call(object fn, object data) except -1  # inline
cdef int call_c(CFunction pointer, object data) except -1  # inline
