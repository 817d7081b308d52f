# SPDX-License-Identifier: GPL-2.0-only
# The C side of cmem.py: inline functions only, which Cython compiles into the modules that cimport them.
from libc.string cimport memmove

cdef extern from *:
    """
    #include <string.h>

    typedef unsigned long long hidma_piece __attribute__((vector_size(16)));

    // memmove() of 32 to 64 bytes: two pieces from either end, which may overlap, are loaded before the first is stored
    static inline __attribute__((always_inline, unused)) void hidma_move(unsigned char *dest, const unsigned char *src,
                                                                         size_t count)
    {
        hidma_piece a, b, c, d;

        if (count - 32 <= 32) {
            memcpy(&a, src, 16);
            memcpy(&b, src + 16, 16);
            memcpy(&c, src + count - 32, 16);
            memcpy(&d, src + count - 16, 16);
            memcpy(dest, &a, 16);
            memcpy(dest + 16, &b, 16);
            memcpy(dest + count - 32, &c, 16);
            memcpy(dest + count - 16, &d, 16);
        } else
            memmove(dest, src, count);
    }

    // two words at once: the first is the lower half
    static inline __attribute__((always_inline, unused)) unsigned long long hidma_pair(const unsigned int *words)
    {
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        unsigned long long value;

        memcpy(&value, words, 8);
        return value;
    #else
        return (unsigned long long)words[1] << 32 | words[0];
    #endif
    }

    static inline __attribute__((always_inline, unused)) void hidma_set_pair(unsigned int *words, unsigned long long value)
    {
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        memcpy(words, &value, 8);
    #else
        words[0] = (unsigned int)value;
        words[1] = (unsigned int)(value >> 32);
    #endif
    }
    """
    void hidma_move(unsigned char *dest, const unsigned char *src, size_t count) noexcept
    unsigned long long hidma_pair(const unsigned int *words) noexcept
    void hidma_set_pair(unsigned int *words, unsigned long long value) noexcept

cdef inline unsigned char *bytes_of(unsigned char[::1] view) noexcept:
    return &view[0]

cdef inline unsigned int *words_of(unsigned char[::1] view) noexcept:
    return <unsigned int *>&view[0]

cdef inline unsigned int *words_from(unsigned int *words, size_t index) noexcept:
    return words + index

cdef inline int move(unsigned char *memory, size_t dest, size_t src, size_t count) noexcept:
    hidma_move(memory + dest, memory + src, count)
    return 0

cdef inline unsigned long long pair(unsigned int *words, size_t index) noexcept:
    return hidma_pair(words + index)

cdef inline int set_pair(unsigned int *words, size_t index, unsigned long long value) noexcept:
    hidma_set_pair(words + index, value)
    return 0

# Word by word: a wide load right after single words were stored would stall until all of the stores have retired.
cdef inline int move_words(unsigned int *memory, size_t index, volatile unsigned int *words, size_t count) noexcept:
    cdef size_t i
    for i in range(count):
        memory[index + i] = words[i]
    return 0

cdef inline int carry(unsigned char *dest, size_t dest_at, unsigned char *src, size_t src_at, size_t count) noexcept:
    memmove(dest + dest_at, src + src_at, count)
    return 0
