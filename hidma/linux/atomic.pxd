# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
cdef class Atomic:
    cdef public int counter

cpdef int atomic_read(Atomic v) noexcept  # struct inline
cpdef int atomic_set(Atomic v, int i) noexcept  # struct inline
cpdef int atomic_add_unless(Atomic v, int a, int u) noexcept  # struct inline
cpdef int atomic_inc(Atomic v) noexcept  # struct inline
cpdef int atomic_dec(Atomic v) noexcept  # struct inline
