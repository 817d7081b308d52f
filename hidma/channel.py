# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
#
# drivers/dma/qcom/hidma.c: Qualcomm Technologies HIDMA DMA engine interface
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Copyright (C) Freescale Semicondutor, Inc. 2007, 2008.
# Copyright (C) Semihalf 2009
# Copyright (C) Ilya Yanok, Emcraft Systems 2010
# Copyright (C) Alexander Popov, Promcontroller 2014
#
# Written by Piotr Ziecik <kosmo@semihalf.com>. Hardware description (defines, structures and comments) was taken from
# MPC5121 DMA driver written by Hongjun Chen <hong-jun.chen@freescale.com>.
#
# Approved as OSADL project by a majority of OSADL members and funded by OSADL membership fees in 2009; for details see
# www.osadl.org.
#
# Linux Foundation elects GPLv2 license only.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma.c``: the dmaengine driver of one channel. Function by function and in the order
of the C file; V14's oddities are kept and marked with their row in docs/quirks. Rings and interrupts are ``ll``'s.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import cython

from hidma.dbg import hidma_debug_init, hidma_debug_uninit
from hidma.hidma_h import HidmaChan, HidmaDesc, HidmaDev, HidmaLldev
from hidma.linux import sched
from hidma.linux.acpi import AcpiDeviceId
from hidma.linux.device import Device
from hidma.linux.dma_mapping import DMA_BIT_MASK, dma_set_mask_and_coherent
from hidma.linux.dmaengine import (
    DmaAsyncTxDescriptor,
    DmaChan,
    DmaDevice,
    DmaTxState,
    dma_async_device_register,
    dma_async_device_unregister,
    dma_cap_set,
    dma_cookie_init,
    dma_descriptor_unmap,
)
from hidma.linux.errno import EINVAL, ENODEV, ENOMEM, ENXIO, EPROBE_DEFER
from hidma.linux.interrupt import devm_free_irq, devm_request_irq
from hidma.linux.ioport import IORESOURCE_MEM, IS_ERR, devm_ioremap_resource
from hidma.linux.list import ListHead, list_for_each_entry_safe
from hidma.linux.module import Module, ModuleParam
from hidma.linux.of import OfDeviceId
from hidma.linux.platform_device import (
    PlatformDevice,
    PlatformDriver,
    platform_driver_register,
    platform_driver_unregister,
    platform_get_drvdata,
    platform_get_irq,
    platform_get_resource,
    platform_set_drvdata,
    to_platform_device,
)
from hidma.linux.pm_runtime import (
    pm_runtime_disable,
    pm_runtime_enable,
    pm_runtime_put_sync,
    pm_runtime_put_sync_suspend,
    pm_runtime_set_active,
    pm_runtime_set_autosuspend_delay,
    pm_runtime_use_autosuspend,
)
from hidma.linux.printk import dev_err, dev_info, dev_warn, s32
from hidma.linux.property import device_property_read_u32
from hidma.linux.slab import GFP_KERNEL, GFP_NOWAIT, devm_kmalloc, devm_kstrdup, devm_kzalloc, kfree, kzalloc
from hidma.linux.spinlock import spin_lock_init
from hidma.linux.sysfs import S_IRUGO, DeviceAttribute, device_create_file, sprintf, strlen, sysfs_attr_init
from hidma.ll import hidma_ll_init, hidma_ll_pause, hidma_ll_setup, hidma_ll_uninit

