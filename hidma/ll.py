# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
#
# drivers/dma/qcom/hidma_ll.c: Qualcomm Technologies HIDMA DMA engine low level code
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma_ll.c``: the TRE and EVRE rings, the interrupt handler, and the states of the
hardware. Function by function and in the order of the C file; what V14 does against better judgement is kept and
marked with its row in docs/quirks. It knows nothing of the DMA engine core beyond the status values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython

from hidma.hidma_h import HidmaLldev, HidmaTre, HidmaTxStatus
from hidma.linux.bitops import GENMASK, IS_ALIGNED, lower_32_bits, upper_32_bits
from hidma.linux.device import Device
from hidma.linux.dma_mapping import dmam_alloc_coherent
from hidma.linux.errno import EINVAL, ENODEV, ENOMEM
from hidma.linux.iopoll import readl_poll_timeout
from hidma.linux.kfifo import kfifo_alloc
from hidma.linux.mm import memset
from hidma.linux.printk import dev_err, dev_warn, s32
from hidma.linux.slab import GFP_KERNEL, devm_kcalloc, devm_kzalloc
from hidma.linux.spinlock import spin_lock_init

if not cython.compiled:
    from hidma.hidma_h import (
        TRE_CFG_IDX,
        TRE_DEST_HI_IDX,
        TRE_DEST_LOW_IDX,
        TRE_LEN_IDX,
        TRE_SIZE,
        TRE_SRC_HI_IDX,
        TRE_SRC_LOW_IDX,
        clear_pending,
        fifo_of,
        lock_of,
        next_tre,
        pending_at,
        set_pending,
        status_at,
        task_of,
        to_lldev,
        tre_at,
    )
    from hidma.linux.atomic import atomic_add_unless, atomic_read, atomic_set
    from hidma.linux.bitops import BIT
    from hidma.linux.dmaengine import DMA_COMPLETE, DMA_ERROR, DMA_IN_PROGRESS
    from hidma.linux.interrupt import IRQ_HANDLED, tasklet_init, tasklet_kill, tasklet_schedule
    from hidma.linux.io import readl, readl_relaxed, writel, writel_relaxed
    from hidma.linux.jiffies import jiffies, msecs_to_jiffies, time_is_before_jiffies
    from hidma.linux.kfifo import kfifo_put
    from hidma.linux.mm import load_u32, memcpy_words
    from hidma.linux.spinlock import spin_lock_irqsave, spin_unlock_irqrestore
    from hidma.linux.types import call, face, function, given, u32

    EVRE_SIZE = 16  # each EVRE is 16 bytes

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

    EVRE_ERRINFO_MASK = GENMASK(3, 0)
    EVRE_CODE_MASK = GENMASK(3, 0)

    CH_CONTROL_MASK = GENMASK(7, 0)
    CH_STATE_MASK = GENMASK(7, 0)
    CH_STATE_BIT_POS = 0x8

    IRQ_EV_CH_EOB_IRQ_BIT_POS = 0
    IRQ_EV_CH_WR_RESP_BIT_POS = 1
    IRQ_TR_CH_TRE_RD_RSP_ER_BIT_POS = 9
    IRQ_TR_CH_DATA_RD_ER_BIT_POS = 10
    IRQ_TR_CH_DATA_WR_ER_BIT_POS = 11
    IRQ_TR_CH_INVALID_TRE_BIT_POS = 14

    ENABLE_IRQS = (
        BIT(IRQ_EV_CH_EOB_IRQ_BIT_POS)
        | BIT(IRQ_EV_CH_WR_RESP_BIT_POS)
        | BIT(IRQ_TR_CH_TRE_RD_RSP_ER_BIT_POS)
        | BIT(IRQ_TR_CH_DATA_RD_ER_BIT_POS)
        | BIT(IRQ_TR_CH_DATA_WR_ER_BIT_POS)
        | BIT(IRQ_TR_CH_INVALID_TRE_BIT_POS)
    )

    # enum ch_command
    CH_DISABLE = 0
    CH_ENABLE = 1
    CH_SUSPEND = 2
    CH_RESET = 9

    # enum ch_state
    CH_DISABLED = 0
    CH_ENABLED = 1
    CH_RUNNING = 2
    CH_SUSPENDED = 3
    CH_STOPPED = 4
    CH_ERROR = 5
    CH_IN_RESET = 9

    # enum tre_type
    TRE_MEMCPY = 3
    TRE_MEMSET = 4

    # enum evre_type
    EVRE_DMA_COMPLETE = 0x23
    EVRE_IMM_DATA = 0x24

    # enum err_code
    EVRE_STATUS_COMPLETE = 1
    EVRE_STATUS_ERROR = 4


