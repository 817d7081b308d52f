# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport HidmaChan
from hidma.hw.channel cimport Channel as HwChannel, ChannelBlock
from hidma.hw.registers cimport ENABLED, RUNNING
from hidma.linux cimport sched
from hidma.linux.dmaengine cimport (
    DMA_COMPLETE, NO_TX, DmaAsyncTxDescriptor, DmaChan, data_of, dma_async_is_tx_complete, dma_async_tx_descriptor, dma_chan)
from hidma.linux.dmaengine_inline cimport (
    dma_async_issue_pending, dmaengine_prep_dma_memcpy, dmaengine_submit, set_callback)
from hidma.linux.inline cimport Py_TYPE, face
from hidma.linux.types cimport CFunction, function
from hidma.machine.running cimport Interrupts

@cython.final
cdef class BatchCounter:
    cdef public long long called

cdef enum:
    FLAGS = 3
    CODE_COMPLETE = 1
    FAILURES_KEPT = 100
    NONE_BEFORE = -2

cdef int no_counter(object data) except -1
cdef inline int count_one(void *counter) except -1:
    if Py_TYPE(counter) != <void *>BatchCounter:
        return no_counter(<object>counter)
    (<BatchCounter>counter).called = (<BatchCounter>counter).called + 1
    return 0
cdef int batch_done(void *data) except -1
cdef CFunction on_done

@cython.locals(trca=ChannelBlock, evca=ChannelBlock)
cpdef int takes(HwChannel hw) except -1
cpdef int has_descriptor(HidmaChan mchan) except -1

@cython.final
cdef class BatchPart:
    cdef public long long offset
    cdef public long long count
    cdef public long long cookie
    cdef public long long sequence
    cdef public long long epoch
    cdef public long long last
    cpdef int drop(self, long long count) except -1

@cython.final
cdef class Batch:
    cdef readonly object channel
    cdef readonly long long total
    cdef readonly long long accepted
    cdef readonly object ends
    cdef readonly list failures
    cdef readonly BatchCounter counter
    cdef const unsigned long long[::1] _dests
    cdef const unsigned long long[::1] _srcs
    cdef const unsigned long long[::1] _lengths
    cdef DmaChan _chan
    cdef HidmaChan _mchan
    cdef HwChannel _hw
    cdef list _open
    cdef long long _known
    cdef public bint _oops
    cdef int _error
    cdef int _apart
    cdef DmaAsyncTxDescriptor _first
    cdef DmaAsyncTxDescriptor _last
    cdef int _cookie
    cdef int _last_cookie
    cdef dict __dict__
    cdef object __weakref__

    @cython.locals(i="long long", bits="unsigned long long")
    cdef long _wrong_length(self) except? -2
    @cython.locals(interrupts=Interrupts)
    cpdef int _submit(self) except -1
    @cython.locals(before="long long", taken="long long")
    cdef int _round(self, object settle) except -1
    @cython.locals(part=BatchPart)
    cdef int _goes_on(self, long long taken, long long before) except -1
    cdef int _begin(self, long long taken, long long before) except -1
    @cython.locals(new="long long")
    cdef int _tell(self) except -1
    @cython.locals(part=BatchPart, i="long long", length="unsigned long long")
    cpdef bint _uses(self, unsigned long long low, unsigned long long high) except -1
    @cython.locals(part=BatchPart, count="long long")
    cpdef bint _settle(self) except -1
    cdef bint _by_outcome(self, BatchPart part, long long count, bint final) except -1
    cdef int _count(self, str end, long long first, long long number, str text) except -1

cdef int reaches(unsigned long long start, unsigned long long length, unsigned long long low, unsigned long long high) except -1
@cython.locals(chan="dma_chan *", counter=BatchCounter, done=CFunction, dests="const unsigned long long[::1]",
               srcs="const unsigned long long[::1]", lengths="const unsigned long long[::1]", tx="dma_async_tx_descriptor *",
               last="dma_async_tx_descriptor *", first="long long", end="long long", i="long long", cookie=int, before=int)
cdef long queue_batch(Batch batch) except? -1
