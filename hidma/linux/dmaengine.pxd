# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.device cimport Device
from hidma.linux.list cimport INIT_LIST_HEAD, ListHead

ctypedef int (*chan_fn)(DmaChan) except? -1
ctypedef DmaAsyncTxDescriptor (*memcpy_fn)(DmaChan, unsigned long long, unsigned long long, unsigned long long, unsigned long)
ctypedef int (*status_fn)(DmaChan, int, DmaTxState) except? -1
ctypedef int (*submit_fn)(DmaAsyncTxDescriptor) except? -1

@cython.final
cdef class DmaTxState:
    cdef public int last
    cdef public int used
    cdef public unsigned int residue

cdef int unset_chan_op(DmaChan chan) except? -1
cdef DmaAsyncTxDescriptor unset_memcpy_op(DmaChan chan, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags)
cdef int unset_status_op(DmaChan chan, int cookie, DmaTxState state) except? -1
cdef int unset_submit_op(DmaAsyncTxDescriptor tx) except? -1

@cython.final
cdef class DmaDevice:
    cdef public Device dev
    cdef public int dev_id
    cdef public int chancnt
    cdef public int privatecnt
    cdef public ListHead channels
    cdef public unsigned long cap_mask
    cdef public int copy_align
    cdef public object container
    cdef chan_fn device_alloc_chan_resources
    cdef chan_fn device_free_chan_resources
    cdef memcpy_fn device_prep_dma_memcpy
    cdef status_fn device_tx_status
    cdef chan_fn device_issue_pending
    cdef chan_fn device_pause
    cdef chan_fn device_resume
    cdef chan_fn device_terminate_all
    cdef object __weakref__

@cython.final
cdef class DmaChan:
    cdef public DmaDevice device
    cdef public int cookie
    cdef public int completed_cookie
    cdef public int chan_id
    cdef public int client_count
    cdef public int table_count
    cdef public long long memcpy_count
    cdef public long long bytes_transferred
    cdef public str name
    cdef public object container
    cdef public ListHead device_node
    cdef public object slave
    cdef object __weakref__

@cython.final
cdef class DmaAsyncTxDescriptor:
    cdef public int cookie
    cdef public unsigned long flags
    cdef public unsigned long long phys
    cdef public DmaChan chan
    cdef public object callback
    cdef public object callback_param
    cdef public object unmap
    cdef public DmaAsyncTxDescriptor next
    cdef public object container
    cdef submit_fn tx_submit

cpdef int dma_cookie_init(DmaChan chan) except -1
@cython.locals(chan=DmaChan, cookie=int)
cpdef int dma_cookie_assign(DmaAsyncTxDescriptor tx) except? -1  # struct inline
@cython.locals(chan=DmaChan)
cpdef int dma_cookie_complete(DmaAsyncTxDescriptor tx) except -1  # struct inline
cpdef int dma_async_is_complete(int cookie, int last_complete, int last_used) noexcept
@cython.locals(used=int, complete=int)
cpdef int dma_cookie_status(DmaChan chan, int cookie, DmaTxState state) except? -1
cpdef int dma_async_tx_descriptor_init(DmaAsyncTxDescriptor tx, DmaChan chan) except -1
cpdef int dma_run_dependencies(DmaAsyncTxDescriptor tx) except? -1  # struct inline
@cython.locals(dep=DmaAsyncTxDescriptor, after=DmaAsyncTxDescriptor, chan=DmaChan)
cdef int run_dependencies(DmaAsyncTxDescriptor tx) except? -1
cpdef int dma_descriptor_unmap(DmaAsyncTxDescriptor tx) except -1
@cython.locals(device=DmaDevice, rc=int)
cpdef int dma_chan_get(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int dma_chan_put(DmaChan chan) except? -1
cpdef DmaAsyncTxDescriptor dmaengine_prep_dma_memcpy(DmaChan chan, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags)  # inline
cpdef int dmaengine_submit(DmaAsyncTxDescriptor tx) except? -1  # inline
@cython.locals(device=DmaDevice)
cpdef int dma_async_issue_pending(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int dmaengine_tx_status(DmaChan chan, int cookie, DmaTxState state) except? -1
cpdef int dma_async_is_tx_complete(DmaChan chan, int cookie) except? -1
@cython.locals(device=DmaDevice)
cpdef int dmaengine_pause(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int dmaengine_resume(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int dmaengine_terminate_all(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int alloc_chan_resources(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int free_chan_resources(DmaChan chan) except? -1
cdef int _register(DmaDevice device) except? -1
