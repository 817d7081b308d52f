# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux cimport sched
from hidma.linux.device cimport Device, device_t
from hidma.linux.list cimport ListHead, list_head
from hidma.linux.sched cimport no_structure

cdef extern from *:
    struct dma_tx_state:
        int last
        int used
        unsigned int residue
    struct dma_device:
        device_t *dev
        int chancnt
        list_head *channels
        void *container
    struct dma_chan:
        dma_device *device
        int cookie
        int completed_cookie
        void *container
        list_head *device_node
    struct dma_async_tx_descriptor:
        int cookie
        unsigned long flags
        dma_chan *chan
        void *callback
        void *callback_param
        dma_async_tx_descriptor *next
        void *container

# NULL by its type
cdef extern from *:
    dma_async_tx_descriptor *NO_TX "NULL"

ctypedef int (*chan_fn)(dma_chan *) except? -1
ctypedef dma_async_tx_descriptor *(*memcpy_fn)(dma_chan *, unsigned long long, unsigned long long, unsigned long long, unsigned long) except? NULL
ctypedef int (*status_fn)(dma_chan *, int, dma_tx_state *) except? -1
ctypedef int (*submit_fn)(dma_async_tx_descriptor *) except? -1

cpdef enum:
    DMA_MEMCPY = 0
    DMA_MEMSET = 5
    DMA_INTERRUPT = 7
    DMA_PRIVATE = 9
    DMA_ASYNC_TX = 10
    DMA_SLAVE = 11

    DMA_COMPLETE = 0
    DMA_IN_PROGRESS = 1
    DMA_PAUSED = 2
    DMA_ERROR = 3

    DMA_PREP_INTERRUPT = 1
    DMA_CTRL_ACK = 2

    DMA_MIN_COOKIE = 1
    DMA_MAX_COOKIE = 0x7FFFFFFF
    SYNC_WAIT_MS = 5000

@cython.final
cdef api class DmaTxState [object dma_tx_state, type dma_tx_state_type]:
    cdef public int last
    cdef public int used
    cdef public unsigned int residue

cdef int unset_chan_op(dma_chan *chan) except? -1
cdef dma_async_tx_descriptor *unset_memcpy_op(dma_chan *chan, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags) except? NULL
cdef int unset_status_op(dma_chan *chan, int cookie, dma_tx_state *state) except? -1
cdef int unset_submit_op(dma_async_tx_descriptor *tx) except? -1

@cython.final
cdef api class DmaDevice [object dma_device, type dma_device_type]:
    cdef public Device dev
    cdef public int dev_id
    cdef public int chancnt
    cdef public int privatecnt
    cdef readonly ListHead channels
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
cdef api class DmaChan [object dma_chan, type dma_chan_type]:
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
    cdef readonly ListHead device_node
    cdef public object slave
    cdef object __weakref__

@cython.final
cdef api class DmaAsyncTxDescriptor [object dma_async_tx_descriptor, type dma_async_tx_descriptor_type]:
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

cdef inline dma_chan *data_of(DmaChan chan) noexcept:
    return <dma_chan *>chan

cdef inline dma_async_tx_descriptor *tx_data_of(DmaAsyncTxDescriptor tx) noexcept:
    return <dma_async_tx_descriptor *>tx

# NULL for None
cdef inline dma_tx_state *state_data_of(DmaTxState state) noexcept:
    return NULL if state is None else <dma_tx_state *>state

# None for NULL
cdef inline object face(void *structure):
    return None if structure == NULL else <object>structure

cpdef int dma_cookie_init(DmaChan chan) except -1
@cython.locals(chan=DmaChan, cookie=int)
cpdef int dma_cookie_assign(DmaAsyncTxDescriptor tx) except? -1
@cython.locals(chan=DmaChan)
cpdef int dma_cookie_complete(DmaAsyncTxDescriptor tx) except -1
cdef int cookie_not_in_use() except -1
cpdef int dma_async_is_complete(int cookie, int last_complete, int last_used) noexcept
@cython.locals(used=int, complete=int)
cpdef int dma_cookie_status(DmaChan chan, int cookie, DmaTxState state) except? -1
cpdef int dma_async_tx_descriptor_init(DmaAsyncTxDescriptor tx, DmaChan chan) except -1
cpdef int dma_run_dependencies(DmaAsyncTxDescriptor tx) except? -1
@cython.locals(dep=DmaAsyncTxDescriptor, after=DmaAsyncTxDescriptor, chan=DmaChan)
cdef int run_dependencies(DmaAsyncTxDescriptor tx) except? -1
cpdef int dma_descriptor_unmap(DmaAsyncTxDescriptor tx) except -1
@cython.locals(device=DmaDevice, rc=int)
cpdef int dma_chan_get(DmaChan chan) except? -1
@cython.locals(device=DmaDevice)
cpdef int dma_chan_put(DmaChan chan) except? -1
cdef DmaDevice device_of(DmaChan chan)
@cython.locals(device=DmaDevice)
cpdef DmaAsyncTxDescriptor dmaengine_prep_dma_memcpy(DmaChan chan, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags)
cpdef int dmaengine_submit(DmaAsyncTxDescriptor tx) except? -1
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
