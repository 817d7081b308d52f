# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.dmaengine cimport (
    DMA_MAX_COOKIE, DMA_MIN_COOKIE, DmaAsyncTxDescriptor, DmaChan, DmaDevice, cookie_not_in_use, dma_async_is_complete,
    dma_async_tx_descriptor, dma_chan, dma_tx_state, run_dependencies)
from hidma.linux.inline cimport there

ctypedef dma_chan *dma_chan_p

ctypedef fused chan_arg:
    DmaChan
    dma_chan_p

ctypedef dma_async_tx_descriptor *dma_async_tx_descriptor_p

ctypedef fused tx_arg:
    DmaAsyncTxDescriptor
    dma_async_tx_descriptor_p

cdef inline int dma_cookie_assign(tx_arg given) except? -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    cdef int cookie
    there(tx)
    there(tx.chan)
    cookie = tx.chan.cookie + 1 if 0 <= tx.chan.cookie < DMA_MAX_COOKIE else DMA_MIN_COOKIE
    tx.cookie = cookie
    tx.chan.cookie = cookie
    return cookie

cdef inline int dma_cookie_complete(tx_arg given) except -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    there(tx)
    there(tx.chan)
    if tx.cookie < DMA_MIN_COOKIE:
        cookie_not_in_use()
    tx.chan.completed_cookie = tx.cookie
    tx.cookie = 0
    return 0

cdef inline int dma_cookie_status(chan_arg chan, int cookie, dma_tx_state *state) except? -1:
    cdef int used
    cdef int complete
    there(<void *>chan)
    used = (<dma_chan *>chan).cookie
    complete = (<dma_chan *>chan).completed_cookie
    if state != NULL:
        state.last = complete
        state.used = used
        state.residue = 0
    return dma_async_is_complete(cookie, complete, used)

cdef inline int dma_async_tx_descriptor_init(tx_arg tx, chan_arg chan) except -1:
    there(<void *>tx)
    (<DmaAsyncTxDescriptor>tx).chan = <DmaChan>chan
    return 0

cdef inline int dma_run_dependencies(tx_arg given) except? -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    there(tx)
    if tx.next == <dma_async_tx_descriptor *>None:
        return 0
    return run_dependencies(<DmaAsyncTxDescriptor>tx)

cdef inline dma_async_tx_descriptor *dmaengine_prep_dma_memcpy(
        dma_chan *chan, unsigned long long dest, unsigned long long src, unsigned long long len,
        unsigned long flags) except? NULL:
    there(chan)
    there(chan.device)
    return (<DmaDevice>chan.device).device_prep_dma_memcpy(chan, dest, src, len, flags)

# as ``tx->callback = callback; tx->callback_param = param;``
cdef inline int set_callback(dma_async_tx_descriptor *tx, object callback, object param) except -1:
    there(tx)
    if tx.callback != <void *>callback:
        (<DmaAsyncTxDescriptor>tx).callback = callback
    if tx.callback_param != <void *>param:
        (<DmaAsyncTxDescriptor>tx).callback_param = param
    return 0

cdef inline int dmaengine_submit(dma_async_tx_descriptor *tx) except? -1:
    there(tx)
    return (<DmaAsyncTxDescriptor>tx).tx_submit(tx)

cdef inline int dma_async_issue_pending(dma_chan *chan) except? -1:
    there(chan)
    there(chan.device)
    return (<DmaDevice>chan.device).device_issue_pending(chan)
