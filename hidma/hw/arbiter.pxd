# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.block cimport ACCESS_NS
from hidma.hw.bus cimport Bus
from hidma.hw.channel cimport Channel, Server
from hidma.hw.clock cimport Clock, earliest
from hidma.hw.engine cimport OVER, Engine

cdef enum:
    GRANTS_AT_ONCE = 256
    GRANTS_ALONE = 64

@cython.final
cdef class Queue:
    cdef Channel first
    cdef Channel last
    cdef inline int append(self, Channel channel) except -1
    cdef inline int remove(self, Channel channel) except -1

@cython.final
cdef class Arbiter(Server):
    cdef public Clock clock
    cdef public Engine engine
    cdef Queue low
    cdef Queue high
    cdef public Channel busy
    cdef inline int unlink(self, Channel channel) except -1
    @cython.locals(queue=Queue)
    cpdef int set_share(self, Channel channel, int priority, int weight) except -1
    @cython.locals(engine=Engine, turns=int, grants=int, channel=Channel, cost="long long", time="long long", queue=Queue)
    cdef int serve(self) except -1
    @cython.locals(clock=Clock)
    cdef int nothing_before(self, long long time) except -1
