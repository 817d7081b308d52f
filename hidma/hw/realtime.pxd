# SPDX-License-Identifier: GPL-2.0-only
# The C side of realtime.py: inline functions only, which Cython compiles into the modules that cimport them.
cdef extern from *:
    """
    #include <time.h>
    static inline long long hidma_monotonic_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    static inline void hidma_sleep_ns(long long ns) {
        struct timespec t = {ns / 1000000000LL, ns % 1000000000LL};
        nanosleep(&t, 0);
    }
    static inline unsigned int hidma_exchange(unsigned int *word, unsigned int value) {
        return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    }
    static inline void hidma_fence(void) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    """
    long long hidma_monotonic_ns() noexcept nogil
    void hidma_sleep_ns(long long ns) noexcept nogil
    unsigned int hidma_exchange(unsigned int *word, unsigned int value) noexcept nogil
    void hidma_fence() noexcept nogil

cdef inline long long monotonic_ns() noexcept:
    return hidma_monotonic_ns()

cdef inline int sleep_ns(long long ns) noexcept:
    with nogil:
        hidma_sleep_ns(ns)
    return 0

cdef inline unsigned int exchange(unsigned int *words, size_t index, unsigned int value) noexcept:
    return hidma_exchange(words + index, value)

cdef inline int fence() noexcept:
    hidma_fence()
    return 0
