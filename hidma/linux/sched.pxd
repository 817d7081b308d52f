# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.clock cimport Clock, Event, Timeline
from hidma.hw.memory cimport Memory
from hidma.hw.trace cimport Trace

cdef extern from *:
    struct cpu_t:
        void *trace
        int number
        void *windows
        int holds
        unsigned char irqs_off
        int hardirq
        int softirq
        int npending
        int softirq_pending
        int lockdep
        int rounds_left

# above 31 bits: an enum's Python value would be wrong
cdef extern from *:
    long long LOCKUP_NS "20000000000LL"
    long long NEVER "0x7FFFFFFFFFFFFFFFLL"

cpdef enum:
    TASK_RUNNING = 0
    TASK_INTERRUPTIBLE = 1
    TASK_UNINTERRUPTIBLE = 2
    TASK_DEAD = 64
    LOCKUP_ROUNDS = 100000
    MAX_ROUNDS = 1000000
    LOCKUP_LINES = 900
    KSOFTIRQD_NS = 1000
    STOPPED = 1
    CLOSED = 2

cdef class IrqController:
    cpdef int handle(self, Cpu cpu) except -1
    cpdef int softirq(self, Cpu cpu) except -1

cdef api class Cpu(Timeline) [object cpu_t, type cpu_type]:
    cdef public object kernel
    cdef public Trace trace
    cdef public int number
    cdef public list windows
    cdef public Memory memory
    cdef public IrqController controller
    cdef public int holds
    cdef public unsigned char irqs_off
    cdef public int hardirq
    cdef public int softirq
    cdef public int bh_off
    cdef public int npending
    cdef public int softirq_pending
    cdef public int hold_softirq
    cdef public long long tasklets_run
    cdef public int dead
    cdef public int frozen
    cdef public object spins_on
    cdef public int lockdep
    cdef public int rounds_left
    cdef public long long look_time
    cdef public long long line_time
    cdef public long long entry_time
    cdef public set lines_seen
    cdef public int lines_repeated
    cdef public list queue
    cdef public Task idle_task
    cdef public Task current_task
    cdef public Task main_task

cdef class Task:
    cdef public str name
    cdef public Cpu cpu
    cdef public object threadfn
    cdef public object data
    cdef public int state
    cdef public object result
    cdef public int should_stop
    cdef public int stalled
    cdef public TaskWakeup wakeup
    cdef public list waiters
    cdef public object greenlet

cdef class Timer(Event):
    pass

cdef class TaskWakeup(Event):
    cdef public Task task

cdef Cpu this_cpu

cpdef Task current()
cpdef int in_interrupt(Cpu cpu) except -1
cpdef int interrupts(Cpu cpu) except -1
@cython.locals(cpu=Cpu)
cpdef int local_irq_save() except -1
@cython.locals(cpu=Cpu)
cpdef int local_irq_restore(int flags) except -1
cpdef int hardirq_enter(Cpu cpu) except -1
cpdef int hardirq_exit(Cpu cpu) except -1
cpdef int look(Cpu cpu) except -1
@cython.locals(now="long long")
cdef int look_around(Cpu cpu) except -1
@cython.locals(took="long long")
cdef int stuck(Cpu cpu) except -1
cpdef int watch_line(Cpu cpu, str text) except -1
@cython.locals(cpu=Cpu)
cpdef int wake_up_process(Task task) except -1
cpdef int stopped(Cpu cpu) except -1
@cython.locals(main=Task, left=int)
cpdef Task pick(Cpu cpu)
@cython.locals(cpu=Cpu)
cpdef int schedule() except -2
@cython.locals(hardirq=int, softirq=int, irqs_off=int, bh_off=int)
cpdef int schedule_atomic(Cpu cpu) except -2
@cython.locals(me=Task, task=Task)
cpdef int switch_task(Cpu cpu) except -2
@cython.locals(clock=Clock, task=Task)
cpdef Task attach(Cpu cpu, str name)
@cython.locals(clock=Clock, task=Task, idle=Task)
cpdef int detach(Cpu cpu) except -1
cpdef int kill(Task task) except -1
cpdef Cpu running_cpu()
cpdef set_running(Cpu cpu)
@cython.locals(cpu=Cpu)
cpdef int spend(long long ns) except -1
@cython.locals(cpu=Cpu, me=Task, until="long long", left="long long")
cpdef long long schedule_timeout(long long ns) except -1
@cython.locals(cpu=Cpu)
cpdef int cond_resched() except -1
@cython.locals(cpu=Cpu, ns="long long")
cpdef int cpu_relax() except -1
cdef int no_structure() except -1
cdef int sleeping_call(Cpu cpu, str name) except -1
cpdef int wait_here(Cpu cpu, long long since, str what) except -1
