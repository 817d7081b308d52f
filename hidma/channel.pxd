# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport HidmaChan, HidmaDesc, HidmaDev, HidmaLldev, hidma_chan, hidma_desc, hidma_dev
from hidma.linux cimport sched
from hidma.linux.dmaengine cimport (
    DMA_COMPLETE, DMA_IN_PROGRESS, DMA_MEMCPY, DMA_PAUSED, NO_TX, DmaAsyncTxDescriptor, DmaChan, DmaDevice, dma_async_tx_descriptor,
    dma_chan, dma_cookie_init, dma_descriptor_unmap, dma_device, dma_tx_state)
from hidma.linux.dmaengine_inline cimport (
    dma_async_tx_descriptor_init, dma_cookie_assign, dma_cookie_complete, dma_cookie_status, dma_run_dependencies)
from hidma.linux.inline cimport face, given
from hidma.linux.interrupt cimport irq_handler, tasklet_init
from hidma.linux.interrupt_inline cimport tasklet_schedule
from hidma.linux.io_inline cimport readl
from hidma.linux.list cimport ListHead, list_head
from hidma.linux.list_inline cimport (
    INIT_LIST_HEAD, LIST_HEAD, list_add_tail, list_del, list_empty, list_head_gone, list_move, list_move_tail,
    list_splice_init, list_splice_tail_init)
from hidma.linux.pm_runtime_inline cimport (
    pm_runtime_get, pm_runtime_get_sync, pm_runtime_mark_last_busy, pm_runtime_put_autosuspend)
from hidma.linux.spinlock cimport spin_lock_init
from hidma.linux.spinlock_inline cimport spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.types cimport function
from hidma.linux.types_inline cimport call
from hidma.ll cimport hidma_ll_free, hidma_ll_inthandler, hidma_ll_request, hidma_ll_resume
from hidma.linux.ll_inline cimport (
    hidma_ll_isenabled, hidma_ll_queue_request, hidma_ll_set_transfer_params, hidma_ll_start, hidma_ll_status)
from hidma.linux.structs cimport (
    NO_DESC, chan_of, desc_of, dev_of, list_entry, list_first_entry, running_cookie, running_of, set_running)

cdef hidma_dev *to_hidma_dev(dma_device *dmadev) except NULL
cdef hidma_chan *to_hidma_chan(dma_chan *dmach) except NULL
cdef hidma_desc *to_hidma_desc(dma_async_tx_descriptor *t) except NULL
cpdef int hidma_free(HidmaDev dmadev) except -1
@cython.locals(ddev="dma_device *", mdma="hidma_dev *", list_="list_head *", irqflags=int, node="list_head *",
               mdesc="hidma_desc *", desc="dma_async_tx_descriptor *", llstat=int)
cdef int hidma_process_completed(hidma_chan *mchan) except -1
@cython.locals(mdesc="hidma_desc *", mchan="hidma_chan *", ddev="dma_device *", dmadev="hidma_dev *", queued=int,
               irqflags=int)
cdef int hidma_callback(void *data) except -1
@cython.locals(mchan=HidmaChan, ddev=DmaDevice)
cdef int hidma_chan_init(HidmaDev dmadev, unsigned int dma_sig) except? -1
@cython.locals(dmadev="hidma_dev *")
cdef int hidma_issue_task(void *arg) except -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", flags=int, status=int)
cdef int hidma_issue_pending(dma_chan *dmach) except? -1
@cython.locals(mchan="hidma_chan *", ret=int, flags=int, runcookie="long long")
cdef int hidma_tx_status(dma_chan *dmach, int cookie, dma_tx_state *txstate) except? -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", mdesc="hidma_desc *", irqflags=int, cookie=int)
cdef int hidma_tx_submit(dma_async_tx_descriptor *txd) except? -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", descs=ListHead, mdesc=HidmaDesc, irqflags=int, rc=int)
cdef int hidma_alloc_chan_resources(dma_chan *dmach) except? -1
@cython.locals(mchan="hidma_chan *", mdma="hidma_dev *", mdesc="hidma_desc *", irqflags=int)
cdef dma_async_tx_descriptor *hidma_prep_dma_memcpy(dma_chan *dmach, unsigned long long dest, unsigned long long src, unsigned long long len, unsigned long flags) except? NULL
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", list_="list_head *", irqflags=int, rc=int, mdesc=HidmaDesc,
               txd=DmaAsyncTxDescriptor)
cdef int hidma_terminate_channel(dma_chan *chan) except? -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", rc=int)
cdef int hidma_terminate_all(dma_chan *chan) except? -1
@cython.locals(mchan="hidma_chan *", mdma="hidma_dev *", descs=ListHead, mdesc=HidmaDesc, irqflags=int)
cdef int hidma_free_chan_resources(dma_chan *dmach) except? -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *")
cdef int hidma_pause(dma_chan *chan) except? -1
@cython.locals(mchan="hidma_chan *", dmadev="hidma_dev *", rc=int)
cdef int hidma_resume(dma_chan *chan) except? -1
cdef int hidma_chirq_handler(int chirq, object arg) except -1
@cython.locals(mchan=HidmaChan)
cpdef HidmaLldev lldev_of(DmaChan dmach)
@cython.locals(dmadev=HidmaDev, rc=int, prm="unsigned int")
cpdef int hidma_probe(object pdev) except? -1
@cython.locals(dmadev=HidmaDev)
cpdef int hidma_remove(object pdev) except? -1
