# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.cmem cimport move_words
from hidma.hw.memory cimport Memory
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu

cpdef int bad_address(unsigned long long address) except -1
@cython.locals(memory=Memory, at="unsigned long long")
cpdef long long load_u32(unsigned long long ptr, unsigned long long index) except -1  # struct inline
@cython.locals(memory=Memory, at="unsigned long long")
cdef int memcpy_words(unsigned long long dest, unsigned int *src, unsigned int size) except -1  # struct inline
