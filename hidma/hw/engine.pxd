# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.bus cimport Bus
from hidma.hw.channel cimport DATA, EVENT, IDLE, Channel
from hidma.hw.clock cimport Clock
from hidma.hw.cmem cimport bytes_of, carry, move, pair, set_pair
from hidma.hw.faults cimport *
from hidma.hw.memory cimport Memory
from hidma.hw.registers cimport *
from hidma.hw.smmu cimport GRANULE, READ, TRANSLATED, WRITE, Stream
from hidma.hw.trace cimport Trace

cdef enum:
    OVER = 0
    NOTHING = -2
    SMALLEST_BURST = 128
    STAGING = 131072

cdef extern from *:
    unsigned long long ALL_BITS "0xFFFFFFFFFFFFFFFFULL"

@cython.final
cdef class Engine:
    cdef public Clock clock
    cdef public Trace trace
    cdef public Memory memory
    cdef unsigned char *ram
    cdef unsigned int *ram_words
    cdef object staging_of
    cdef unsigned char *staging
    cdef public object timing
    cdef public long long read_len
    cdef public long long write_len
    cdef public long long read_count
    cdef public long long write_count
    cdef public long long reads
    cdef public long long writes
    cdef int injected
    cdef unsigned int single
    cdef int checked
    cdef int plain
    cdef unsigned long long data_base
    cdef unsigned long long data_size
    cdef unsigned long long tre_at
    cdef unsigned int tre_all
    cdef unsigned int tre_stop
    cdef unsigned long long event_at
    cdef unsigned int event_all
    cdef unsigned int event_stop
    cdef int event_usable
    cdef public long long tre_ns
    cdef public long long burst_ns
    cdef public long long byte_fs
    cdef public int timed
    cpdef int set_bus(self, long long read_len, long long write_len, long long read_count, long long write_count) except -1
    cpdef int grant(self, long long count) except -1
    @cython.locals(ns="long long")
    cpdef long long run(self, Channel channel) except? 0xDEADBEEF
    @cython.locals(base="unsigned long long", size="unsigned long long", at="unsigned long long")
    cdef inline int locate_rings(self, Channel channel) except -1
    @cython.locals(m=cython.p_uint, tre_next="unsigned int", at="long long", i="size_t")
    cdef inline int fetch(self, Channel channel) except -1
    @cython.locals(tre_next="unsigned int")
    cdef inline void advance_tre(self, Channel channel, unsigned int count) noexcept
    @cython.locals(event_next="unsigned int")
    cdef inline void advance_event(self, Channel channel, unsigned int count) noexcept
    @cython.locals(m=cython.p_uint, event_next="unsigned int", following="unsigned int", at="long long", i="size_t")
    cdef inline int write_event(self, Channel channel) except -1
    @cython.locals(tre_next="unsigned int", event_next="unsigned int", stop="unsigned int", n="unsigned int")
    cdef inline unsigned int plain_in_row(self, Channel channel) noexcept
    @cython.locals(m=cython.p_uint, b=cython.p_uchar, base="unsigned long long", single="unsigned int",
                   last_start="unsigned long long", first="size_t", mask="unsigned int", copying="unsigned int",
                   last="size_t", i="size_t", k="size_t", bytes_moved="long long", length="unsigned long long",
                   at="unsigned long long", dest="unsigned long long", to="unsigned long long", n="unsigned int")
    cdef inline unsigned int copy_plain(self, Channel channel) noexcept
    cdef inline int raises_eob(self, Channel channel) noexcept
    cdef int fail_doorbell(self, Channel channel) except -1
    @cython.locals(m=cython.p_uint, i="long long")
    cdef int check_fetch(self, Channel channel, unsigned long long address, long long at) except -1
    cdef int stall(self, Channel channel) except -1
    cdef int check_event(self, Channel channel, unsigned long long address, long long at) except -1
    @cython.locals(m=cython.p_uint, code="unsigned int", info="unsigned int")
    cdef int after_event(self, Channel channel, unsigned int offset, long long i) except -1
    @cython.locals(left="long long", kind="unsigned int", n="long long", reads="long long", writes="long long",
                   unit="long long", most="long long")
    cdef inline void plan_portion(self, Channel channel) noexcept
    @cython.locals(bursts="long long")
    cdef inline long long begin_portion(self, Channel channel, long long ns) except? 0xDEADBEEF
    @cython.locals(done="long long", piece="long long")
    cdef int fill(self, unsigned long long pattern, unsigned long long moved, long long to, long long count) except -1
    @cython.locals(n="unsigned int", size="unsigned long long", to="unsigned long long", at="unsigned long long")
    cdef inline int move_portion(self, Channel channel) except -1
    @cython.locals(count="long long", filling=int, to="long long", at="long long", overlaps=int)
    cdef int move_checked(self, Channel channel) except -1
    @cython.locals(got="long long", put="long long", reads="long long", writes="long long", want="long long",
                   n="long long", k="long long", pattern="unsigned long long", injected=int,
                   address="unsigned long long")
    cdef int move_by_bursts(self, Channel channel, long long count, int filling) except -1
    @cython.locals(stream=Stream, good="long long", done="long long", piece="long long", where="long long")
    cdef int burst(self, Channel channel, unsigned long long address, long long count, long long at,
                   unsigned int need) except -1
    cdef int fail_burst(self, Channel channel, long long put, long long reads, long long writes, unsigned int cause,
                    unsigned long long address) except -1
    @cython.locals(kind="unsigned int", target="unsigned int")
    cdef str describe_invalid(self, Channel channel)
    @cython.locals(now="long long", start="long long", number="long long", moved="unsigned long long")
    cdef int trace_bursts(self, Channel channel, long long count) except -1
