# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.cmem cimport bytes_of, move, words_of

@cython.final
cdef class Memory:
    cdef public unsigned long long base
    cdef public unsigned long long size
    cdef public object buffer
    cdef public object view
    cdef unsigned char *b
    cdef unsigned int *w
    cpdef int holds(self, unsigned long long address, unsigned long long count) noexcept
    cpdef int check(self, unsigned long long address, unsigned long long count) except -1
    cpdef unsigned int read32(self, unsigned long long address) except? 0xDEADBEEF
    cpdef int write32(self, unsigned long long address, unsigned int value) except -1
    cpdef int copy(self, unsigned long long dest, unsigned long long src, unsigned long long count) except -1
