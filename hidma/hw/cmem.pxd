# SPDX-License-Identifier: GPL-2.0-only
# inline-only: the C side of cmem.py; there is nothing to compile here
from libc.string cimport memmove

cdef inline unsigned char *bytes_of(unsigned char[::1] view) noexcept:
    return &view[0]

cdef inline unsigned int *words_of(unsigned char[::1] view) noexcept:
    return <unsigned int *>&view[0]

cdef inline unsigned int *words_from(unsigned int *words, size_t index) noexcept:
    return words + index

cdef inline int move(unsigned char *memory, size_t dest, size_t src, size_t count) noexcept:
    memmove(memory + dest, memory + src, count)
    return 0

# word by word: who has just written single words would make a wide read wait for all of them
cdef inline int move_words(unsigned int *memory, size_t index, volatile unsigned int *words, size_t count) noexcept:
    cdef size_t i
    for i in range(count):
        memory[index + i] = words[i]
    return 0

cdef inline int carry(unsigned char *dest, size_t dest_at, unsigned char *src, size_t src_at, size_t count) noexcept:
    memmove(dest + dest_at, src + src_at, count)
    return 0
