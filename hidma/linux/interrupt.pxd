# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.line cimport Line, LineSink
from hidma.linux cimport sched
from hidma.linux.sched cimport LOCKUP_NS, LOCKUP_ROUNDS, NEVER, Cpu, IrqController

ctypedef int (*irq_handler_t)(int, object) except -1

cdef extern from *:
    struct tasklet_struct:
        int state
        int running
        int count

cpdef enum:
    IRQ_NONE = 0
    IRQ_HANDLED = 1
    IRQF_SHARED = 0x80
    IRQF_TRIGGER_HIGH = 0x4
    IRQF_TRIGGER_MASK = 0xF
    SPURIOUS_ROUNDS = 100000
    SPURIOUS_LIMIT = 99900
    SPURIOUS_NS = 100000000
    MAX_SOFTIRQ_RESTART = 10

@cython.final
cdef class IrqHandler:
    cdef irq_handler_t fn

cdef IrqHandler irq_handler(irq_handler_t fn)

@cython.final
cdef class IrqAction:
    cdef readonly object handler
    cdef IrqHandler pointer
    cdef public int flags
    cdef public str name
    cdef public object dev_id

cdef int call_python(IrqAction action, int irq) except? -1

@cython.final
cdef class IrqDesc(LineSink):
    cdef public int irq
    cdef public Line line
    cdef public list joined
    cdef public list actions
    cdef readonly Cpu cpu
    cdef readonly CpuQueues queues
    cdef public int depth
    cdef public int pulsed
    cdef public int pending
    cdef public long long taken
    cdef public dict elsewhere
    cdef public int rounds
    cdef public int unhandled
    cdef public long long last_unhandled
    cdef public int spurious_disabled
    cdef public int in_progress
    cdef IrqDesc before
    cdef IrqDesc after
    cpdef int update(self) except -1
    cdef inline int wanted(self) except -1
    @cython.locals(line=Line)
    cdef int joined_up(self) except -1
    cpdef int assign(self, Cpu cpu, CpuQueues queues) except -1

cdef int wake(Cpu cpu) except -1

cdef class CpuQueues(IrqController):
    cdef public IrqDesc first
    cdef public IrqDesc last
    cdef public TaskletStruct head
    cdef public TaskletStruct tail
    cdef inline int add(self, IrqDesc desc) except -1
    cdef inline int remove(self, IrqDesc desc) except -1
    cdef int unlink(self, IrqDesc desc) except -1
    cdef inline int add_tasklet(self, TaskletStruct t) except -1
    @cython.locals(t=TaskletStruct)
    cdef inline TaskletStruct next_tasklet(self)
    @cython.locals(desc=IrqDesc, since="long long", rounds=int, served=int, run="long long")
    cpdef int handle(self, Cpu cpu) except -1
    @cython.locals(tasklet=TaskletStruct, last=TaskletStruct, flags=int, left=int, rounds=int, run=int)
    cpdef int softirq(self, Cpu cpu) except -1

cdef class Gic:
    cdef public object kernel
    cdef public dict descs
    cdef public int next_cpu
    cpdef IrqDesc wire(self, int irq, Line line)
    cpdef Cpu assign(self)

cdef int tasklet_event(str what, Cpu cpu) except -1
cpdef int irq_exit(Cpu cpu) except -1
@cython.locals(flags=int, handled=int, died=int, rc=int, action=IrqAction)
cpdef int handle_irq(IrqDesc desc, Cpu cpu) except -1
cdef int irq_died(IrqDesc desc, Cpu cpu) except -1
cdef int irq_event(str what, IrqDesc desc, Cpu cpu) except -1
cpdef int note_interrupt(IrqDesc desc, Cpu cpu, int handled) except -1

@cython.final
cdef api class TaskletStruct [object tasklet_struct, type tasklet_struct_type]:
    cdef public object func
    cdef public object data
    cdef public int state
    cdef public int running
    cdef public int count
    cdef readonly Cpu cpu
    cdef CpuQueues queues
    cdef TaskletStruct next

cpdef int tasklet_init(TaskletStruct t, object func, object data) except -1
cpdef int tasklet_schedule(TaskletStruct t) except -1
@cython.locals(cpu=Cpu)
cdef int tasklet_queue(TaskletStruct t) except -1
cdef int tasklet_move(TaskletStruct t, Cpu cpu) except -1
@cython.locals(cpu=Cpu, since="long long")
cpdef int tasklet_kill(TaskletStruct t) except -1
