# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.channel cimport Channel as HwChannel, ChannelBlock
from hidma.linux.dmaengine cimport DmaAsyncTxDescriptor, DmaChan, dmaengine_prep_dma_memcpy, dmaengine_submit
from hidma.linux.types cimport function

@cython.final
cdef class BatchCounter:
    cdef public long long called
    cdef public int error
    cdef public int cookie
    cdef public int apart
    cdef public DmaAsyncTxDescriptor first
    cdef public DmaAsyncTxDescriptor last

@cython.locals(counter=BatchCounter)
cdef int batch_done(object data) except -1
@cython.locals(tx=DmaAsyncTxDescriptor, cookie=int, before=int, i="long long")
cpdef long long queue_batch(DmaChan chan, BatchCounter counter, const unsigned long long[::1] dests, const unsigned long long[::1] srcs, const unsigned long long[::1] lengths, long long first, long long count) except? -1
@cython.locals(trca=ChannelBlock, evca=ChannelBlock)
cpdef int takes(HwChannel hw) except -1
@cython.locals(i="Py_ssize_t")
cpdef long long out_of_range(const unsigned long long[::1] values, unsigned long long low, unsigned long long high) except? -2
