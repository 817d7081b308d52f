# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.inline cimport item, set_item, there
from hidma.linux.kfifo cimport Kfifo, kfifo, refused

ctypedef kfifo *kfifo_p

ctypedef fused fifo_arg:
    Kfifo
    kfifo_p

cdef inline int kfifo_put(fifo_arg given, void *val) except -1:
    cdef kfifo *fifo = <kfifo *>given
    if fifo_arg is Kfifo:
        there(fifo)
    if fifo.in_ - fifo.out >= fifo.size:
        return refused(<Kfifo>fifo)
    set_item(fifo.data, fifo.in_ & fifo.mask, val)
    fifo.in_ += 1
    return 1

cdef inline void *kfifo_out(fifo_arg given) except? NULL:
    if fifo_arg is Kfifo:
        there(<void *>given)
    return oldest(<kfifo *>given)

# the oldest element, borrowed: its slot holds it until it is used again; NULL when there is none
cdef inline void *oldest(kfifo *fifo) noexcept:
    cdef void *val
    if fifo.in_ == fifo.out:
        return NULL
    val = item(fifo.data, fifo.out & fifo.mask)
    fifo.out += 1
    return val

cdef inline int kfifo_put_object(Kfifo fifo, object val) except -1:
    return kfifo_put(fifo, <void *>val)

cdef inline object kfifo_out_object(Kfifo fifo):
    cdef void *val = kfifo_out(fifo)
    return None if val == NULL else <object>val
