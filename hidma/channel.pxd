# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport HidmaChan, HidmaDesc, HidmaDev, HidmaLldev
from hidma.linux cimport ftrace
from hidma.linux cimport sched
from hidma.linux.device cimport Device
from hidma.linux.dmaengine cimport (
    DmaAsyncTxDescriptor, DmaChan, DmaDevice, DmaTxState,
    dma_async_tx_descriptor_init, dma_cookie_assign, dma_cookie_complete, dma_cookie_init, dma_cookie_status,
    dma_descriptor_unmap, dma_run_dependencies)
from hidma.linux.interrupt cimport irq_handler, tasklet_init, tasklet_schedule
from hidma.linux.io cimport readl
from hidma.linux.list cimport (
    INIT_LIST_HEAD, LIST_HEAD, ListHead, list_head_gone, list_add, list_add_tail, list_del, list_empty, list_entry, list_first_entry,
    list_move, list_move_tail, list_splice_init, list_splice_tail_init)
from hidma.linux.pm_runtime cimport (
    pm_runtime_get, pm_runtime_get_sync, pm_runtime_mark_last_busy, pm_runtime_put_autosuspend)
from hidma.linux.spinlock cimport spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.types cimport call, function
from hidma.ll cimport (
    hidma_ll_free, hidma_ll_inthandler, hidma_ll_isenabled, hidma_ll_queue_request, hidma_ll_request, hidma_ll_resume,
    hidma_ll_set_transfer_params, hidma_ll_start, hidma_ll_status)

cdef HidmaDev to_hidma_dev(DmaDevice dmadev)  # struct inline
cdef HidmaChan to_hidma_chan(DmaChan dmach)  # struct inline
cdef HidmaDesc to_hidma_desc(DmaAsyncTxDescriptor t)  # struct inline
cpdef int hidma_free(HidmaDev dmadev) except -1
# beside: hidma_callback() is then the only one that calls the C twin, which the compiler makes part of it
@cython.locals(ddev=DmaDevice, mdma=HidmaDev, list_=ListHead, irqflags=int, node=ListHead, mdesc=HidmaDesc, desc=DmaAsyncTxDescriptor, llstat=int)
cdef int hidma_process_completed(HidmaChan mchan) except -1  # struct inline beside
@cython.locals(mdesc=HidmaDesc, mchan=HidmaChan, ddev=DmaDevice, dmadev=HidmaDev, queued=int, irqflags=int)
cdef int hidma_callback(object data) except -1  # struct
@cython.locals(mchan=HidmaChan, ddev=DmaDevice)
cdef int hidma_chan_init(HidmaDev dmadev, unsigned int dma_sig) except? -1
@cython.locals(dmadev=HidmaDev)
cdef int hidma_issue_task(object arg) except -1
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, flags=int, status=int)
cdef int hidma_issue_pending(DmaChan dmach) except? -1
@cython.locals(mchan=HidmaChan, ret=int, flags=int, runcookie=int)
cdef int hidma_tx_status(DmaChan dmach, int cookie, DmaTxState txstate) except? -1
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, mdesc=HidmaDesc, irqflags=int, cookie=int)
cdef int hidma_tx_submit(DmaAsyncTxDescriptor txd) except? -1  # struct
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, descs=ListHead, mdesc=HidmaDesc, irqflags=int, rc=int)
cdef int hidma_alloc_chan_resources(DmaChan dmach) except? -1
@cython.locals(mchan=HidmaChan, mdma=HidmaDev, mdesc=HidmaDesc, irqflags=int)
cdef DmaAsyncTxDescriptor hidma_prep_dma_memcpy(DmaChan dmach, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags)  # struct
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, list_=ListHead, irqflags=int, rc=int, mdesc=HidmaDesc, txd=DmaAsyncTxDescriptor)
cdef int hidma_terminate_channel(DmaChan chan) except? -1
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, rc=int)
cdef int hidma_terminate_all(DmaChan chan) except? -1
@cython.locals(mchan=HidmaChan, mdma=HidmaDev, descs=ListHead, mdesc=HidmaDesc, irqflags=int)
cdef int hidma_free_chan_resources(DmaChan dmach) except? -1
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev)
cdef int hidma_pause(DmaChan chan) except? -1
@cython.locals(mchan=HidmaChan, dmadev=HidmaDev, rc=int)
cdef int hidma_resume(DmaChan chan) except? -1
cdef int hidma_chirq_handler(int chirq, object arg) except -1
cpdef HidmaLldev lldev_of(DmaChan dmach)
@cython.locals(dmadev=HidmaDev, rc=int, prm="unsigned int")
cpdef int hidma_probe(object pdev) except? -1
