# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.clock cimport Clock
from hidma.linux cimport sched
from hidma.linux.sched cimport LOCKUP_NS, NEVER, Cpu, look

cdef extern from *:
    struct spinlock_t:
        int holder
        int ready
        int usage
        int checked

@cython.final
cdef api class Spinlock [object spinlock_t, type spinlock_type]:
    cdef public str name
    cdef public int holder
    cdef public int ready
    cdef public int usage
    cdef public int checked

cdef enum:
    USED_IN_HARDIRQ = 1
    USED_WITH_IRQS_ON = 2
    SPIN_NS = 100

cpdef int spin_lock_init(Spinlock lock) except -1
@cython.locals(usage=int)
cdef int check(Spinlock lock, Cpu cpu, int irqs_on) except -1
@cython.locals(clock=Clock, since="long long", ns="long long", wanted=Spinlock)
cdef int contended(Spinlock lock, Cpu cpu) except -1
cdef int unlocked_by(Spinlock lock, Cpu cpu) except -1
@cython.locals(cpu=Cpu)
cpdef int spin_lock(Spinlock lock) except -1
@cython.locals(cpu=Cpu)
cpdef int spin_unlock(Spinlock lock) except -1
@cython.locals(cpu=Cpu, flags=int)
cpdef int spin_lock_irqsave(Spinlock lock) except -1
@cython.locals(cpu=Cpu)
cpdef int spin_unlock_irqrestore(Spinlock lock, int flags) except -1
