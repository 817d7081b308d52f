# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux.types cimport u32

cdef extern from *:
    struct kfifo:
        unsigned int in_
        unsigned int out
        unsigned int size
        unsigned int mask
        void *data

# data is private, and has mask + 1 items at all times
@cython.final
cdef api class Kfifo [object kfifo, type kfifo_type]:
    cdef public unsigned int in_
    cdef public unsigned int out
    cdef readonly unsigned int size
    cdef readonly unsigned int mask
    cdef list data

cdef int slots(Kfifo fifo, unsigned int size) except -1
cpdef unsigned int kfifo_size(Kfifo fifo) except? 0
cpdef unsigned int kfifo_len(Kfifo fifo) except? 0
cpdef list kfifo_peek(Kfifo fifo)
cdef int refused(Kfifo fifo) except -1
cpdef int kfifo_put(Kfifo fifo, object val) except -1
@cython.locals(val=object)
cpdef object kfifo_out(Kfifo fifo)
