# SPDX-License-Identifier: GPL-2.0-only
cimport cython

ctypedef int (*fn_t)(void *) except -1

@cython.final
cdef class CFunction:
    cdef fn_t fn

cdef CFunction function(fn_t fn)
cdef int call_python(object fn, object data) except -1

cdef inline unsigned int u32(unsigned long long value) noexcept:
    return <unsigned int>value