if not cython.compiled:
    from hidma.hidma_h import NO_DESC, chan_of, desc_of, dev_of, running_cookie, running_of, set_running
    from hidma.linux.dmaengine import (
        DMA_COMPLETE,
        DMA_IN_PROGRESS,
        DMA_MEMCPY,
        DMA_PAUSED,
        NO_TX,
        dma_async_tx_descriptor_init,
        dma_cookie_assign,
        dma_cookie_complete,
        dma_cookie_status,
        dma_run_dependencies,
    )
    from hidma.linux.interrupt import irq_handler, tasklet_init, tasklet_schedule
    from hidma.linux.io import readl
    from hidma.linux.list import (
        INIT_LIST_HEAD,
        LIST_HEAD,
        list_add_tail,
        list_del,
        list_empty,
        list_entry,
        list_first_entry,
        list_head_gone,
        list_move,
        list_move_tail,
        list_splice_init,
        list_splice_tail_init,
    )
    from hidma.linux.pm_runtime import (
        pm_runtime_get,
        pm_runtime_get_sync,
        pm_runtime_mark_last_busy,
        pm_runtime_put_autosuspend,
    )
    from hidma.linux.spinlock import spin_lock_irqsave, spin_unlock_irqrestore
    from hidma.linux.types import call, face, function, given
    from hidma.ll import (
        hidma_ll_free,
        hidma_ll_inthandler,
        hidma_ll_isenabled,
        hidma_ll_queue_request,
        hidma_ll_request,
        hidma_ll_resume,
        hidma_ll_set_transfer_params,
        hidma_ll_start,
        hidma_ll_status,
    )

# Default idle time is 2 seconds. It can be overridden through power/autosuspend_delay_ms of the device.
HIDMA_AUTOSUSPEND_TIMEOUT = 2000
HIDMA_ERR_INFO_SW = 0xFF
HIDMA_ERR_CODE_UNEXPECTED_TERMINATE = 0x0
HIDMA_NR_DEFAULT_DESC = 10


def to_hidma_dev(dmadev: DmaDevice) -> HidmaDev:
    return dev_of(dmadev.container)


def to_hidma_chan(dmach: DmaChan) -> HidmaChan:
    return chan_of(dmach.container)


def to_hidma_desc(t: DmaAsyncTxDescriptor) -> HidmaDesc:
    return desc_of(t.container)


def hidma_free(dmadev: HidmaDev) -> None:
    INIT_LIST_HEAD(dmadev.ddev.channels)


# module_param(nr_desc_prm, uint, 0644): kept by the running kernel
nr_desc_prm = ModuleParam("nr_desc_prm", "uint", 0o644, 0, "number of descriptors (default: 0)")


def hidma_process_completed(mchan: HidmaChan) -> None:
    """Process completed descriptors."""
    ddev = mchan.chan.device
    mdma = to_hidma_dev(ddev)
    list_ = LIST_HEAD()

    # Get all completed descriptors
    irqflags = spin_lock_irqsave(mchan.lock)
    list_splice_tail_init(mchan.completed, list_)
    spin_unlock_irqrestore(mchan.lock, irqflags)

    # Execute callbacks and run dependencies
    # V14: a descriptor is in this list while its callback runs, which may move it (row 64)
    node = list_.next
    while node != list_:
        mdesc = list_entry(node)
        desc = mdesc.desc

        # V14: the cookie completes first; a failed descriptor reads DMA_COMPLETE from here on (rows 17, 18)
        irqflags = spin_lock_irqsave(mchan.lock)
        dma_cookie_complete(desc)
        spin_unlock_irqrestore(mchan.lock, irqflags)

        llstat = hidma_ll_status(mdma.lldev, mdesc.tre_ch)
        # V14: no callback for a transfer that failed (row 17)
        if given(desc.callback) and llstat == DMA_COMPLETE:
            call(desc.callback, desc.callback_param)

        dma_run_dependencies(desc)
        node = node.next

    # Free descriptors; V14: to the end of the list, so that each is used again as late as can be (row 59)
    irqflags = spin_lock_irqsave(mchan.lock)
    list_splice_tail_init(list_, mchan.free)
    spin_unlock_irqrestore(mchan.lock, irqflags)
    list_head_gone(list_)


