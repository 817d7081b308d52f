# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hidma_h cimport (
    TRE_CFG_IDX, TRE_DEST_HI_IDX, TRE_DEST_LOW_IDX, TRE_LEN_IDX, TRE_SIZE, TRE_SRC_HI_IDX, TRE_SRC_LOW_IDX, HidmaLldev,
    HidmaTre, HidmaTxStatus, hidma_tre, hidma_tx_status)
from hidma.linux.atomic_inline cimport atomic_add_unless, atomic_read, atomic_set
from hidma.linux.device cimport Device
from hidma.linux.dmaengine cimport DMA_COMPLETE, DMA_ERROR, DMA_IN_PROGRESS
from hidma.linux.inline cimport BIT, face, given
from hidma.linux.interrupt cimport IRQ_HANDLED, tasklet_init, tasklet_kill
from hidma.linux.interrupt_inline cimport tasklet_schedule
from hidma.linux.io_inline cimport readl, readl_relaxed, writel, writel_relaxed
from hidma.linux.jiffies cimport jiffies, msecs_to_jiffies, time_is_before_jiffies
from hidma.linux.kfifo_inline cimport kfifo_put
from hidma.linux.mm_inline cimport load_u32, memcpy_words
from hidma.linux.spinlock cimport spin_lock_init
from hidma.linux.spinlock_inline cimport spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.types cimport function, u32
from hidma.linux.types_inline cimport call
from hidma.linux.structs cimport (
    clear_pending, fifo_of, lock_of, next_tre, pending_at, set_pending, status_at, task_of, to_lldev, tre_at)

cpdef enum:
    EVRE_SIZE = 16

    TRCA_CTRLSTS_OFFSET = 0x000
    TRCA_RING_LOW_OFFSET = 0x008
    TRCA_RING_HIGH_OFFSET = 0x00C
    TRCA_RING_LEN_OFFSET = 0x010
    TRCA_READ_PTR_OFFSET = 0x018
    TRCA_WRITE_PTR_OFFSET = 0x020
    TRCA_DOORBELL_OFFSET = 0x400

    EVCA_CTRLSTS_OFFSET = 0x000
    EVCA_INTCTRL_OFFSET = 0x004
    EVCA_RING_LOW_OFFSET = 0x008
    EVCA_RING_HIGH_OFFSET = 0x00C
    EVCA_RING_LEN_OFFSET = 0x010
    EVCA_READ_PTR_OFFSET = 0x018
    EVCA_WRITE_PTR_OFFSET = 0x020
    EVCA_DOORBELL_OFFSET = 0x400

    EVCA_IRQ_STAT_OFFSET = 0x100
    EVCA_IRQ_CLR_OFFSET = 0x108
    EVCA_IRQ_EN_OFFSET = 0x110

    EVRE_CFG_IDX = 0
    EVRE_LEN_IDX = 1
    EVRE_DEST_LOW_IDX = 2
    EVRE_DEST_HI_IDX = 3

    EVRE_ERRINFO_BIT_POS = 24
    EVRE_CODE_BIT_POS = 28

    EVRE_ERRINFO_MASK = 0xF
    EVRE_CODE_MASK = 0xF

    CH_CONTROL_MASK = 0xFF
    CH_STATE_MASK = 0xFF
    CH_STATE_BIT_POS = 0x8

    IRQ_EV_CH_EOB_IRQ_BIT_POS = 0
    IRQ_EV_CH_WR_RESP_BIT_POS = 1
    IRQ_TR_CH_TRE_RD_RSP_ER_BIT_POS = 9
    IRQ_TR_CH_DATA_RD_ER_BIT_POS = 10
    IRQ_TR_CH_DATA_WR_ER_BIT_POS = 11
    IRQ_TR_CH_INVALID_TRE_BIT_POS = 14

    ENABLE_IRQS = 1 << 0 | 1 << 1 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 14

    CH_DISABLE = 0
    CH_ENABLE = 1
    CH_SUSPEND = 2
    CH_RESET = 9

    CH_DISABLED = 0
    CH_ENABLED = 1
    CH_RUNNING = 2
    CH_SUSPENDED = 3
    CH_STOPPED = 4
    CH_ERROR = 5
    CH_IN_RESET = 9

    TRE_MEMCPY = 3
    TRE_MEMSET = 4

    EVRE_DMA_COMPLETE = 0x23
    EVRE_IMM_DATA = 0x24

    EVRE_STATUS_COMPLETE = 1
    EVRE_STATUS_ERROR = 4

cdef unsigned int HIDMA_INCREMENT_ITERATOR(unsigned int iter, unsigned int size, unsigned int ring_size) noexcept
cpdef unsigned int HIDMA_CH_STATE(unsigned int val) noexcept
@cython.locals(tre="hidma_tre *")
cpdef void hidma_ll_free(HidmaLldev lldev, unsigned int tre_ch) except *
@cython.locals(tre=HidmaTre, tx_status="hidma_tx_status *", i="unsigned int")
cpdef int hidma_ll_request(HidmaLldev lldev, unsigned int dma_sig, str dev_name, object callback, object data, object tre_ch) except? -1
@cython.locals(lldev=HidmaLldev, tre="hidma_tre *")
cdef int hidma_ll_tre_complete(void *arg) except -1
@cython.locals(tre="hidma_tre *", tx_status="hidma_tx_status *", evre_write_off="unsigned int", evre_ring_size="unsigned int",
               tre_ring_size="unsigned int", num_completed="unsigned int", tre_iterator="unsigned int",
               evre_iterator="unsigned int", flags=int, current_evre="unsigned long long", cfg="unsigned int",
               evre_read_off="unsigned int", tre_read_off="unsigned int")
cdef int hidma_handle_tre_completion(HidmaLldev lldev) except? -1
@cython.locals(tre="hidma_tre *", tx_status="hidma_tx_status *", tre_iterator="unsigned int", tre_ring_size="unsigned int",
               num_completed=int, tre_read_off="unsigned int", flags=int, tre_index="unsigned int")
cpdef void hidma_cleanup_pending_tre(HidmaLldev lldev, unsigned char err_info, unsigned char err_code) except *
@cython.locals(val="unsigned int")
cdef int hidma_ll_enable_irq(HidmaLldev lldev, unsigned int irq_bits) except -1
@cython.locals(status="unsigned int", enable="unsigned int", cause="unsigned int", repeat=int, timeout="long long", start="long long")
cdef void hidma_ll_int_handler_internal(HidmaLldev lldev) except *
cpdef int hidma_ll_resume(HidmaLldev lldev) except? -1
@cython.locals(irqflags=int)
cdef int hidma_ll_hw_start(HidmaLldev lldev) except -1
@cython.locals(val="unsigned int")
cpdef int hidma_ll_isenabled(HidmaLldev lldev) except -1
@cython.locals(tre="hidma_tre *", tx_status="hidma_tx_status *", flags=int, write_offset="unsigned int")
cpdef int hidma_ll_queue_request(HidmaLldev lldev, unsigned int tre_ch) except -1
cpdef int hidma_ll_start(HidmaLldev lldev) except -1
@cython.locals(tre="hidma_tre *")
cpdef object hidma_ll_set_transfer_params(HidmaLldev lldev, unsigned int tre_ch, unsigned long long src, unsigned long long dest, unsigned long long len, unsigned long long flags)
cpdef int hidma_ll_inthandler(int chirq, object arg) except -1
@cython.locals(tx_status="hidma_tx_status *", flags=int, err_code="unsigned char", ret=int)
cpdef int hidma_ll_status(HidmaLldev lldev, unsigned int tre_ch) except -1
