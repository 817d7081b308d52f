# SPDX-License-Identifier: GPL-2.0-only
cimport cython

cdef extern from *:
    struct atomic_t:
        int counter

@cython.final
cdef api class Atomic [object atomic_t, type atomic_type]:
    cdef public int counter
