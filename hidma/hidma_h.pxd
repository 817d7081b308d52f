# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux.atomic cimport Atomic, atomic_t
from hidma.linux.device cimport Device, device_t
from hidma.linux.dmaengine cimport (
    DmaAsyncTxDescriptor, DmaChan, DmaDevice, dma_async_tx_descriptor, dma_chan, dma_device)
from hidma.linux.inline cimport face
from hidma.linux.interrupt cimport TaskletStruct, tasklet_struct
from hidma.linux.kfifo cimport Kfifo, kfifo
from hidma.linux.list cimport ListHead, list_head
from hidma.linux.sched cimport no_structure
from hidma.linux.spinlock cimport Spinlock, spinlock_t

cpdef enum:
    TRE_SIZE = 32
    TRE_CFG_IDX = 0
    TRE_LEN_IDX = 1
    TRE_SRC_LOW_IDX = 2
    TRE_SRC_HI_IDX = 3
    TRE_DEST_LOW_IDX = 4
    TRE_DEST_HI_IDX = 5

# no cookie: beyond what an int holds
cdef extern from *:
    const long long NO_COOKIE "(1LL << 32)"

# The C data of the classes below, as far as functions that take pointers use it. Pointers to other structures are those
# that the object holds: they are read here and set through the object.
cdef extern from *:
    struct hidma_tx_status:
        unsigned char err_info
        unsigned char err_code
    struct hidma_tre:
        atomic_t *allocated
        bint queued
        unsigned short status
        unsigned int idx
        unsigned int dma_sig
        void *callback
        void *data
        unsigned int tre_local[9]
        unsigned int tre_index
        unsigned int int_flags
    struct hidma_lldev:
        spinlock_t *lock
    struct hidma_desc:
        dma_async_tx_descriptor *desc
        list_head *node
        unsigned int tre_ch
        bint is_head
        bint freed
    struct hidma_chan:
        bint paused
        bint allocated
        unsigned int dma_sig
        hidma_dev *dmadev
        hidma_desc *running
        dma_chan *chan
        list_head *free
        list_head *prepared
        list_head *active
        list_head *completed
        spinlock_t *lock
    struct hidma_dev:
        unsigned int nr_descriptors
        hidma_lldev *lldev
        dma_device *ddev
        tasklet_struct *task

@cython.final
cdef api class HidmaTxStatus [object hidma_tx_status, type hidma_tx_status_type]:
    cdef public unsigned char err_info
    cdef public unsigned char err_code

@cython.final
cdef api class HidmaTre [object hidma_tre, type hidma_tre_type]:
    cdef readonly Atomic allocated
    cdef public bint queued
    cdef public unsigned short status
    cdef public unsigned int idx
    cdef public unsigned int dma_sig
    cdef public str dev_name
    cdef public object callback
    cdef public object data
    cdef public HidmaLldev lldev
    cdef public unsigned int tre_local[9]
    cdef public unsigned int tre_index
    cdef public unsigned int int_flags
    cpdef int clear(self) except -1

# The arrays are private: their items are of the right type at all times.
@cython.final
cdef api class HidmaLldev [object hidma_lldev, type hidma_lldev_type]:
    cdef public bint initialized
    cdef public unsigned char trch_state
    cdef public unsigned char evch_state
    cdef public unsigned char chidx
    cdef public unsigned int nr_tres
    cdef readonly Spinlock lock
    cdef tuple pool
    cdef public Device dev
    cdef public unsigned long long trca
    cdef public unsigned long long evca
    cdef list pending
    cdef tuple results
    cdef public int pending_tre_count
    cdef public unsigned long long tre_ring
    cdef public unsigned long long tre_ring_handle
    cdef public unsigned int tre_ring_size
    cdef public unsigned int tre_processed_off
    cdef public unsigned long long evre_ring
    cdef public unsigned long long evre_ring_handle
    cdef public unsigned int evre_ring_size
    cdef public unsigned int evre_processed_off
    cdef public unsigned int tre_write_offset
    cdef readonly TaskletStruct task
    cdef readonly Kfifo handoff_fifo

@cython.final
cdef api class HidmaDesc [object hidma_desc, type hidma_desc_type]:
    cdef readonly DmaAsyncTxDescriptor desc
    cdef readonly ListHead node
    cdef public unsigned int tre_ch
    cdef readonly bint is_head
    cdef readonly bint freed
    cpdef int poison(self) except -1

@cython.final
cdef api class HidmaChan [object hidma_chan, type hidma_chan_type]:
    cdef public bint paused
    cdef public bint allocated
    cdef public str dbg_name
    cdef public unsigned int dma_sig
    cdef public object debugfs
    cdef public object stats
    cdef public HidmaDev dmadev
    cdef public HidmaDesc running
    cdef readonly DmaChan chan
    cdef readonly ListHead free
    cdef readonly ListHead prepared
    cdef readonly ListHead active
    cdef readonly ListHead completed
    cdef readonly Spinlock lock

@cython.final
cdef api class HidmaDev [object hidma_dev, type hidma_dev_type]:
    cdef public int irq
    cdef public int chidx
    cdef public unsigned int nr_descriptors
    cdef public HidmaLldev lldev
    cdef public unsigned long long dev_trca
    cdef public object trca_resource
    cdef public unsigned long long dev_evca
    cdef public object evca_resource
    cdef readonly Spinlock lock
    cdef readonly DmaDevice ddev
    cdef public object debugfs
    cdef public object stats
    cdef readonly TaskletStruct task

cdef tuple array_of(object items, tuple types)
cdef int past_array(object items) except -1
cdef int use_after_free(HidmaDesc mdesc) except -1
cdef int submit_freed(dma_async_tx_descriptor *txd) except? -1
