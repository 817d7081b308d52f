# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.sched cimport Cpu

@cython.locals(cpu=Cpu)
cpdef int settle() except -1
