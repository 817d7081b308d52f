# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux.dmaengine cimport DmaAsyncTxDescriptor, DmaChan, dmaengine_prep_dma_memcpy, dmaengine_submit
from hidma.linux.types cimport function

@cython.final
cdef class BatchCounter:
    cdef public long long called
    cdef public long long wanted

@cython.locals(counter=BatchCounter)
cdef int batch_done(object data) except -1
@cython.locals(tx=DmaAsyncTxDescriptor, cookie=int, i="long long")
cpdef long long queue_batch(DmaChan chan, BatchCounter counter, unsigned long long[::1] dests, unsigned long long[::1] srcs, unsigned long long[::1] lengths, long long first, long long count) except? -1
