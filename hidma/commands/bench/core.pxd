# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport HidmaLldev
from hidma.linux.inline cimport Py_TYPE
from hidma.linux.sched cimport no_structure
from hidma.linux.types cimport function
from hidma.ll cimport hidma_ll_queue_request, hidma_ll_request, hidma_ll_set_transfer_params, hidma_ll_start

@cython.final
cdef class Ring:
    cdef public HidmaLldev lldev
    cdef public long long completed
    cpdef int run(self, unsigned long long dest, unsigned long long src, unsigned int length, unsigned int batch, long long rounds, unsigned int slots) except -1

cdef inline int count_one(void *ring) except -1:
    if Py_TYPE(ring) != <void *>Ring:
        no_structure()
    (<Ring>ring).completed = (<Ring>ring).completed + 1
    return 0

@cython.locals(k="unsigned int", i="long long", first="unsigned int", n="unsigned int")
cpdef int push(HidmaLldev lldev, unsigned long long dest, unsigned long long src, unsigned int length, unsigned int batch, long long rounds, unsigned int slots) except -1
cdef int ring_done(void *data) except -1
