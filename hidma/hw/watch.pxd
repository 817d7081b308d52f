# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.channel cimport NO_STATE, Channel, ChannelBlock
from hidma.hw.clock cimport FOREVER, Clock
from hidma.hw.cmem cimport words_of
from hidma.hw.faults cimport *
from hidma.hw.management cimport ManagementBlock
from hidma.hw.realtime cimport exchange, fence, monotonic_ns, sleep_ns
from hidma.hw.registers cimport *

cpdef enum:
    IDLE_NS = 500000
    GRACE_NS = 500000

cdef enum:
    SPIN_NS = 40000
    NEAR_NS = 3000000
    FAR_NS = 50000000
    PAUSE_NS = 15000
    WAIT_NS = 100000
    SHARE = 30
    PIECE_NS = 200000
    ERRORS = CAUSE_EVENT_WRITE | CAUSE_TRE_READ | CAUSE_DATA_READ | CAUSE_DATA_WRITE | CAUSE_INVALID_TRE

@cython.final
cdef class WatchedChannel:
    cdef public Channel channel
    cdef public ChannelBlock trca
    cdef public ChannelBlock evca
    cdef unsigned int *tw
    cdef unsigned int *ew
    cdef unsigned int doorbell_seen
    cdef unsigned int event_doorbell_seen
    cdef unsigned int enabled
    cdef unsigned int delivery
    cdef long long trca_resets
    cdef long long evca_resets
    cdef long long remind_at
    cdef long long reminded
    cdef list quiet
    cdef public dict commands
    cdef public long long doorbells
    cdef public long long event_doorbells
    cdef public long long clears
    cdef public long long reminders
    cdef public long long repaired
    cdef public long long idle_resets
    @cython.locals(channel=Channel, trca=ChannelBlock, evca=ChannelBlock, tw=cython.p_uint, ew=cython.p_uint, seen=int,
                   word="unsigned int", pointer="unsigned int")
    cpdef int look(self, long long now) except -1
    @cython.locals(w=cython.p_uint, word="unsigned int", command="unsigned int")
    cdef int command(self, ChannelBlock block) except -1
    @cython.locals(channel=Channel)
    cdef int clear(self, unsigned int causes, long long now) except -1
    @cython.locals(channel=Channel, waiting="unsigned int")
    cdef int raise_eob_again(self) except -1
    @cython.locals(block=ChannelBlock, number=int, offset="unsigned int", word="unsigned int")
    cdef int trace_ring_registers(self) except -1
    cdef int trace_write(self, ChannelBlock block, unsigned int offset, unsigned int word) except -1

@cython.final
cdef class WatchedManagement:
    cdef public ManagementBlock block
    cdef int channels
    cdef object shadow
    cdef unsigned int *w
    cdef unsigned int *s
    cdef public long long writes
    @cython.locals(w=cython.p_uint, s=cython.p_uint, seen=int, number=int, index=int)
    cpdef int look(self) except -1
    @cython.locals(block=ManagementBlock, value="unsigned int")
    cdef int changed(self, unsigned int hook, unsigned int offset) except -1

@cython.final
cdef class Watcher:
    cdef public object core
    cdef public Clock clock
    cdef public WatchedManagement management
    cdef public list channels
    cdef public long long looks
    cdef public long long slept_ns
    cdef public long long cost_ns
    cdef public long long active_at
    cdef public long long start
    @cython.locals(seen=int, channel=WatchedChannel)
    cpdef int look(self, long long now) except -1
    @cython.locals(clock=Clock, due="long long", piece="long long")
    cdef int advance(self, long long time) except -1
    @cython.locals(seen="long long", now="long long", end="long long", after="long long", idle="long long",
                   pause="long long")
    cpdef long long run(self, long long ns) except? 0xDEADBEEF
    @cython.locals(due="long long", channel=WatchedChannel)
    cdef int sleep(self, long long now, long long end, long long pause) except -1
