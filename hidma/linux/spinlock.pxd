# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.clock cimport Clock
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu, look

@cython.final
cdef class Spinlock:
    cdef public str name
    cdef public int holder
    cdef public int ready
    cdef public int usage
    cdef public int checked

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
cpdef int spin_lock_irqsave(Spinlock lock) except -1  # struct inline
@cython.locals(cpu=Cpu)
cpdef int spin_unlock_irqrestore(Spinlock lock, int flags) except -1  # struct inline
