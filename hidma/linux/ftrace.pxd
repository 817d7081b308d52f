# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu
from hidma.linux.types cimport CFunction

cdef extern from *:
    int unlikely(int)

cdef int on

cpdef int start() except -1
cpdef int stop() except -1
@cython.locals(cpu=Cpu)
cpdef int entered(str name) except -1
@cython.locals(cpu=Cpu)
cpdef int called(object callback) except -1
