# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux.atomic cimport Atomic
from hidma.linux.device cimport Device
from hidma.linux.dmaengine cimport DmaAsyncTxDescriptor, DmaChan, DmaDevice
from hidma.linux.interrupt cimport TaskletStruct
from hidma.linux.kfifo cimport Kfifo
from hidma.linux.list cimport ListHead
from hidma.linux.spinlock cimport Spinlock

@cython.final
cdef class HidmaTxStatus:
    cdef public unsigned char err_info
    cdef public unsigned char err_code

@cython.final
cdef class HidmaTre:
    cdef public Atomic allocated
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

@cython.final
cdef class HidmaLldev:
    cdef public bint initialized
    cdef public unsigned char trch_state
    cdef public unsigned char evch_state
    cdef public unsigned char chidx
    cdef public unsigned int nr_tres
    cdef public Spinlock lock
    cdef public list trepool
    cdef public Device dev
    cdef public unsigned long long trca
    cdef public unsigned long long evca
    cdef public list pending_tre_list
    cdef public list tx_status_list
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
    cdef public TaskletStruct task
    cdef public Kfifo handoff_fifo

@cython.final
cdef class HidmaDesc:
    cdef public DmaAsyncTxDescriptor desc
    cdef public ListHead node
    cdef public unsigned int tre_ch

@cython.final
cdef class HidmaChan:
    cdef public bint paused
    cdef public bint allocated
    cdef public str dbg_name
    cdef public unsigned int dma_sig
    cdef public object debugfs
    cdef public object stats
    cdef public HidmaDev dmadev
    cdef public HidmaDesc running
    cdef public DmaChan chan
    cdef public ListHead free
    cdef public ListHead prepared
    cdef public ListHead active
    cdef public ListHead completed
    cdef public Spinlock lock

@cython.final
cdef class HidmaDev:
    cdef public int irq
    cdef public int chidx
    cdef public unsigned int nr_descriptors
    cdef public HidmaLldev lldev
    cdef public unsigned long long dev_trca
    cdef public object trca_resource
    cdef public unsigned long long dev_evca
    cdef public object evca_resource
    cdef public Spinlock lock
    cdef public DmaDevice ddev
    cdef public object debugfs
    cdef public object stats
    cdef public TaskletStruct task
