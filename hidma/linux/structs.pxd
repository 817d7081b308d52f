# SPDX-License-Identifier: GPL-2.0-only
# How the driver's own structures are reached as C data, compiled into the callers: arrays with their bounds checked,
# container_of(), entries of lists. hidma_h.py has the same for interpreted runs.
from hidma.hidma_h cimport (
    NO_COOKIE, HidmaChan, HidmaDesc, HidmaDev, HidmaLldev, HidmaTre, HidmaTxStatus, hidma_chan, hidma_desc, hidma_dev,
    hidma_tre, hidma_tx_status, past_array, use_after_free)
from hidma.linux cimport kfifo_inline, list_inline
from hidma.linux.inline cimport (
    PyList_GET_SIZE, PyTuple_GET_ITEM, PyTuple_GET_SIZE, Py_DECREF, Py_INCREF, Py_TYPE, item, never, not_null, set_item, there)
from hidma.linux.kfifo cimport kfifo
from hidma.linux.interrupt cimport tasklet_struct
from hidma.linux.list cimport list_head
from hidma.linux.sched cimport no_structure
from hidma.linux.spinlock cimport spinlock_t

# NULL by its type
cdef extern from *:
    hidma_desc *NO_DESC "NULL"

# item of an array of structures; beyond its end, or where there is none, is an Oops
cdef inline void *item_of(void *array, size_t index) except NULL:
    if index >= <size_t>PyTuple_GET_SIZE(array):
        past_array(<object>array)
        never()
    return not_null(PyTuple_GET_ITEM(array, index))

cdef inline hidma_tre *tre_at(HidmaLldev lldev, size_t index) except NULL:
    there(<void *>lldev)
    return <hidma_tre *>item_of(<void *>lldev.pool, index)

cdef inline hidma_tx_status *status_at(HidmaLldev lldev, size_t index) except NULL:
    there(<void *>lldev)
    return <hidma_tx_status *>item_of(<void *>lldev.results, index)

# the array of pending TREs, which has an ``index``
cdef inline void *pending_array(HidmaLldev lldev, size_t index) except NULL:
    there(<void *>lldev)
    if index >= <size_t>PyList_GET_SIZE(<void *>lldev.pending):
        past_array(lldev.pending)
        never()
    return not_null(<void *>lldev.pending)

# NULL where nothing is pending
cdef inline hidma_tre *pending_at(HidmaLldev lldev, size_t index) except? NULL:
    cdef void *tre = not_null(item(pending_array(lldev, index), index))
    return NULL if tre == <void *>None else <hidma_tre *>tre

cdef inline int set_pending(HidmaLldev lldev, size_t index, hidma_tre *tre) except -1:
    set_item(pending_array(lldev, index), index, <void *>None if tre == NULL else <void *>tre)
    return 0

cdef inline int clear_pending(HidmaLldev lldev, size_t index) except -1:
    return set_pending(lldev, index, NULL)

# &lldev->lock and others of its parts, which it holds for as long as it lives
cdef inline spinlock_t *lock_of(HidmaLldev lldev) except NULL:
    there(<void *>lldev)
    return <spinlock_t *>not_null(<void *>lldev.lock)

cdef inline tasklet_struct *task_of(HidmaLldev lldev) except NULL:
    there(<void *>lldev)
    return <tasklet_struct *>not_null(<void *>lldev.task)

cdef inline kfifo *fifo_of(HidmaLldev lldev) except NULL:
    there(<void *>lldev)
    return <kfifo *>not_null(<void *>lldev.handoff_fifo)

# the TRE that is the oldest in the FIFO; NULL when it is empty
cdef inline hidma_tre *next_tre(kfifo *fifo) except? NULL:
    cdef void *tre = kfifo_inline.oldest(fifo)
    if tre != NULL and Py_TYPE(tre) != <void *>HidmaTre:
        no_structure()
        never()
    return <hidma_tre *>tre

# container_of() for those that know what they are part of
cdef inline HidmaLldev to_lldev(void *arg):
    if Py_TYPE(arg) != <void *>HidmaLldev:
        no_structure()
        never()
    return <HidmaLldev>arg

cdef inline hidma_dev *dev_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaDev:
        no_structure()
        never()
    return <hidma_dev *>container

cdef inline hidma_chan *chan_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaChan:
        no_structure()
        never()
    there((<hidma_chan *>container).dmadev)
    there((<hidma_chan *>container).chan.device)
    return <hidma_chan *>container

cdef inline hidma_desc *desc_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaDesc:
        no_structure()
        never()
    if (<hidma_desc *>container).freed:
        use_after_free(<HidmaDesc>container)
        never()
    return <hidma_desc *>container

cdef inline hidma_desc *list_entry(list_head *node) except NULL:
    return desc_of(list_inline.list_entry(node))

cdef inline hidma_desc *list_first_entry(list_head *head) except NULL:
    return desc_of(list_inline.list_first_entry(head))

# the channel holds the descriptor that runs; NULL for none
cdef inline int set_running(hidma_chan *mchan, hidma_desc *mdesc) noexcept:
    cdef void *before = <void *>mchan.running
    mchan.running = <hidma_desc *>None if mdesc == NULL else mdesc
    Py_INCREF(<void *>mchan.running)
    Py_DECREF(before)
    return 0

# NULL for none
cdef inline hidma_desc *running_of(hidma_chan *mchan) noexcept:
    return NULL if <void *>mchan.running == <void *>None else mchan.running

# of the descriptor that runs; NO_COOKIE where that is the list head
cdef inline long long running_cookie(hidma_chan *mchan) except? -1:
    if mchan.running.freed:
        use_after_free(<HidmaDesc>mchan.running)
    return NO_COOKIE if mchan.running.is_head else mchan.running.desc.cookie
