# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux cimport sched
from hidma.linux.inline cimport there
from hidma.linux.sched cimport cpu_t, look
from hidma.linux.spinlock cimport Spinlock, check, contended, spinlock_t, unlocked_by

ctypedef spinlock_t *spinlock_p

ctypedef fused lock_arg:
    Spinlock
    spinlock_p

cdef inline int spin_lock_irqsave(lock_arg given) except -1:
    cdef spinlock_t *lock = <spinlock_t *>given
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef int flags
    if lock_arg is Spinlock:
        there(lock)
    flags = cpu.irqs_off
    cpu.irqs_off = 1
    if lock.holder | cpu.lockdep:
        if lock.holder:
            contended(<Spinlock>lock, sched.this_cpu)
        # taken in the same context once more, it has nothing new to say
        if cpu.lockdep and lock.checked != cpu.hardirq + 1:
            check(<Spinlock>lock, sched.this_cpu, 0)
    lock.holder = cpu.holds
    return flags

cdef inline int spin_unlock_irqrestore(lock_arg given, int flags) except -1:
    cdef spinlock_t *lock = <spinlock_t *>given
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    if lock_arg is Spinlock:
        there(lock)
    if lock.holder != cpu.holds:
        unlocked_by(<Spinlock>lock, sched.this_cpu)
    lock.holder = 0
    cpu.irqs_off = flags
    cpu.rounds_left -= 1
    if cpu.rounds_left < 0:
        look(sched.this_cpu)
    return 0