def hidma_callback(data: Any) -> None:
    """Called once for each submitted descriptor; PM is held once for each descriptor that is in execution."""
    mdesc = desc_of(data)  # V14: may have been freed (row 61), or be on a list that a termination walks (row 63)
    mchan = to_hidma_chan(mdesc.desc.chan)
    ddev = mchan.chan.device
    dmadev = to_hidma_dev(ddev)
    queued = 0

    irqflags = spin_lock_irqsave(mchan.lock)
    if given(mdesc.node.next):
        # Delete from the active list, add to completed list
        list_move_tail(mdesc.node, mchan.completed)
        queued = 1

        # calculate the next running descriptor; V14: the list head, when there is none (row 43)
        set_running(mchan, list_first_entry(mchan.active))
    spin_unlock_irqrestore(mchan.lock, irqflags)

    hidma_process_completed(mchan)

    # V14: drops the reference of the submit only (row 16)
    if queued:
        pm_runtime_mark_last_busy(dmadev.ddev.dev)
        pm_runtime_put_autosuspend(dmadev.ddev.dev)


def hidma_chan_init(dmadev: HidmaDev, dma_sig: int) -> int:
    mchan = devm_kzalloc(dmadev.ddev.dev, HidmaChan, GFP_KERNEL)
    if mchan is None:
        return -ENOMEM

    ddev = dmadev.ddev
    mchan.dma_sig = dma_sig
    mchan.dmadev = dmadev
    mchan.chan.device = ddev
    dma_cookie_init(mchan.chan)

    INIT_LIST_HEAD(mchan.free)
    INIT_LIST_HEAD(mchan.prepared)
    INIT_LIST_HEAD(mchan.active)
    INIT_LIST_HEAD(mchan.completed)

    spin_lock_init(mchan.lock)
    list_add_tail(mchan.chan.device_node, ddev.channels)
    dmadev.ddev.chancnt += 1
    return 0


def hidma_issue_task(arg: Any) -> None:
    dmadev = dev_of(arg)

    # V14: one more reference that is never dropped, and a sleeping call in a tasklet (row 44)
    pm_runtime_get_sync(dmadev.ddev.dev)
    hidma_ll_start(dmadev.lldev)


def hidma_issue_pending(dmach: DmaChan) -> None:
    mchan = to_hidma_chan(dmach)
    dmadev = mchan.dmadev

    flags = spin_lock_irqsave(mchan.lock)
    if not running_of(mchan):
        set_running(mchan, list_first_entry(mchan.active))
    spin_unlock_irqrestore(mchan.lock, flags)

    # V14: hidma_callback drops one reference for each descriptor, so this one leaks (rows 16, 44, 52)
    status = pm_runtime_get(dmadev.ddev.dev)
    if status < 0:
        tasklet_schedule(dmadev.task)
    else:
        hidma_ll_start(dmadev.lldev)


def hidma_tx_status(dmach: DmaChan, cookie: int, txstate: DmaTxState | None) -> int:
    mchan = to_hidma_chan(dmach)

    # V14: compares cookies only: a failed transfer is DMA_COMPLETE (row 18)
    ret = dma_cookie_status(dmach, cookie, txstate)
    if ret == DMA_COMPLETE:
        return ret

    if mchan.paused and ret == DMA_IN_PROGRESS:
        flags = spin_lock_irqsave(mchan.lock)
        if running_of(mchan):  # V14: may have been freed (row 62)
            runcookie = running_cookie(mchan)
        else:
            runcookie = -EINVAL

        if runcookie == cookie:
            ret = DMA_PAUSED

        spin_unlock_irqrestore(mchan.lock, flags)

    return ret


def hidma_tx_submit(txd: DmaAsyncTxDescriptor) -> int:
    """Submit descriptor to hardware; PM is held for each descriptor that is sent."""
    mchan = to_hidma_chan(txd.chan)
    dmadev = mchan.dmadev

    pm_runtime_get_sync(dmadev.ddev.dev)
    if not hidma_ll_isenabled(dmadev.lldev):
        pm_runtime_mark_last_busy(dmadev.ddev.dev)
        pm_runtime_put_autosuspend(dmadev.ddev.dev)
        return -ENODEV

    mdesc = to_hidma_desc(txd)
    irqflags = spin_lock_irqsave(mchan.lock)

    # Move descriptor to active; V14: it may have been freed by now (row 66)
    list_move_tail(mdesc.node, mchan.active)

    # Update cookie
    cookie = dma_cookie_assign(txd)

    # V14: the TRE is in the ring from here on; any doorbell starts it (row 15)
    hidma_ll_queue_request(dmadev.lldev, mdesc.tre_ch)
    spin_unlock_irqrestore(mchan.lock, irqflags)

    return cookie


