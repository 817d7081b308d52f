# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.atomic cimport Atomic, atomic_t

ctypedef atomic_t *atomic_p

ctypedef fused atomic_arg:
    Atomic
    atomic_p

cdef inline int atomic_read(atomic_arg v) noexcept:
    return (<atomic_t *>v).counter

cdef inline int atomic_set(atomic_arg v, int i) noexcept:
    (<atomic_t *>v).counter = i
    return 0

cdef inline int atomic_add_unless(atomic_arg v, int a, int u) noexcept:
    cdef atomic_t *counter = <atomic_t *>v
    if counter.counter == u:
        return 0
    counter.counter += a
    return 1