def HIDMA_INCREMENT_ITERATOR(iter: int, size: int, ring_size: int) -> int:
    """The next offset in a ring of ``ring_size`` bytes (u32)."""
    iter = u32(iter + size)
    if iter >= ring_size:
        iter -= ring_size
    return iter


def HIDMA_CH_STATE(val: int) -> int:
    """The state field of a CTRLSTS value."""
    return (val >> CH_STATE_BIT_POS) & CH_STATE_MASK


def hidma_ll_free(lldev: HidmaLldev, tre_ch: int) -> None:
    """Give TRE number ``tre_ch`` (u32) back to the pool. Source: hidma_ll.c hidma_ll_free()."""
    if tre_ch >= lldev.nr_tres:
        dev_err(lldev.dev, f"invalid TRE number in free:{s32(tre_ch)}")
        return

    tre = tre_at(lldev, tre_ch)  # V14: whether there is a pool is not tested (row 65)
    if atomic_read(tre.allocated) != 1:
        dev_err(lldev.dev, f"trying to free an unused TRE:{s32(tre_ch)}")
        return

    atomic_set(tre.allocated, 0)


def hidma_ll_request(lldev: HidmaLldev | None, dma_sig: int, dev_name: str, callback: Any, data: Any,
                     tre_ch: Callable[[int], Any] | None) -> int:
    """Take a TRE from the pool.

    :param lldev: the channel
    :param dma_sig: signature of the requester, u32
    :param dev_name: name of the requester
    :param callback: called with ``data`` when the TRE completes; None for none
    :param tre_ch: stores the number of the TRE (the ``u32 *`` of C)
    :returns: 0, -EINVAL (no channel, nowhere to store), -ENOMEM (all in use)

    Source: hidma_ll.c hidma_ll_request()
    """
    if tre_ch is None or lldev is None:
        return -EINVAL

    # need to have at least one empty spot in the queue; V14: no pool after hidma_ll_uninit() is not tested for (row 65)
    i = 0
    while i < lldev.nr_tres - 1:
        tre = face(tre_at(lldev, i))
        if atomic_add_unless(tre.allocated, 1, 1):
            break
        i += 1

    if i == (lldev.nr_tres - 1):
        return -ENOMEM

    tre = face(tre_at(lldev, i))
    tre.dma_sig = dma_sig
    tre.dev_name = dev_name
    tre.callback = callback
    tre.data = data
    tre.idx = i
    tre.status = 0
    tre.queued = 0
    # V14: err_info of the last user stays (row 46)
    tx_status = status_at(lldev, i)
    tx_status.err_code = 0
    tre.lldev = lldev
    tre.tre_local[TRE_CFG_IDX] = TRE_MEMCPY
    tre.tre_local[TRE_CFG_IDX] |= (lldev.chidx & 0xFF) << 8
    tre.tre_local[TRE_CFG_IDX] |= BIT(16)  # set IEOB
    tre_ch(i)
    # V14: the callback is called once at request time (row 9)
    if callback is not None:
        call(callback, data)
    return 0


def hidma_ll_tre_complete(arg: Any) -> None:
    """The tasklet: call back for each TRE in the FIFO; several may be waiting."""
    lldev = to_lldev(arg)
    while True:
        tre = next_tre(fifo_of(lldev))
        if not tre:
            break
        # call the user if it has been read by the hardware
        if given(tre.callback):
            call(tre.callback, tre.data)