def hidma_alloc_chan_resources(dmach: DmaChan) -> int:
    mchan = to_hidma_chan(dmach)
    dmadev = mchan.dmadev
    descs = ListHead()
    rc = 0

    INIT_LIST_HEAD(descs)

    if mchan.allocated:
        return 0

    # Alloc descriptors for this channel
    for i in range(dmadev.nr_descriptors):
        mdesc = kzalloc(HidmaDesc, GFP_NOWAIT)
        if mdesc is None:
            rc = -ENOMEM
            break
        dma_async_tx_descriptor_init(mdesc.desc, dmach)
        mdesc.desc.tx_submit = hidma_tx_submit

        def tre_ch(number: int, mdesc: HidmaDesc = mdesc) -> None:
            mdesc.tre_ch = number

        # hidma_callback() runs once from here: the node is in no list yet, so it only processes what was completed
        rc = hidma_ll_request(face(dmadev.lldev), mchan.dma_sig, "DMA engine", function(hidma_callback), mdesc, tre_ch)
        if rc:
            dev_err(face(dmach.device.dev), f"channel alloc failed at {i}\n")
            kfree(mdesc)
            break
        list_add_tail(mdesc.node, descs)

    if rc:
        # return the allocated descriptors; V14: they stay linked, and their TREs keep the callback (row 61)
        for mdesc in list_for_each_entry_safe(descs):
            hidma_ll_free(face(dmadev.lldev), mdesc.tre_ch)
            kfree(mdesc)
        return rc

    irqflags = spin_lock_irqsave(mchan.lock)
    list_splice_tail_init(descs, mchan.free)
    mchan.allocated = 1
    spin_unlock_irqrestore(mchan.lock, irqflags)
    return 1


def hidma_prep_dma_memcpy(dmach: DmaChan, dest: int, src: int, len: int, flags: int) -> DmaAsyncTxDescriptor | None:
    mchan = to_hidma_chan(dmach)
    mdma = mchan.dmadev
    mdesc = NO_DESC

    # Get free descriptor
    irqflags = spin_lock_irqsave(mchan.lock)
    if not list_empty(mchan.free):
        mdesc = list_first_entry(mchan.free)
        list_del(mdesc.node)
    spin_unlock_irqrestore(mchan.lock, irqflags)

    if not mdesc:
        return NO_TX

    # V14: the flags go to the TRE only, desc.flags keeps what the last user left (rows 19, 53); the length is cut to
    # 32 bits and the old callback stays (row 46)
    hidma_ll_set_transfer_params(mdma.lldev, mdesc.tre_ch, src, dest, len, flags)

    # Place descriptor in prepared list
    irqflags = spin_lock_irqsave(mchan.lock)
    list_add_tail(mdesc.node, mchan.prepared)
    spin_unlock_irqrestore(mchan.lock, irqflags)

    return mdesc.desc


