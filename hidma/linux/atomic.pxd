# SPDX-License-Identifier: GPL-2.0-only
cimport cython

cdef extern from *:
    struct atomic_t:
        int counter

@cython.final
cdef api class Atomic [object atomic_t, type atomic_type]:
    cdef public int counter

cpdef int atomic_read(Atomic v) except? -1
cpdef int atomic_set(Atomic v, int i) except -1
cpdef int atomic_add_unless(Atomic v, int a, int u) except -1
