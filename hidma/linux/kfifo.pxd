# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
cdef class Kfifo:
    cdef public unsigned int in_
    cdef public unsigned int out
    cdef public unsigned int mask
    cdef public list data

cpdef unsigned int kfifo_size(Kfifo fifo) noexcept
cpdef unsigned int kfifo_len(Kfifo fifo) noexcept
cpdef int kfifo_put(Kfifo fifo, object val) except -1  # struct inline
@cython.locals(val=object, slot="unsigned int")
cpdef object kfifo_out(Kfifo fifo)  # struct inline beside