def hidma_terminate_channel(chan: DmaChan) -> int:
    mchan = to_hidma_chan(chan)
    dmadev = to_hidma_dev(mchan.chan.device)
    list_ = LIST_HEAD()

    pm_runtime_get_sync(dmadev.ddev.dev)
    # give completed requests a chance to finish
    hidma_process_completed(mchan)

    irqflags = spin_lock_irqsave(mchan.lock)
    list_splice_init(mchan.active, list_)
    # V14: takes what another thread has prepared and will submit (row 60)
    list_splice_init(mchan.prepared, list_)
    list_splice_init(mchan.completed, list_)
    spin_unlock_irqrestore(mchan.lock, irqflags)

    # this suspends the existing transfer
    rc = hidma_ll_pause(face(dmadev.lldev))
    if rc:
        # V14: the descriptors stay on a list on the stack, which is gone when this returns (row 40)
        dev_err(face(dmadev.ddev.dev), "channel did not pause\n")
    else:
        # return all user requests; V14: without the lock (row 63)
        for mdesc in list_for_each_entry_safe(face(list_)):
            txd = mdesc.desc
            callback = mdesc.desc.callback
            param = mdesc.desc.callback_param

            dma_descriptor_unmap(txd)

            # V14: called as if done (row 20), and once more if the completion is in the FIFO already (row 41); the PM
            # reference that the submit took stays (row 44)
            if callback is not None:
                call(callback, param)

            dma_run_dependencies(txd)

            # move myself to free_list
            list_move(mdesc.node, mchan.free)

        # V14: enables the hardware again, even while paused (row 42)
        rc = hidma_ll_resume(face(dmadev.lldev))
    pm_runtime_mark_last_busy(dmadev.ddev.dev)
    pm_runtime_put_autosuspend(dmadev.ddev.dev)
    list_head_gone(list_)
    return rc


def hidma_terminate_all(chan: DmaChan) -> int:
    mchan = to_hidma_chan(chan)
    dmadev = to_hidma_dev(mchan.chan.device)

    rc = hidma_terminate_channel(chan)
    if rc:
        return rc

    # reinitialize the hardware
    pm_runtime_get_sync(dmadev.ddev.dev)
    rc = hidma_ll_setup(face(dmadev.lldev))
    pm_runtime_mark_last_busy(dmadev.ddev.dev)
    pm_runtime_put_autosuspend(dmadev.ddev.dev)
    return rc


def hidma_free_chan_resources(dmach: DmaChan) -> None:
    mchan = to_hidma_chan(dmach)
    mdma = mchan.dmadev
    descs = ListHead()

    INIT_LIST_HEAD(descs)

    # terminate running transactions and free descriptors; V14: what is in flight is not quiesced (row 36), running stays
    # (row 62), and so do the descriptors that the client holds (row 66)
    hidma_terminate_channel(dmach)

    irqflags = spin_lock_irqsave(mchan.lock)

    # Move data
    list_splice_tail_init(mchan.free, descs)

    # Free descriptors
    for mdesc in list_for_each_entry_safe(descs):
        hidma_ll_free(face(mdma.lldev), mdesc.tre_ch)
        list_del(mdesc.node)
        kfree(mdesc)

    mchan.allocated = 0
    spin_unlock_irqrestore(mchan.lock, irqflags)


def hidma_pause(chan: DmaChan) -> int:
    mchan = to_hidma_chan(chan)
    dmadev = to_hidma_dev(mchan.chan.device)
    if not mchan.paused:
        pm_runtime_get_sync(dmadev.ddev.dev)
        if hidma_ll_pause(face(dmadev.lldev)):
            dev_warn(face(dmadev.ddev.dev), "channel did not stop\n")
        mchan.paused = 1
        pm_runtime_mark_last_busy(dmadev.ddev.dev)
        pm_runtime_put_autosuspend(dmadev.ddev.dev)
    return 0


def hidma_resume(chan: DmaChan) -> int:
    rc = 0

    mchan = to_hidma_chan(chan)
    dmadev = to_hidma_dev(mchan.chan.device)
    if mchan.paused:
        pm_runtime_get_sync(dmadev.ddev.dev)
        rc = hidma_ll_resume(face(dmadev.lldev))
        if not rc:
            mchan.paused = 0
        else:
            dev_err(face(dmadev.ddev.dev), "failed to resume the channel")
        pm_runtime_mark_last_busy(dmadev.ddev.dev)
        pm_runtime_put_autosuspend(dmadev.ddev.dev)
    return rc


def hidma_chirq_handler(chirq: int, arg: Any) -> int:
    lldev = arg

    # All interrupts are request driven; the hardware does not send one by itself.
    return hidma_ll_inthandler(chirq, lldev)


