# SPDX-License-Identifier: GPL-2.0-only
# How the driver's own structures are reached as C data, compiled into the callers: arrays with their bounds checked,
# container_of(), entries of lists. hidma_h.py has the same for interpreted runs.
from hidma.hidma_h cimport (
    NO_COOKIE, HidmaChan, HidmaDesc, HidmaDev, HidmaLldev, HidmaTre, HidmaTxStatus, hidma_chan, hidma_desc, hidma_dev,
    hidma_tre, hidma_tx_status, past_array, use_after_free)
from hidma.linux cimport kfifo_inline, list_inline
from hidma.linux.inline cimport PyList_GET_ITEM, PyList_GET_SIZE, Py_DECREF, Py_INCREF, Py_TYPE, set_item, there
from hidma.linux.kfifo cimport Kfifo
from hidma.linux.list cimport list_head
from hidma.linux.sched cimport no_structure

# NULL by its type
cdef extern from *:
    hidma_desc *NO_DESC "NULL"

# item of an array of structures; beyond its end is an Oops
cdef inline void *item_at(void *items, size_t index) except NULL:
    there(items)
    if index >= <size_t>PyList_GET_SIZE(items):
        past_array()
    return PyList_GET_ITEM(items, index)

cdef inline hidma_tre *tre_at(HidmaLldev lldev, size_t index) except NULL:
    cdef void *tre = item_at(<void *>lldev.trepool, index)
    if Py_TYPE(tre) != <void *>HidmaTre:
        no_structure()
    return <hidma_tre *>tre

cdef inline hidma_tx_status *status_at(HidmaLldev lldev, size_t index) except NULL:
    cdef void *status = item_at(<void *>lldev.tx_status_list, index)
    if Py_TYPE(status) != <void *>HidmaTxStatus:
        no_structure()
    return <hidma_tx_status *>status

# NULL where nothing is pending
cdef inline hidma_tre *pending_at(HidmaLldev lldev, size_t index) except? NULL:
    cdef void *tre = item_at(<void *>lldev.pending_tre_list, index)
    if Py_TYPE(tre) == <void *>HidmaTre:
        return <hidma_tre *>tre
    if tre != <void *>None:
        no_structure()
    return NULL

cdef inline int set_pending(HidmaLldev lldev, size_t index, hidma_tre *tre) except -1:
    item_at(<void *>lldev.pending_tre_list, index)
    set_item(<void *>lldev.pending_tre_list, index, <void *>None if tre == NULL else <void *>tre)
    return 0

cdef inline int clear_pending(HidmaLldev lldev, size_t index) except -1:
    return set_pending(lldev, index, NULL)

# the TRE that is the oldest in the FIFO; NULL when it is empty
cdef inline hidma_tre *next_tre(Kfifo fifo) except? NULL:
    cdef void *tre = kfifo_inline.kfifo_out(fifo)
    if tre != NULL and Py_TYPE(tre) != <void *>HidmaTre:
        no_structure()
    return <hidma_tre *>tre

# container_of() for those that know what they are part of
cdef inline HidmaLldev to_lldev(void *arg):
    if Py_TYPE(arg) != <void *>HidmaLldev:
        no_structure()
    return <HidmaLldev>arg

cdef inline hidma_dev *dev_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaDev:
        no_structure()
    return <hidma_dev *>container

cdef inline hidma_chan *chan_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaChan:
        no_structure()
    there((<hidma_chan *>container).dmadev)
    there((<hidma_chan *>container).chan.device)
    return <hidma_chan *>container

cdef inline hidma_desc *desc_of(void *container) except NULL:
    if Py_TYPE(container) != <void *>HidmaDesc:
        no_structure()
    if (<hidma_desc *>container).freed:
        use_after_free(<HidmaDesc>container)
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
