# SPDX-License-Identifier: GPL-2.0-only
# The functions of ll.py on the way of a descriptor, for callers that have pointers.
from hidma cimport ll
from hidma.hidma_h cimport HidmaLldev, hidma_lldev

cdef inline int hidma_ll_isenabled(hidma_lldev *lldev) except -1:
    return ll.hidma_ll_isenabled(<HidmaLldev>lldev)

cdef inline int hidma_ll_queue_request(hidma_lldev *lldev, unsigned int tre_ch) except -1:
    return ll.hidma_ll_queue_request(<HidmaLldev>lldev, tre_ch)

cdef inline int hidma_ll_start(hidma_lldev *lldev) except -1:
    return ll.hidma_ll_start(<HidmaLldev>lldev)

cdef inline int hidma_ll_set_transfer_params(hidma_lldev *lldev, unsigned int tre_ch, unsigned long long src,
                                             unsigned long long dest, unsigned long long len,
                                             unsigned long long flags) except -1:
    ll.hidma_ll_set_transfer_params(<HidmaLldev>lldev, tre_ch, src, dest, len, flags)
    return 0

cdef inline int hidma_ll_status(hidma_lldev *lldev, unsigned int tre_ch) except -1:
    return ll.hidma_ll_status(<HidmaLldev>lldev, tre_ch)