def hidma_show_values(dev: Device, attr: DeviceAttribute, buf: bytearray) -> int:
    pdev = to_platform_device(dev)
    mdev = platform_get_drvdata(pdev)

    buf[0] = 0

    if attr.attr.name == "chid":
        sprintf(buf, f"{mdev.chidx}\n")

    return strlen(buf)


def hidma_create_sysfs_entry(dev: HidmaDev, name: str, mode: int) -> int:
    attrs = devm_kmalloc(dev.ddev.dev, DeviceAttribute, GFP_KERNEL)
    if attrs is None:
        return -ENOMEM

    name_copy = devm_kstrdup(dev.ddev.dev, name, GFP_KERNEL)
    if name_copy is None:
        return -ENOMEM

    attrs.attr.name = name_copy
    attrs.attr.mode = mode
    attrs.show = hidma_show_values
    sysfs_attr_init(attrs.attr)

    return device_create_file(dev.ddev.dev, attrs)


def hidma_probe(pdev: PlatformDevice) -> int:
    # the labels of C, undone from the last one reached upwards
    with ExitStack() as goto:
        pm_runtime_set_autosuspend_delay(pdev.dev, HIDMA_AUTOSUSPEND_TIMEOUT)
        pm_runtime_use_autosuspend(pdev.dev)
        pm_runtime_set_active(pdev.dev)
        pm_runtime_enable(pdev.dev)
        # bailout: V14: an early failure puts a reference that was never taken (rows 22, 44)
        goto.callback(pm_runtime_disable, pdev.dev)
        goto.callback(pm_runtime_put_sync, pdev.dev)

        trca_resource = platform_get_resource(pdev, IORESOURCE_MEM, 0)
        trca = devm_ioremap_resource(pdev.dev, trca_resource)
        if IS_ERR(trca):
            return -ENOMEM

        evca_resource = platform_get_resource(pdev, IORESOURCE_MEM, 1)
        evca = devm_ioremap_resource(pdev.dev, evca_resource)
        if IS_ERR(evca):
            return -ENOMEM

        # This driver only handles the channel interrupts; the common one is the management driver's.
        chirq = platform_get_irq(pdev, 0)
        if chirq < 0:
            return -ENODEV

        dmadev = devm_kzalloc(pdev.dev, HidmaDev, GFP_KERNEL)
        if dmadev is None:
            return -ENOMEM

        INIT_LIST_HEAD(dmadev.ddev.channels)
        spin_lock_init(dmadev.lock)
        dmadev.ddev.dev = pdev.dev
        pm_runtime_get_sync(dmadev.ddev.dev)
        # dmafree:
        goto.callback(hidma_free, dmadev)

        dma_cap_set(DMA_MEMCPY, dmadev.ddev)
        if pdev.dev.dma_mask is None:
            sched.running_cpu().kernel.warn("at hidma_probe: !pdev->dev.dma_mask")
            return -ENXIO

        dmadev.dev_evca = evca
        dmadev.evca_resource = evca_resource
        dmadev.dev_trca = trca
        dmadev.trca_resource = trca_resource
        dmadev.ddev.device_prep_dma_memcpy = hidma_prep_dma_memcpy
        dmadev.ddev.device_alloc_chan_resources = hidma_alloc_chan_resources
        dmadev.ddev.device_free_chan_resources = hidma_free_chan_resources
        dmadev.ddev.device_tx_status = hidma_tx_status
        dmadev.ddev.device_issue_pending = hidma_issue_pending
        dmadev.ddev.device_pause = hidma_pause
        dmadev.ddev.device_resume = hidma_resume
        dmadev.ddev.device_terminate_all = hidma_terminate_all
        # V14: an exponent, so this asks for 256 bytes (row 46)
        dmadev.ddev.copy_align = 8

        rc, value = device_property_read_u32(pdev.dev, "desc-count")
        if not rc:
            dmadev.nr_descriptors = value

        # V14: the property wins over the parameter (row 22)
        prm = sched.running_cpu().kernel.module("hdma").nr_desc_prm
        if not dmadev.nr_descriptors and prm:
            dmadev.nr_descriptors = prm

        if not dmadev.nr_descriptors:
            dmadev.nr_descriptors = HIDMA_NR_DEFAULT_DESC

        # int chidx: a register with bit 31 set reads as a negative number
        dmadev.chidx = s32(readl(dmadev.dev_trca + 0x28))

        # Set DMA mask to 64 bits.
        rc = dma_set_mask_and_coherent(pdev.dev, DMA_BIT_MASK(64))
        if rc:
            dev_warn(pdev.dev, "unable to set coherent mask to 64")
            rc = dma_set_mask_and_coherent(pdev.dev, DMA_BIT_MASK(32))
            if rc:
                return rc

        dmadev.lldev = hidma_ll_init(dmadev.ddev.dev, dmadev.nr_descriptors, dmadev.dev_trca, dmadev.dev_evca,
                                     dmadev.chidx & 0xFF)
        if dmadev.lldev is None:
            # V14: whatever failed (rows 22, 51)
            return -EPROBE_DEFER
        # uninit:
        goto.callback(hidma_ll_uninit, dmadev.lldev)
        goto.callback(hidma_debug_uninit, dmadev)

        rc = devm_request_irq(pdev.dev, chirq, irq_handler(hidma_chirq_handler), 0, "qcom-hidma", dmadev.lldev)
        if rc:
            return rc

        INIT_LIST_HEAD(dmadev.ddev.channels)
        rc = hidma_chan_init(dmadev, 0)
        if rc:
            return rc

        rc = dma_async_device_register(dmadev.ddev)
        if rc:
            return rc

        dmadev.irq = chirq
        tasklet_init(dmadev.task, function(hidma_issue_task), dmadev)
        hidma_debug_init(dmadev)
        hidma_create_sysfs_entry(dmadev, "chid", S_IRUGO)
        dev_info(pdev.dev, "HI-DMA engine driver registration complete\n")
        # V14: the chid file can be read before this (row 23)
        platform_set_drvdata(pdev, dmadev)
        pm_runtime_mark_last_busy(dmadev.ddev.dev)
        pm_runtime_put_autosuspend(dmadev.ddev.dev)
        goto.pop_all()
    return 0


