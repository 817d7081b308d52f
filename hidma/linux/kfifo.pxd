# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
cdef class Kfifo:
    cdef public unsigned int in_
    cdef public unsigned int out
    cdef readonly unsigned int size
    cdef readonly unsigned int mask
    cdef list data  # in bounds

cdef int slots(Kfifo fifo, unsigned int size) except -1
cpdef unsigned int kfifo_size(Kfifo fifo) noexcept
cpdef unsigned int kfifo_len(Kfifo fifo) noexcept
cpdef list kfifo_peek(Kfifo fifo)
cdef int refused(Kfifo fifo) except -1
cpdef int kfifo_put(Kfifo fifo, object val) except -1  # struct inline
@cython.locals(val=object)
cpdef object kfifo_out(Kfifo fifo)  # struct inline
