# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux cimport sched
from hidma.linux.inline cimport never
from hidma.linux.mm cimport bad_address

# above 63 bits, where an enum of Cython is signed: mm.py has the same for Python
cdef extern from *:
    """
    #define HIDMA_PAGE_OFFSET 0xFFFF800000000000ULL
    """
    const unsigned long long PAGE_OFFSET "HIDMA_PAGE_OFFSET"

cdef inline long long load_u32(unsigned long long ptr, unsigned long long index) except -1:
    cdef unsigned long long at = ptr - PAGE_OFFSET + 4 * index
    if at >= sched.this_cpu.memory.size:
        bad_address(ptr + 4 * index)
        never()
    return sched.this_cpu.memory.w[at >> 2]

# word by word: a wide read of what was just written as single words waits for all of them
cdef inline int memcpy_words(unsigned long long dest, volatile unsigned int *src, unsigned int size) except -1:
    cdef unsigned long long at = dest - PAGE_OFFSET
    cdef unsigned int *words
    cdef unsigned int i
    if at >= sched.this_cpu.memory.size or size > sched.this_cpu.memory.size - at:
        bad_address(dest)
        never()
    words = sched.this_cpu.memory.w + (at >> 2)
    for i in range(size >> 2):
        words[i] = src[i]
    return 0
