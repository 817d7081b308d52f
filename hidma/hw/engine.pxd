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
    cdef public long long tre_ns
    cdef public long long burst_ns
    cdef public long long byte_fs
    cdef public int timed
    cpdef int set_bus(self, long long read_len, long long write_len, long long read_count, long long write_count) except -1
    cpdef int grant(self, long long count) except -1
    @cython.locals(m=cython.p_uint, tw=cython.p_uint, ew=cython.p_uint, stream=Stream, base="unsigned long long",
                   size="unsigned long long", special=int, tre_base="unsigned long long", tre_next="unsigned int",
                   tre_end="unsigned int", tre_len="unsigned int", tre_at="unsigned long long",
                   tre_all="unsigned int", tre_stop="unsigned int", event_at="unsigned long long", event_all="unsigned int",
                   event_stop="unsigned int", single="unsigned int", event_base="unsigned long long",
                   event_next="unsigned int", event_len="unsigned int", event_read="unsigned int", event_good=int, plain=int,
                   copying="unsigned int", stage=int, length="unsigned int", source="unsigned long long",
                   dest="unsigned long long", moved="unsigned int", config="unsigned int", address="unsigned long long",
                   at="long long", to="long long", i="long long", n="unsigned int",
                   reads="unsigned int", writes="unsigned int", cost="long long", following="unsigned int", timed=int,
                   reads_left="long long", writes_left="long long", result="long long", done="long long",
                   bytes_moved="long long", read_bursts="long long", write_bursts="long long")
    cpdef long long run(self, Channel channel) except? 0xDEADBEEF
    @cython.locals(m=cython.p_uint, b=cython.p_uchar, base="unsigned long long", room="unsigned long long", copying="unsigned int",
                   mask="unsigned int", i="size_t", k="size_t", first="size_t", last="size_t", done="unsigned int",
                   length="unsigned long long", bytes_moved="long long", at="unsigned long long",
                   dest="unsigned long long", to="unsigned long long")
    cdef unsigned int run_through(self, Channel channel, unsigned long long tre_at, unsigned long long event_at,
                                  unsigned int count, unsigned int single) noexcept
    cdef int rouses(self, Channel channel) noexcept
    cdef int refuse_doorbell(self, Channel channel) except -1
    @cython.locals(m=cython.p_uint, i="long long")
    cdef int fetch_fails(self, Channel channel, unsigned long long address, long long at) except -1
    cdef int stall(self, Channel channel) except -1
    cdef int event_fails(self, Channel channel, unsigned long long address, long long at) except -1
    @cython.locals(m=cython.p_uint, code="unsigned int", info="unsigned int")
    cdef int event_written(self, Channel channel, unsigned int offset, long long i) except -1
    @cython.locals(left="long long", kind="unsigned int", n="long long", filling=int, reads="long long",
                   writes="long long", unit="long long", room="long long")
    cdef int cut(self, Channel channel) except -1
    @cython.locals(bursts="long long")
    cdef long long cost(self, Channel channel) except? 0xDEADBEEF
    @cython.locals(done="long long", piece="long long")
    cdef int fill(self, unsigned long long pattern, unsigned long long moved, long long to, long long count) except -1
    @cython.locals(count="long long", filling=int, to="long long", at="long long", overlaps=int)
    cdef int carry_out(self, Channel channel) except -1
    @cython.locals(got="long long", put="long long", reads="long long", writes="long long", want="long long",
                   n="long long", k="long long", pattern="unsigned long long", injected=int,
                   address="unsigned long long")
    cdef int one_by_one(self, Channel channel, long long count, int filling) except -1
    @cython.locals(stream=Stream, good="long long", done="long long", piece="long long", where="long long")
    cdef int burst(self, Channel channel, unsigned long long address, long long count, long long at,
                   unsigned int need) except -1
    cdef int broken(self, Channel channel, long long put, long long reads, long long writes, unsigned int cause,
                    unsigned long long address) except -1
    @cython.locals(kind="unsigned int", target="unsigned int")
    cdef str complaint(self, Channel channel)
    @cython.locals(now="long long", start="long long", number="long long", moved="unsigned long long")
    cdef int tell(self, Channel channel, long long count) except -1