def hidma_handle_tre_completion(lldev: HidmaLldev) -> int:
    """Consume the EVREs that the hardware reports; how many TREs were completed.

    Called in the interrupt handler of the channel, again and again for as long as TREs are pending.
    """
    evre_ring_size = lldev.evre_ring_size
    tre_ring_size = lldev.tre_ring_size
    num_completed = 0

    evre_write_off = readl_relaxed(lldev.evca + EVCA_WRITE_PTR_OFFSET)
    tre_iterator = lldev.tre_processed_off
    evre_iterator = lldev.evre_processed_off

    # V14: a write pointer equal to the ring size passes (row 7), and the loop below never ends (row 37)
    if evre_write_off > evre_ring_size or evre_write_off % EVRE_SIZE != 0:
        dev_err(lldev.dev, "HW reports invalid EVRE write offset\n")
        return 0

    # The numbers of EVREs and TREs may not match by now: consume what the hardware told of, no more.
    while evre_iterator != evre_write_off:
        current_evre = lldev.evre_ring + evre_iterator

        flags = spin_lock_irqsave(lock_of(lldev))
        tre = pending_at(lldev, tre_iterator // TRE_SIZE)
        if not tre:
            spin_unlock_irqrestore(lock_of(lldev), flags)
            # V14: stepped over but not counted, so the saved offsets fall behind (row 6)
            dev_warn(lldev.dev, f"tre_index [{tre_iterator // TRE_SIZE}] and tre out of sync\n")
            tre_iterator = HIDMA_INCREMENT_ITERATOR(tre_iterator, TRE_SIZE, tre_ring_size)
            evre_iterator = HIDMA_INCREMENT_ITERATOR(evre_iterator, EVRE_SIZE, evre_ring_size)
            continue
        clear_pending(lldev, tre.tre_index)

        # the count of what is expected from the hardware: this one has come
        lldev.pending_tre_count -= 1
        if lldev.pending_tre_count < 0:
            dev_warn(lldev.dev, "tre count mismatch on completion")
            lldev.pending_tre_count = 0

        spin_unlock_irqrestore(lock_of(lldev), flags)

        cfg = load_u32(current_evre, EVRE_CFG_IDX)
        tx_status = status_at(lldev, tre.idx)
        tx_status.err_info = (cfg >> EVRE_ERRINFO_BIT_POS) & EVRE_ERRINFO_MASK
        tx_status.err_code = (cfg >> EVRE_CODE_BIT_POS) & EVRE_CODE_MASK
        tre.queued = 0

        # V14: a full FIFO drops the entry, silently (row 47)
        kfifo_put(fifo_of(lldev), tre)
        tasklet_schedule(task_of(lldev))

        tre_iterator = HIDMA_INCREMENT_ITERATOR(tre_iterator, TRE_SIZE, tre_ring_size)
        evre_iterator = HIDMA_INCREMENT_ITERATOR(evre_iterator, EVRE_SIZE, evre_ring_size)

        # while these are processed, the hardware delivers others
        evre_write_off = readl_relaxed(lldev.evca + EVCA_WRITE_PTR_OFFSET)
        num_completed += 1

    if num_completed:
        evre_read_off = u32(lldev.evre_processed_off + EVRE_SIZE * num_completed)
        tre_read_off = u32(lldev.tre_processed_off + TRE_SIZE * num_completed)

        evre_read_off = evre_read_off % evre_ring_size
        tre_read_off = tre_read_off % tre_ring_size

        writel(evre_read_off, lldev.evca + EVCA_DOORBELL_OFFSET)

        # record the last processed tre offset; V14: without the lock (row 8)
        lldev.tre_processed_off = tre_read_off
        lldev.evre_processed_off = evre_read_off

    return num_completed


def hidma_cleanup_pending_tre(lldev: HidmaLldev, err_info: int, err_code: int) -> None:
    """Complete every pending TRE with ``err_info`` and ``err_code`` (u8 each).

    Source: hidma_ll.c hidma_cleanup_pending_tre()
    """
    tre_ring_size = lldev.tre_ring_size
    num_completed = 0

    tre_iterator = lldev.tre_processed_off
    while lldev.pending_tre_count:
        tre_index = tre_iterator // TRE_SIZE

        flags = spin_lock_irqsave(lock_of(lldev))
        tre = pending_at(lldev, tre_index)
        if not tre:
            spin_unlock_irqrestore(lock_of(lldev), flags)
            # V14: never ends when the count is above the occupied slots (rows 5, 38)
            tre_iterator = HIDMA_INCREMENT_ITERATOR(tre_iterator, TRE_SIZE, tre_ring_size)
            continue
        clear_pending(lldev, tre_index)
        lldev.pending_tre_count -= 1
        if lldev.pending_tre_count < 0:
            dev_warn(lldev.dev, "tre count mismatch on completion")
            lldev.pending_tre_count = 0
        spin_unlock_irqrestore(lock_of(lldev), flags)

        tx_status = status_at(lldev, tre.idx)
        tx_status.err_info = err_info
        tx_status.err_code = err_code
        tre.queued = 0

        kfifo_put(fifo_of(lldev), tre)
        tasklet_schedule(task_of(lldev))

        tre_iterator = HIDMA_INCREMENT_ITERATOR(tre_iterator, TRE_SIZE, tre_ring_size)
        num_completed += 1
    tre_read_off = u32(lldev.tre_processed_off + TRE_SIZE * num_completed)

    tre_read_off = tre_read_off % tre_ring_size

    # record the last processed tre offset
    lldev.tre_processed_off = tre_read_off


def hidma_ll_reset(lldev: HidmaLldev) -> int:
    val = readl(lldev.trca + TRCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_RESET << 16
    writel(val, lldev.trca + TRCA_CTRLSTS_OFFSET)

    # the DMA logic comes to rest within 10 ms of the reset: poll once a millisecond, ten at most
    ret, val = readl_poll_timeout(lldev.trca + TRCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_DISABLED,
                                  1000, 10000)
    if ret:
        dev_err(lldev.dev, "transfer channel did not reset\n")
        return ret

    val = readl(lldev.evca + EVCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_RESET << 16
    writel(val, lldev.evca + EVCA_CTRLSTS_OFFSET)

    # the same holds for the event channel
    ret, val = readl_poll_timeout(lldev.evca + EVCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_DISABLED,
                                  1000, 10000)
    if ret:
        # V14: silent, unlike the transfer channel (row 45)
        return ret

    lldev.trch_state = CH_DISABLED
    lldev.evch_state = CH_DISABLED
    return 0


def hidma_ll_enable_irq(lldev: HidmaLldev, irq_bits: int) -> None:
    writel(irq_bits, lldev.evca + EVCA_IRQ_EN_OFFSET)


# The handler consumes as many EVREs as are pending. Each EVRE reports the result of the TRE that holds what the user asked
# for, and nothing in it says which: the hardware guarantees that EVREs come in the order of their TREs, so the offset that
# was processed last leads from one to the other.
#
# One pass consumes what was delivered. More may be delivered meanwhile, so there is a second pass, and then the handler
# returns: for what it leaves the hardware raises the interrupt again until all its bits are cleared.
#
# The hardware guarantees also that by the time the interrupt is seen, the data of all transactions in flight has arrived and
# is visible to the CPU. Accesses through an IOMMU are no exception: HIDMA knows of none (it uses the DMA API), works on
# pinned addresses (demand paging, by PRI, is for PCIe only), and look-ups and movement of data are over when the interrupt
# comes. The first read of a PCI device's handler pushes outstanding writes to memory in front of it; here nothing relies on
# a read for that.
def hidma_ll_int_handler_internal(lldev: HidmaLldev) -> None:
    repeat = 2

    # The accessors are relaxed for speed, which is right because of what this hardware guarantees for its interrupt, as
    # above. Other hardware needs ordered ones.
    # V14: read once; an error bit that comes up later is taken for a normal cause (rows 1, 2)
    status = readl_relaxed(lldev.evca + EVCA_IRQ_STAT_OFFSET)
    enable = readl_relaxed(lldev.evca + EVCA_IRQ_EN_OFFSET)
    cause = status & enable

    if (
        cause & BIT(IRQ_TR_CH_INVALID_TRE_BIT_POS)
        or cause & BIT(IRQ_TR_CH_TRE_RD_RSP_ER_BIT_POS)
        or cause & BIT(IRQ_EV_CH_WR_RESP_BIT_POS)
        or cause & BIT(IRQ_TR_CH_DATA_RD_ER_BIT_POS)
        or cause & BIT(IRQ_TR_CH_DATA_WR_ER_BIT_POS)
    ):
        err_code = EVRE_STATUS_ERROR
        err_info = 0xFF

        # Clear out pending interrupts
        writel(cause, lldev.evca + EVCA_IRQ_CLR_OFFSET)

        dev_err(lldev.dev, f"error 0x{cause:x}, resetting...\n")

        hidma_cleanup_pending_tre(lldev, err_info, err_code)

        # reset the channel for recovery; V14: with its sleeping polls, in interrupt context (row 4)
        if hidma_ll_setup(lldev):
            dev_err(lldev.dev, "channel reinitialize failed after error\n")
            return
        hidma_ll_enable_irq(lldev, ENABLE_IRQS)
        return

    # Consume as many EVREs as possible; a spurious interrupt has no cause and skips this.
    while cause and repeat:
        start = jiffies()

        # This timeout should be sufficent for core to finish
        timeout = start + msecs_to_jiffies(500)

        # V14: spins while anything is pending (row 1)
        while lldev.pending_tre_count:
            hidma_handle_tre_completion(lldev)
            if time_is_before_jiffies(timeout):
                now = jiffies()
                dev_warn(lldev.dev, f"ISR timeout {now:x}-{timeout:x} from {start:x} [{lldev.pending_tre_count}]\n")
                break

        # V14: acknowledged after the consumption, and not at all after the second pass (rows 1, 3)
        writel_relaxed(cause, lldev.evca + EVCA_IRQ_CLR_OFFSET)

        # another interrupt might have arrived meanwhile
        status = readl_relaxed(lldev.evca + EVCA_IRQ_STAT_OFFSET)
        enable = readl_relaxed(lldev.evca + EVCA_IRQ_EN_OFFSET)
        cause = status & enable

        repeat -= 1


def hidma_ll_enable(lldev: HidmaLldev) -> int:
    val = readl(lldev.evca + EVCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_ENABLE << 16
    writel(val, lldev.evca + EVCA_CTRLSTS_OFFSET)

    ret, val = readl_poll_timeout(
        lldev.evca + EVCA_CTRLSTS_OFFSET,
        lambda val: HIDMA_CH_STATE(val) == CH_ENABLED or HIDMA_CH_STATE(val) == CH_RUNNING, 1000, 10000)
    if ret:
        dev_err(lldev.dev, "event channel did not get enabled\n")
        return ret

    val = readl(lldev.trca + TRCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_ENABLE << 16
    writel(val, lldev.trca + TRCA_CTRLSTS_OFFSET)

    ret, val = readl_poll_timeout(
        lldev.trca + TRCA_CTRLSTS_OFFSET,
        lambda val: HIDMA_CH_STATE(val) == CH_ENABLED or HIDMA_CH_STATE(val) == CH_RUNNING, 1000, 10000)
    if ret:
        dev_err(lldev.dev, "transfer channel did not get enabled\n")
        return ret

    lldev.trch_state = CH_ENABLED
    lldev.evch_state = CH_ENABLED

    return 0


def hidma_ll_resume(lldev: HidmaLldev) -> int:
    """Enable the channel again: 0 or -ETIMEDOUT. Source: hidma_ll.c hidma_ll_resume()."""
    return hidma_ll_enable(lldev)


def hidma_ll_hw_start(lldev: HidmaLldev) -> None:
    irqflags = spin_lock_irqsave(lock_of(lldev))
    writel(lldev.tre_write_offset, lldev.trca + TRCA_DOORBELL_OFFSET)
    spin_unlock_irqrestore(lock_of(lldev), irqflags)


def hidma_ll_isenabled(lldev: HidmaLldev) -> int:
    """Whether both sides are enabled or running. Source: hidma_ll.c hidma_ll_isenabled()."""
    val = readl(lldev.trca + TRCA_CTRLSTS_OFFSET)
    lldev.trch_state = HIDMA_CH_STATE(val)
    val = readl(lldev.evca + EVCA_CTRLSTS_OFFSET)
    lldev.evch_state = HIDMA_CH_STATE(val)

    # both channels have to be enabled before calling this function
    if (lldev.trch_state == CH_ENABLED or lldev.trch_state == CH_RUNNING) and (
        lldev.evch_state == CH_ENABLED or lldev.evch_state == CH_RUNNING
    ):
        return 1

    return 0


def hidma_ll_queue_request(lldev: HidmaLldev, tre_ch: int) -> None:
    """Copy TRE number ``tre_ch`` (u32) into the ring; the hardware is not told yet.

    Source: hidma_ll.c hidma_ll_queue_request()
    """
    tre = tre_at(lldev, tre_ch)  # V14: whether there is a pool is not tested (row 65)

    # copy the TRE into its location in the TRE ring
    flags = spin_lock_irqsave(lock_of(lldev))
    tre.tre_index = lldev.tre_write_offset // TRE_SIZE
    set_pending(lldev, tre.tre_index, tre)
    memcpy_words(lldev.tre_ring + lldev.tre_write_offset, tre.tre_local, TRE_SIZE)
    tx_status = status_at(lldev, tre.idx)
    tx_status.err_code = 0
    tx_status.err_info = 0
    tre.queued = 1
    lldev.pending_tre_count += 1
    # compare first: a division costs more than the rest of the function
    write_offset = lldev.tre_write_offset + TRE_SIZE
    lldev.tre_write_offset = write_offset if write_offset < lldev.tre_ring_size else write_offset % lldev.tre_ring_size
    spin_unlock_irqrestore(lock_of(lldev), flags)


def hidma_ll_start(lldev: HidmaLldev) -> None:
    """Ring the doorbell for everything queued. Source: hidma_ll.c hidma_ll_start()."""
    hidma_ll_hw_start(lldev)


def hidma_ll_pause(lldev: HidmaLldev) -> int:
    """Suspend both sides; what is in flight completes: 0 or -ETIMEDOUT. Source: hidma_ll.c hidma_ll_pause()."""
    val = readl(lldev.evca + EVCA_CTRLSTS_OFFSET)
    lldev.evch_state = HIDMA_CH_STATE(val)
    val = readl(lldev.trca + TRCA_CTRLSTS_OFFSET)
    lldev.trch_state = HIDMA_CH_STATE(val)

    # already suspended by this OS; V14: when either side is, and interrupts are not masked (row 13)
    if lldev.trch_state == CH_SUSPENDED or lldev.evch_state == CH_SUSPENDED:
        return 0

    # already stopped by the manager
    if lldev.trch_state == CH_STOPPED or lldev.evch_state == CH_STOPPED:
        return 0

    val = readl(lldev.trca + TRCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_SUSPEND << 16
    writel(val, lldev.trca + TRCA_CTRLSTS_OFFSET)

    # the wait starts right after the suspend is confirmed
    ret, val = readl_poll_timeout(lldev.trca + TRCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_SUSPENDED,
                                  1000, 10000)
    if ret:
        return ret

    val = readl(lldev.evca + EVCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_SUSPEND << 16
    writel(val, lldev.evca + EVCA_CTRLSTS_OFFSET)

    ret, val = readl_poll_timeout(lldev.evca + EVCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_SUSPENDED,
                                  1000, 10000)
    if ret:
        return ret

    lldev.trch_state = CH_SUSPENDED
    lldev.evch_state = CH_SUSPENDED
    return 0


def hidma_ll_set_transfer_params(lldev: HidmaLldev, tre_ch: int, src: int, dest: int, len: int, flags: int) -> None:
    """Fill TRE number ``tre_ch``.

    :param tre_ch: number of the TRE, u32
    :param src: source bus address, u64
    :param dest: destination bus address, u64
    :param len: bytes, u32
    :param flags: kept with the TRE, u32; the hardware never sees them

    Source: hidma_ll.c hidma_ll_set_transfer_params()
    """
    if tre_ch >= lldev.nr_tres:
        dev_err(lldev.dev, f"invalid TRE number in transfer params:{s32(tre_ch)}")
        return

    tre = tre_at(lldev, tre_ch)  # V14: whether there is a pool is not tested (row 65)
    if atomic_read(tre.allocated) != 1:
        dev_err(lldev.dev, f"trying to set params on an unused TRE:{s32(tre_ch)}")
        return

    tre.tre_local[TRE_LEN_IDX] = u32(len)
    tre.tre_local[TRE_SRC_LOW_IDX] = u32(src)
    tre.tre_local[TRE_SRC_HI_IDX] = src >> 32
    tre.tre_local[TRE_DEST_LOW_IDX] = u32(dest)
    tre.tre_local[TRE_DEST_HI_IDX] = dest >> 32
    tre.int_flags = u32(flags)


def hidma_ll_setup(lldev: HidmaLldev) -> int:
    """Bring the hardware up, at probe and after an error: 0 or -ETIMEDOUT. Source: hidma_ll.c hidma_ll_setup()."""
    nr_tres = lldev.nr_tres

    # V14: pending_tre_list keeps its entries (row 12)
    lldev.pending_tre_count = 0
    lldev.tre_processed_off = 0
    lldev.evre_processed_off = 0
    lldev.tre_write_offset = 0

    # disable interrupts
    hidma_ll_enable_irq(lldev, 0)

    # clear all pending interrupts
    val = readl(lldev.evca + EVCA_IRQ_STAT_OFFSET)
    writel(val, lldev.evca + EVCA_IRQ_CLR_OFFSET)

    rc = hidma_ll_reset(lldev)
    if rc:
        return rc

    # again: otherwise the interrupts of the finished reset are seen
    val = readl(lldev.evca + EVCA_IRQ_STAT_OFFSET)
    writel(val, lldev.evca + EVCA_IRQ_CLR_OFFSET)

    # disable interrupts again after reset
    hidma_ll_enable_irq(lldev, 0)

    addr = lldev.tre_ring_handle
    writel(lower_32_bits(addr), lldev.trca + TRCA_RING_LOW_OFFSET)
    writel(upper_32_bits(addr), lldev.trca + TRCA_RING_HIGH_OFFSET)
    writel(lldev.tre_ring_size, lldev.trca + TRCA_RING_LEN_OFFSET)

    addr = lldev.evre_ring_handle
    writel(lower_32_bits(addr), lldev.evca + EVCA_RING_LOW_OFFSET)
    writel(upper_32_bits(addr), lldev.evca + EVCA_RING_HIGH_OFFSET)
    writel((EVRE_SIZE * nr_tres) & 0xFFFFFFFF, lldev.evca + EVCA_RING_LEN_OFFSET)

    # support IRQ only for now
    val = readl(lldev.evca + EVCA_INTCTRL_OFFSET)
    val &= ~0xF
    val |= 0x1
    writel(val, lldev.evca + EVCA_INTCTRL_OFFSET)

    # clear all pending interrupts and enable them; V14: before the channel is enabled (row 12)
    writel(ENABLE_IRQS, lldev.evca + EVCA_IRQ_CLR_OFFSET)
    hidma_ll_enable_irq(lldev, ENABLE_IRQS)

    return hidma_ll_enable(lldev)


def hidma_ll_init(dev: Device | None, nr_tres: int, trca: int, evca: int, chidx: int) -> HidmaLldev | None:
    """Allocate the rings of a channel and bring its hardware up.

    :param dev: the device, for memory and messages
    :param nr_tres: TREs that may be in flight, u32, at least 4
    :param trca: registers of the transfer channel, ``void __iomem *``
    :param evca: registers of the event channel, ``void __iomem *``
    :param chidx: index of the channel in its core, u8
    :returns: the channel, None when anything failed

    Source: hidma_ll.c hidma_ll_init()
    """
    if not trca or not evca or dev is None or not nr_tres:
        return None

    # need at least four TREs; V14: a caller that asks for fewer is told to try again later (row 51)
    if nr_tres < 4:
        return None

    # need an extra space
    nr_tres = (nr_tres + 1) & 0xFFFFFFFF

    lldev = devm_kzalloc(dev, HidmaLldev, GFP_KERNEL)
    if lldev is None:
        return None

    lldev.evca = evca
    lldev.trca = trca
    lldev.dev = dev
    lldev.trepool = devm_kcalloc(lldev.dev, nr_tres, HidmaTre, GFP_KERNEL)
    if lldev.trepool is None:
        return None

    lldev.pending_tre_list = devm_kcalloc(dev, nr_tres, lambda: None, GFP_KERNEL)
    if lldev.pending_tre_list is None:
        return None

    lldev.tx_status_list = devm_kcalloc(dev, nr_tres, HidmaTxStatus, GFP_KERNEL)
    if lldev.tx_status_list is None:
        return None

    # V14: one byte of slack for each entry, too little to align a ring of fewer than 31 entries (rows 10, 39)
    lldev.tre_ring, lldev.tre_ring_handle = dmam_alloc_coherent(dev, (TRE_SIZE + 1) * nr_tres, GFP_KERNEL)
    if not lldev.tre_ring:
        return None

    memset(lldev.tre_ring, 0, (TRE_SIZE + 1) * nr_tres)
    lldev.tre_ring_size = (TRE_SIZE * nr_tres) & 0xFFFFFFFF
    lldev.nr_tres = nr_tres

    # the TRE ring has to be TRE_SIZE aligned
    if not IS_ALIGNED(lldev.tre_ring_handle, TRE_SIZE):
        tre_ring_shift = lldev.tre_ring_handle % TRE_SIZE
        tre_ring_shift = TRE_SIZE - tre_ring_shift
        lldev.tre_ring_handle = (lldev.tre_ring_handle + tre_ring_shift) & 0xFFFFFFFFFFFFFFFF
        lldev.tre_ring += tre_ring_shift

    lldev.evre_ring, lldev.evre_ring_handle = dmam_alloc_coherent(dev, (EVRE_SIZE + 1) * nr_tres, GFP_KERNEL)
    if not lldev.evre_ring:
        return None

    memset(lldev.evre_ring, 0, (EVRE_SIZE + 1) * nr_tres)
    lldev.evre_ring_size = (EVRE_SIZE * nr_tres) & 0xFFFFFFFF

    # the EVRE ring has to be EVRE_SIZE aligned
    if not IS_ALIGNED(lldev.evre_ring_handle, EVRE_SIZE):
        evre_ring_shift = lldev.evre_ring_handle % EVRE_SIZE
        evre_ring_shift = EVRE_SIZE - evre_ring_shift
        lldev.evre_ring_handle = (lldev.evre_ring_handle + evre_ring_shift) & 0xFFFFFFFFFFFFFFFF
        lldev.evre_ring += evre_ring_shift
    lldev.nr_tres = nr_tres
    lldev.chidx = chidx & 0xFF

    # V14: the size is meant in bytes and taken in elements: eight times what is needed (row 47)
    rc = kfifo_alloc(lldev.handoff_fifo, nr_tres * 8, GFP_KERNEL)
    if rc:
        return None

    # V14: interrupts are enabled before lock and tasklet are initialised (row 11)
    rc = hidma_ll_setup(lldev)
    if rc:
        return None

    spin_lock_init(lldev.lock)
    tasklet_init(lldev.task, function(hidma_ll_tre_complete), lldev)
    lldev.initialized = 1
    hidma_ll_enable_irq(lldev, ENABLE_IRQS)
    return lldev


def hidma_ll_uninit(lldev: HidmaLldev | None) -> int:
    """Take the channel down: 0, -ENODEV (no channel), -ETIMEDOUT. Source: hidma_ll.c hidma_ll_uninit()."""
    rc = 0

    if lldev is None:
        return -ENODEV

    if lldev.initialized:
        lldev.initialized = 0

        tasklet_kill(lldev.task)
        for tre in lldev.trepool:
            tre.clear()
        lldev.trepool = None  # V14: nobody tests it (row 65)
        lldev.pending_tre_count = 0
        lldev.tre_write_offset = 0

        rc = hidma_ll_reset(lldev)

        # again: otherwise the interrupts of the finished reset are seen
        val = readl(lldev.evca + EVCA_IRQ_STAT_OFFSET)
        writel(val, lldev.evca + EVCA_IRQ_CLR_OFFSET)
        hidma_ll_enable_irq(lldev, 0)
    return rc


def hidma_ll_inthandler(chirq: int, arg: Any) -> int:
    """The interrupt handler; ``arg`` is the channel. Always IRQ_HANDLED. Source: hidma_ll.c hidma_ll_inthandler()."""
    hidma_ll_int_handler_internal(arg)
    return IRQ_HANDLED


def hidma_ll_status(lldev: HidmaLldev, tre_ch: int) -> int:
    """``enum dma_status`` of TRE number ``tre_ch`` (u32). Source: hidma_ll.c hidma_ll_status()."""
    flags = spin_lock_irqsave(lock_of(lldev))
    tx_status = status_at(lldev, tre_ch)
    err_code = tx_status.err_code

    # V14: bit tests, so that code 5 reads as complete (row 14)
    if err_code & EVRE_STATUS_COMPLETE:
        ret = DMA_COMPLETE
    elif err_code & EVRE_STATUS_ERROR:
        ret = DMA_ERROR
    else:
        ret = DMA_IN_PROGRESS
    spin_unlock_irqrestore(lock_of(lldev), flags)

    return ret