def hidma_remove(pdev: PlatformDevice) -> int:
    dmadev = platform_get_drvdata(pdev)

    # V14: the issue tasklet is not killed, the chid file is left (row 21)
    pm_runtime_get_sync(dmadev.ddev.dev)
    dma_async_device_unregister(dmadev.ddev)
    devm_free_irq(dmadev.ddev.dev, dmadev.irq, dmadev.lldev)
    hidma_debug_uninit(dmadev)
    hidma_ll_uninit(dmadev.lldev)
    hidma_free(dmadev)

    dev_info(pdev.dev, "HI-DMA engine removed\n")
    pm_runtime_put_sync_suspend(pdev.dev)
    pm_runtime_disable(pdev.dev)

    return 0


hidma_acpi_ids = (AcpiDeviceId("QCOM8061"),)

hidma_match = (OfDeviceId(compatible="qcom,hidma-1.0"),)

hidma_driver = PlatformDriver(
    name="hidma",
    probe=hidma_probe,
    remove=hidma_remove,
    of_match_table=hidma_match,
    acpi_match_table=hidma_acpi_ids,
    owner="hdma",
)

# module_platform_driver(hidma_driver)
# V14's Makefile links this file, hidma_ll.c and hidma_dbg.c into hdma.ko
module = Module(
    name="hdma",
    init=lambda: platform_driver_register(hidma_driver),
    exit=lambda: platform_driver_unregister(hidma_driver),
    params=(nr_desc_prm,),
    license="GPL v2",
    source="drivers/dma/qcom/hidma.c",
    aliases=("hidma", "of:N*T*Cqcom,hidma-1.0*", "acpi*:QCOM8061:*"),
)


def lldev_of(dmach: DmaChan) -> HidmaLldev:
    """The low level behind a channel of this driver."""
    mchan = dmach.container
    return mchan.dmadev.lldev
