# SPDX-License-Identifier: GPL-2.0-only
cimport cython

cdef extern from "Python.h":
    void *PyList_GET_ITEM(void *, Py_ssize_t) noexcept
    Py_ssize_t PyList_GET_SIZE(void *) noexcept

cdef enum:
    STALE_KEPT = 256

cdef extern from *:
    long long FOREVER "0x7FFFFFFFFFFFFFFFLL"

cdef class Event:
    cdef public long long armed
    cdef public long long time
    cpdef int fire(self) except -1

cdef class Timeline:
    cdef public Clock clock
    cdef public int rank
    cdef public long long time
    cdef public int runnable
    cdef public int gone
    cdef public object greenlet
    cpdef int resumed(self) except -1

@cython.final
cdef class Clock:
    cdef public long long now
    cdef public long long horizon
    cdef public long long sequence
    cdef public Event soon
    cdef public long long later
    cdef Event first
    cdef long long first_armed
    cdef public list events
    cdef list _timelines
    cdef public Timeline current
    cdef public Timeline main
    cdef public int stalled
    cdef public int firing
    cdef public long long stale

    cpdef int schedule(self, Event event, long long time) except -1
    cpdef int cancel(self, Event event) except -1
    cdef int push(self, Event event) except -1
    @cython.locals(entry=tuple)
    cdef Event pop(self)
    cdef int note_first(self) except -1
    @cython.locals(live=list, entry=tuple, event=Event)
    cpdef int compact(self) except -1
    cpdef long long next_event(self) except? 0xDEADBEEF
    cdef inline long long upcoming(self) except? 0xDEADBEEF
    cdef int drop_stale(self) except -1
    @cython.locals(event=Event)
    cpdef int fire_next(self) except -1
    cpdef int add(self, Timeline timeline) except -1
    cpdef int remove(self, Timeline timeline) except -1
    cpdef int kick(self, Timeline timeline) except -1
    @cython.locals(best=Timeline, timeline=Timeline)
    cpdef Timeline behind(self, Timeline me)
    cpdef int tick(self, long long ns) except -1
    @cython.locals(me=Timeline, other=Timeline, event_time="long long", other_time="long long")
    cpdef int sync(self) except -1
    @cython.locals(other=Timeline, event_time="long long")
    cpdef int idle(self, Timeline me) except -2
    @cython.locals(me=Timeline)
    cpdef int switch(self, Timeline other) except -1
    cpdef int advance(self, long long time) except -1

# The list holds timelines only: Clock.add() is the one place that puts something in. The pointers borrow the references that
# clock and list hold, which typed variables would count at each call.
cdef inline long long earliest(Clock clock, Timeline me) noexcept:
    cdef long long time = FOREVER
    cdef void *timelines = <void *>clock._timelines
    cdef void *line
    cdef Py_ssize_t i
    if timelines != <void *>None:
        for i in range(PyList_GET_SIZE(timelines)):
            line = PyList_GET_ITEM(timelines, i)
            if (<Timeline>line).runnable and (<Timeline>line).time < time and line != <void *>me:
                time = (<Timeline>line).time
    return time
