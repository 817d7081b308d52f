# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport HidmaLldev, HidmaTre, HidmaTxStatus
from hidma.linux cimport ftrace
from hidma.linux.atomic cimport atomic_add_unless, atomic_read, atomic_set
from hidma.linux.device cimport Device
from hidma.linux.interrupt cimport TaskletStruct, tasklet_init, tasklet_kill, tasklet_schedule
from hidma.linux.io cimport readl, readl_relaxed, writel, writel_relaxed
from hidma.linux.jiffies cimport jiffies, msecs_to_jiffies, time_is_before_jiffies
from hidma.linux.kfifo cimport Kfifo, kfifo_out, kfifo_put
from hidma.linux.mm cimport load_u32, memcpy_words
from hidma.linux.spinlock cimport Spinlock, spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.types cimport call, function

cdef unsigned int HIDMA_INCREMENT_ITERATOR(unsigned int iter, unsigned int size, unsigned int ring_size) noexcept  # inline
cpdef unsigned int HIDMA_CH_STATE(unsigned int val) noexcept  # inline

@cython.locals(tre=HidmaTre)
cpdef int hidma_ll_free(HidmaLldev lldev, unsigned int tre_ch) except -1
@cython.locals(tre=HidmaTre, tx_status=HidmaTxStatus, i="unsigned int")
cpdef int hidma_ll_request(HidmaLldev lldev, unsigned int dma_sig, str dev_name, object callback, object data, object tre_ch) except? -1
@cython.locals(lldev=HidmaLldev, tre=HidmaTre, fifo=Kfifo)
cdef int hidma_ll_tre_complete(object arg) except -1  # struct
@cython.locals(tre=HidmaTre, tx_status=HidmaTxStatus, evre_write_off="unsigned int", evre_ring_size="unsigned int",
               tre_ring_size="unsigned int", num_completed="unsigned int", tre_iterator="unsigned int",
               evre_iterator="unsigned int", flags=int, current_evre="unsigned long long", cfg="unsigned int",
               evre_read_off="unsigned int", tre_read_off="unsigned int", lock=Spinlock, fifo=Kfifo, task=TaskletStruct)
cdef int hidma_handle_tre_completion(HidmaLldev lldev) except? -1  # struct
@cython.locals(tre=HidmaTre, tx_status=HidmaTxStatus, tre_iterator="unsigned int", tre_ring_size="unsigned int",
               num_completed=int, tre_read_off="unsigned int", flags=int, tre_index="unsigned int")
cpdef int hidma_cleanup_pending_tre(HidmaLldev lldev, unsigned char err_info, unsigned char err_code) except -1
@cython.locals(val="unsigned int")
cdef int hidma_ll_enable_irq(HidmaLldev lldev, unsigned int irq_bits) except -1
@cython.locals(status="unsigned int", enable="unsigned int", cause="unsigned int", repeat=int, timeout="long long", start="long long")
cdef int hidma_ll_int_handler_internal(HidmaLldev lldev) except -1
cpdef int hidma_ll_resume(HidmaLldev lldev) except? -1
@cython.locals(irqflags=int)
cdef int hidma_ll_hw_start(HidmaLldev lldev) except -1  # struct
@cython.locals(val="unsigned int")
cpdef int hidma_ll_isenabled(HidmaLldev lldev) except -1  # struct
@cython.locals(tre=HidmaTre, tx_status=HidmaTxStatus, flags=int, lock=Spinlock, write_offset="unsigned int")
cpdef int hidma_ll_queue_request(HidmaLldev lldev, unsigned int tre_ch) except -1  # struct inline
cpdef int hidma_ll_start(HidmaLldev lldev) except -1  # struct
@cython.locals(tre=HidmaTre)
cpdef int hidma_ll_set_transfer_params(HidmaLldev lldev, unsigned int tre_ch, unsigned long long src, unsigned long long dest, unsigned long long len, unsigned long long flags) except -1  # struct
cpdef int hidma_ll_inthandler(int chirq, object arg) except -1
@cython.locals(tx_status=HidmaTxStatus, flags=int, err_code="unsigned char", ret=int)
cpdef int hidma_ll_status(HidmaLldev lldev, unsigned int tre_ch) except -1  # struct
