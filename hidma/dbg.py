# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/dma/qcom/hidma_dbg.c: Qualcomm Technologies HIDMA debug file
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma_dbg.c``: the debugfs files of a channel device. V14's oddities are kept and
marked with their row in docs/quirks.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hidma.hidma_h import TRE_DEST_HI_IDX, TRE_DEST_LOW_IDX, TRE_LEN_IDX, TRE_SRC_HI_IDX, TRE_SRC_LOW_IDX, HidmaLldev
from hidma.linux.atomic import atomic_read
from hidma.linux.debugfs import debugfs_create_dir, debugfs_create_file, debugfs_remove_recursive
from hidma.linux.device import dev_name
from hidma.linux.errno import ENODEV, ENOMEM
from hidma.linux.ioport import resource_size
from hidma.linux.list import list_for_each_entry
from hidma.linux.pm_runtime import pm_runtime_get_sync, pm_runtime_mark_last_busy, pm_runtime_put_autosuspend
from hidma.linux.printk import dev_err, pa, ptr, s32
from hidma.linux.seq_file import FileOperations, SeqFile, seq_printf, seq_puts, single_open
from hidma.linux.sysfs import S_IRUGO


def hidma_ll_chstats(s: SeqFile, llhndl: HidmaLldev, tre_ch: int) -> None:
    lldev = llhndl

    if tre_ch >= lldev.nr_tres:
        dev_err(lldev.dev, f"invalid TRE number in chstats:{s32(tre_ch)}")
        return
    tre = lldev.trepool[tre_ch]
    seq_printf(s, f"------Channel {s32(tre_ch)} -----\n")
    seq_printf(s, f"allocated={atomic_read(tre.allocated)}\n")
    seq_printf(s, f"queued = 0x{int(tre.queued):x}\n")
    seq_printf(s, f"err_info = 0x{lldev.tx_status_list[tre.idx].err_info:x}\n")
    seq_printf(s, f"err_code = 0x{lldev.tx_status_list[tre.idx].err_code:x}\n")
    seq_printf(s, f"status = 0x{tre.status:x}\n")
    seq_printf(s, f"idx = 0x{tre.idx:x}\n")
    seq_printf(s, f"dma_sig = 0x{tre.dma_sig:x}\n")
    seq_printf(s, f"dev_name={'(null)' if tre.dev_name is None else tre.dev_name}\n")
    seq_printf(s, f"callback={ptr(tre.callback)}\n")
    seq_printf(s, f"data={ptr(tre.data)}\n")
    seq_printf(s, f"tre_index = 0x{tre.tre_index:x}\n")

    tre_local = tre.tre_local
    src_start = tre_local[TRE_SRC_LOW_IDX] + (tre_local[TRE_SRC_HI_IDX] << 32)
    dest_start = tre_local[TRE_DEST_LOW_IDX] + (tre_local[TRE_DEST_HI_IDX] << 32)
    length = tre_local[TRE_LEN_IDX]

    seq_printf(s, f"src={pa(src_start)}\n")
    seq_printf(s, f"dest={pa(dest_start)}\n")
    seq_printf(s, f"length = 0x{length:x}\n")


def hidma_ll_devstats(s: SeqFile, llhndl: HidmaLldev) -> None:
    lldev = llhndl

    seq_puts(s, "------Device -----\n")
    seq_printf(s, f"lldev init = 0x{int(lldev.initialized):x}\n")
    seq_printf(s, f"trch_state = 0x{lldev.trch_state:x}\n")
    seq_printf(s, f"evch_state = 0x{lldev.evch_state:x}\n")
    seq_printf(s, f"chidx = 0x{lldev.chidx:x}\n")
    seq_printf(s, f"nr_tres = 0x{lldev.nr_tres:x}\n")
    seq_printf(s, f"trca={ptr(lldev.trca)}\n")
    seq_printf(s, f"tre_ring={ptr(lldev.tre_ring)}\n")
    seq_printf(s, f"tre_ring_handle={pa(lldev.tre_ring_handle)}\n")
    seq_printf(s, f"tre_ring_size = 0x{lldev.tre_ring_size:x}\n")
    seq_printf(s, f"tre_processed_off = 0x{lldev.tre_processed_off:x}\n")
    seq_printf(s, f"pending_tre_count={lldev.pending_tre_count}\n")
    seq_printf(s, f"evca={ptr(lldev.evca)}\n")
    seq_printf(s, f"evre_ring={ptr(lldev.evre_ring)}\n")
    seq_printf(s, f"evre_ring_handle={pa(lldev.evre_ring_handle)}\n")
    seq_printf(s, f"evre_ring_size = 0x{lldev.evre_ring_size:x}\n")
    seq_printf(s, f"evre_processed_off = 0x{lldev.evre_processed_off:x}\n")
    seq_printf(s, f"tre_write_offset = 0x{lldev.tre_write_offset:x}\n")


