# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu
from hidma.linux.types cimport CFunction

# each module that cimports this one has an int of its own: the test of one costs less than a look into another module
cdef extern from *:
    """
    static int hidma_ftrace_on;
    """
    int here "hidma_ftrace_on"
    int unlikely(int)

@cython.locals(cpu=Cpu)
cpdef int entered(str name) except -1
@cython.locals(cpu=Cpu)
cpdef int called(object callback) except -1
