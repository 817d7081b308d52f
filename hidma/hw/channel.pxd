# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.block cimport RegisterBlock
from hidma.hw.cmem cimport words_of
from hidma.hw.bus cimport Bus
from hidma.hw.clock cimport Clock, Event
from hidma.hw.faults cimport *
from hidma.hw.line cimport Line
from hidma.hw.registers cimport *
from hidma.hw.smmu cimport Stream
from hidma.hw.trace cimport Trace

cdef enum:
    NO_STATE = -1
    RESET_CYCLES = 64
    CYCLE_NS = 10
    IDLE = 0
    DATA = 1
    EVENT = 2
    HISTORY_KEPT = 65536

cdef class Channel
cdef class ChannelBlock

cdef class Server(Event):
    cpdef int ready(self, Channel channel) except -1
    cpdef int leave(self, Channel channel) except -1

@cython.final
cdef class ResetDone(Event):
    cdef ChannelBlock block

@cython.final
cdef class LateLine(Event):
    cdef Channel channel

@cython.final
cdef class ChannelBlock(RegisterBlock):
    cdef public Channel channel
    cdef public int is_event
    cdef public int state
    cdef public int command
    cdef public int pending
    cdef public int stuck
    cdef public int dead
    cdef public int watched
    cdef public long long commands_ignored
    cdef public long long resets
    cdef ResetDone done
    cpdef int set_state(self, int state) except -1
    cdef inline int enter(self, int state) except -1
    cdef int trace_state(self, int state) except -1
    cdef int trace_doorbell(self, unsigned int value, int taken) except -1
    @cython.locals(word="unsigned int")
    cdef inline int publish(self) except -1
    @cython.locals(channel=Channel, state=int, taken=int, target=int, place=int)
    cpdef int execute(self, int command) except -1
    @cython.locals(channel=Channel, limit="long long")
    cpdef int reset(self) except -1
    @cython.locals(channel=Channel)
    cpdef int reset_done(self) except -1
    @cython.locals(state=int)
    cdef inline int settle(self) except -1

@cython.final
cdef class Channel:
    cdef public str name
    cdef public int index
    cdef public Clock clock
    cdef public Trace trace
    cdef public Server server
    cdef public Line line
    cdef public Stream stream
    cdef public ChannelBlock trca
    cdef public ChannelBlock evca
    cdef unsigned int *tw
    cdef unsigned int *ew
    cdef public int runs
    cdef public int weight
    cdef public int priority
    cdef public long long reset_limit
    cdef public int queued
    cdef public int credits
    cdef Channel before
    cdef Channel after
    cdef public int may_begin
    cdef public int may_continue
    cdef public unsigned long long tre_base
    cdef public unsigned int tre_len
    cdef public unsigned int tre_next
    cdef public unsigned int tre_end
    cdef public unsigned long long event_base
    cdef public unsigned int event_len
    cdef public unsigned int event_next
    cdef public unsigned int event_read
    cdef public unsigned int doorbell
    cdef public int doorbell_waits
    cdef public unsigned int doorbell_taken
    cdef public unsigned int event_doorbell_taken
    cdef public unsigned int wrong_pointer
    cdef public long long wrong_at
    cdef public int doorbell_bad
    cdef public int stage
    cdef public int flight
    cdef public unsigned int config
    cdef public unsigned int length
    cdef public unsigned long long source
    cdef public unsigned long long dest
    cdef public unsigned int moved
    cdef public unsigned int portion
    cdef public unsigned int portion_reads
    cdef public unsigned int portion_writes
    cdef public long long started
    cdef unsigned int copy_config
    cdef unsigned int fill_config
    cdef public unsigned int status
    cdef public int level
    cdef public int swallowed
    cdef public int again
    cdef LateLine late
    cdef public int armed
    cdef public list rules
    cdef public long long sequence
    cdef public long long first_since_reset
    cdef public long long forgotten
    cdef public list history
    cdef public list epochs
    cdef public long long dropped
    cdef public long long bytes_moved
    cdef public long long read_bursts
    cdef public long long write_bursts
    cdef public long long evres
    cdef public long long irqs
    cdef public long long errors
    cdef public long long stalls
    cdef public long long doorbells_dropped

    @cython.locals(high="unsigned long long", low="unsigned long long")
    cdef inline int latch(self) except -1
    @cython.locals(taken=int)
    cpdef int ring_doorbell(self, unsigned int value) except -1
    @cython.locals(taken=int, length="unsigned int")
    cpdef int event_doorbell(self, unsigned int value) except -1
    cpdef int clear(self, unsigned int causes) except -1
    cpdef int restore(self) except -1
    @cython.locals(block=ChannelBlock)
    cpdef int stop(self) except -1
    @cython.locals(able=int, may_begin=int)
    cpdef int update(self) except -1
    @cython.locals(wants=int)
    cdef int look_for_work(self) except -1
    @cython.locals(following="unsigned int")
    cpdef int full(self) except -1
    cdef inline int change_state(self, int before, int after) except -1
    cdef inline int become_idle(self) except -1
    cdef int save_progress(self, int stage, unsigned int config, unsigned int length, unsigned long long source,
                  unsigned long long dest, unsigned int moved, unsigned int portion, unsigned int reads,
                  unsigned int writes) except -1
    @cython.locals(block=ChannelBlock)
    cpdef int fail(self, long long sequence, unsigned int cause, str text) except -1
    cpdef int drop_transfers(self) except -1
    cpdef int drop_event(self) except -1
    cpdef int cause(self, unsigned int causes) except -1
    cdef int trace_causes(self, unsigned int causes) except -1
    @cython.locals(level=int)
    cpdef int drive(self) except -1
    cdef int line_fault(self) except -1
    cdef int trace_line(self) except -1
    cpdef int spurious(self) except -1
    cpdef int add_rule(self, object rule) except -1
    cpdef int remove_rule(self, object rule) except -1
    cpdef object fault_at(self, int place)
    cpdef int remember(self, long long sequence, long long count, object outcome) except -1