def hidma_chan_stats(s: SeqFile, unused: Any) -> int:
    """Display HIDMA channel statistics: the current state of the channel and of each descriptor in a list."""
    mchan = s.private
    dmadev = mchan.dmadev

    pm_runtime_get_sync(dmadev.ddev.dev)
    seq_printf(s, f"paused={int(mchan.paused)}\n")
    seq_printf(s, f"dma_sig={mchan.dma_sig}\n")
    seq_puts(s, "prepared\n")
    for mdesc in list_for_each_entry(mchan.prepared):
        hidma_ll_chstats(s, mchan.dmadev.lldev, mdesc.tre_ch)

    seq_puts(s, "active\n")
    for mdesc in list_for_each_entry(mchan.active):
        hidma_ll_chstats(s, mchan.dmadev.lldev, mdesc.tre_ch)

    seq_puts(s, "completed\n")
    for mdesc in list_for_each_entry(mchan.completed):
        hidma_ll_chstats(s, mchan.dmadev.lldev, mdesc.tre_ch)

    hidma_ll_devstats(s, mchan.dmadev.lldev)
    pm_runtime_mark_last_busy(dmadev.ddev.dev)
    pm_runtime_put_autosuspend(dmadev.ddev.dev)
    return 0


def hidma_dma_info(s: SeqFile, unused: Any) -> int:
    """Display HIDMA device info: descriptors, and the registers of both sides."""
    dmadev = s.private

    seq_printf(s, f"nr_descriptors={s32(dmadev.nr_descriptors)}\n")
    # V14: prints the address of the pointer, not the pointer (row 24)
    seq_printf(s, f"dev_trca={ptr(dmadev, 'dev_trca')}\n")
    seq_printf(s, f"dev_trca_phys={pa(dmadev.trca_resource.start)}\n")
    sz = resource_size(dmadev.trca_resource)
    seq_printf(s, f"dev_trca_size={pa(sz)}\n")
    seq_printf(s, f"dev_evca={ptr(dmadev, 'dev_evca')}\n")
    seq_printf(s, f"dev_evca_phys={pa(dmadev.evca_resource.start)}\n")
    sz = resource_size(dmadev.evca_resource)
    seq_printf(s, f"dev_evca_size={pa(sz)}\n")
    return 0


def hidma_chan_stats_open(file: SeqFile) -> int:
    return single_open(file, hidma_chan_stats, file.private)


def hidma_dma_info_open(file: SeqFile) -> int:
    return single_open(file, hidma_dma_info, file.private)


hidma_chan_fops = FileOperations(open=hidma_chan_stats_open)

hidma_dma_fops = FileOperations(open=hidma_dma_info_open)


def hidma_debug_uninit(dmadev: Any) -> None:
    """Remove the debugfs files of a channel device. Source: hidma_dbg.c hidma_debug_uninit()."""
    debugfs_remove_recursive(dmadev.debugfs)
    # V14: the line above has removed stats already (row 24)
    debugfs_remove_recursive(dmadev.stats)


def hidma_debug_init(dmadev: Any) -> int:
    """Make the debugfs files of a channel device: 0, -ENODEV, -ENOMEM. Source: hidma_dbg.c hidma_debug_init()."""
    chidx = 0

    dmadev.debugfs = debugfs_create_dir(dev_name(dmadev.ddev.dev), None)
    if dmadev.debugfs is None:
        return -ENODEV

    with ExitStack() as goto:
        # cleanup:
        goto.callback(hidma_debug_uninit, dmadev)

        # walk through the virtual channel list
        for dmach in list_for_each_entry(dmadev.ddev.channels):
            chan = dmach.container
            chan.dbg_name = f"chan{chidx}"
            chan.debugfs = debugfs_create_dir(chan.dbg_name, dmadev.debugfs)
            if chan.debugfs is None:
                return -ENOMEM
            chan.stats = debugfs_create_file("stats", S_IRUGO, chan.debugfs, chan, hidma_chan_fops)
            if chan.stats is None:
                return -ENOMEM
            chidx += 1

        dmadev.stats = debugfs_create_file("stats", S_IRUGO, dmadev.debugfs, dmadev, hidma_dma_fops)
        if dmadev.stats is None:
            return -ENOMEM

        goto.pop_all()
        return 0
