# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/vfio_platform_irq.c: VFIO platform devices interrupt handling
# Copyright (C) 2013 - Virtual Open Systems
# Author: Antonios Motakis <a.motakis@virtualopensystems.com>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/vfio_platform_irq.c``: the interrupts of a device that a process owns. V14's oddities are
kept and marked with their row in docs/quirks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from hidma.linux.errno import EINVAL, ENOMEM, ENOTTY
from hidma.linux.eventfd import eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal
from hidma.linux.interrupt import IRQ_HANDLED, IRQ_NONE, disable_irq_nosync, enable_irq, free_irq
from hidma.linux.irq import IRQ_NOAUTOEN, IRQ_TYPE_LEVEL_MASK, irq_get_trigger_type, irq_set_status_flags, request_irq
from hidma.linux.slab import GFP_KERNEL, kasprintf, kcalloc, kfree
from hidma.linux.spinlock import spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.vfio import (
    VFIO_IRQ_INFO_AUTOMASKED,
    VFIO_IRQ_INFO_EVENTFD,
    VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_SET_ACTION_MASK,
    VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_ACTION_TYPE_MASK,
    VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE,
    vfio_virqfd_disable,
    vfio_virqfd_enable,
)
from hidma.vfio_platform.private import VfioPlatformDevice, VfioPlatformIrq


def vfio_platform_mask(irq_ctx: VfioPlatformIrq) -> None:
    flags = spin_lock_irqsave(irq_ctx.lock)

    if not irq_ctx.masked:
        disable_irq_nosync(irq_ctx.hwirq)
        irq_ctx.masked = True

    spin_unlock_irqrestore(irq_ctx.lock, flags)


def vfio_platform_mask_handler(opaque: Any, unused: Any) -> int:
    irq_ctx: VfioPlatformIrq = opaque

    vfio_platform_mask(irq_ctx)

    return 0


def vfio_platform_set_irq_mask(vdev: VfioPlatformDevice, index: int, start: int, count: int, flags: int,
                               data: bytes | None) -> int:
    if start != 0 or count != 1:
        return -EINVAL

    if not vdev.irqs[index].flags & VFIO_IRQ_INFO_MASKABLE:
        return -EINVAL

    if flags & VFIO_IRQ_SET_DATA_EVENTFD:
        fd = s32_of(data)

        if fd >= 0:
            return vfio_virqfd_enable(vdev.irqs[index], vfio_platform_mask_handler, None, None,
                                      (vdev.irqs[index], "mask"), fd)

        vfio_virqfd_disable((vdev.irqs[index], "mask"))
        return 0

    if flags & VFIO_IRQ_SET_DATA_NONE:
        vfio_platform_mask(vdev.irqs[index])

    elif flags & VFIO_IRQ_SET_DATA_BOOL and u8_of(data):
        vfio_platform_mask(vdev.irqs[index])

    return 0


def vfio_platform_unmask(irq_ctx: VfioPlatformIrq) -> None:
    flags = spin_lock_irqsave(irq_ctx.lock)

    if irq_ctx.masked:
        enable_irq(irq_ctx.hwirq)
        irq_ctx.masked = False

    spin_unlock_irqrestore(irq_ctx.lock, flags)


def vfio_platform_unmask_handler(opaque: Any, unused: Any) -> int:
    irq_ctx: VfioPlatformIrq = opaque

    vfio_platform_unmask(irq_ctx)

    return 0


def vfio_platform_set_irq_unmask(vdev: VfioPlatformDevice, index: int, start: int, count: int, flags: int,
                                 data: bytes | None) -> int:
    if start != 0 or count != 1:
        return -EINVAL

    if not vdev.irqs[index].flags & VFIO_IRQ_INFO_MASKABLE:
        return -EINVAL

    if flags & VFIO_IRQ_SET_DATA_EVENTFD:
        fd = s32_of(data)

        if fd >= 0:
            return vfio_virqfd_enable(vdev.irqs[index], vfio_platform_unmask_handler, None, None,
                                      (vdev.irqs[index], "unmask"), fd)

        vfio_virqfd_disable((vdev.irqs[index], "unmask"))
        return 0

    if flags & VFIO_IRQ_SET_DATA_NONE:
        vfio_platform_unmask(vdev.irqs[index])

    elif flags & VFIO_IRQ_SET_DATA_BOOL and u8_of(data):
        vfio_platform_unmask(vdev.irqs[index])

    return 0


def vfio_automasked_irq_handler(irq: int, dev_id: Any) -> int:
    irq_ctx: VfioPlatformIrq = dev_id
    ret = IRQ_NONE

    flags = spin_lock_irqsave(irq_ctx.lock)

    if not irq_ctx.masked:
        ret = IRQ_HANDLED

        # automask maskable interrupts
        disable_irq_nosync(irq_ctx.hwirq)
        irq_ctx.masked = True

    spin_unlock_irqrestore(irq_ctx.lock, flags)

    if ret == IRQ_HANDLED:
        eventfd_signal(irq_ctx.trigger, 1)

    return ret


def vfio_irq_handler(irq: int, dev_id: Any) -> int:
    irq_ctx: VfioPlatformIrq = dev_id

    eventfd_signal(irq_ctx.trigger, 1)

    return IRQ_HANDLED


def vfio_set_trigger(vdev: VfioPlatformDevice, index: int, fd: int, handler: Callable[[int, Any], int] | None) -> int:
    irq = vdev.irqs[index]

    if irq.trigger is not None:
        free_irq(irq.hwirq, irq)
        kfree(irq.name)
        eventfd_ctx_put(irq.trigger)
        irq.trigger = None

    # disable only
    if fd < 0:
        return 0
    assert handler is not None

    irq.name = kasprintf(GFP_KERNEL, f"vfio-irq[{irq.hwirq}]({vdev.name})")
    if irq.name is None:
        return -ENOMEM

    trigger = eventfd_ctx_fdget(fd)
    if isinstance(trigger, int):
        kfree(irq.name)
        return trigger

    irq.trigger = trigger

    irq_set_status_flags(irq.hwirq, IRQ_NOAUTOEN)
    ret = request_irq(irq.hwirq, handler, 0, irq.name, irq)
    if ret:
        kfree(irq.name)
        eventfd_ctx_put(trigger)
        irq.trigger = None
        return ret

    if not irq.masked:
        enable_irq(irq.hwirq)

    return 0


def vfio_platform_set_irq_trigger(vdev: VfioPlatformDevice, index: int, start: int, count: int, flags: int,
                                  data: bytes | None) -> int:
    irq = vdev.irqs[index]

    if vdev.irqs[index].flags & VFIO_IRQ_INFO_AUTOMASKED:
        handler = vfio_automasked_irq_handler
    else:
        handler = vfio_irq_handler

    if not count and flags & VFIO_IRQ_SET_DATA_NONE:
        return vfio_set_trigger(vdev, index, -1, handler)

    if start != 0 or count != 1:
        return -EINVAL

    if flags & VFIO_IRQ_SET_DATA_EVENTFD:
        return vfio_set_trigger(vdev, index, s32_of(data), handler)

    # V14: without a trigger the handler follows a NULL pointer (row 56)
    if flags & VFIO_IRQ_SET_DATA_NONE:
        handler(irq.hwirq, irq)

    elif flags & VFIO_IRQ_SET_DATA_BOOL and u8_of(data):
        handler(irq.hwirq, irq)

    return 0


def vfio_platform_set_irqs_ioctl(vdev: VfioPlatformDevice, flags: int, index: int, start: int, count: int,
                                 data: bytes | None) -> int:
    func = None

    action = flags & VFIO_IRQ_SET_ACTION_TYPE_MASK
    if action == VFIO_IRQ_SET_ACTION_MASK:
        func = vfio_platform_set_irq_mask
    elif action == VFIO_IRQ_SET_ACTION_UNMASK:
        func = vfio_platform_set_irq_unmask
    elif action == VFIO_IRQ_SET_ACTION_TRIGGER:
        func = vfio_platform_set_irq_trigger

    if func is None:
        return -ENOTTY

    return func(vdev, index, start, count, flags, data)


def vfio_platform_irq_init(vdev: VfioPlatformDevice) -> int:
    cnt = 0
    while vdev.get_irq(vdev, cnt) >= 0:
        cnt += 1

    irqs = kcalloc(cnt, VfioPlatformIrq, GFP_KERNEL)
    if irqs is None:
        return -ENOMEM
    vdev.irqs = irqs

    with ExitStack() as goto:
        # err:
        goto.callback(kfree, vdev.irqs)

        for i in range(cnt):
            hwirq = vdev.get_irq(vdev, i)

            if hwirq < 0:
                return -EINVAL

            spin_lock_init(vdev.irqs[i].lock)

            vdev.irqs[i].flags = VFIO_IRQ_INFO_EVENTFD

            # a level stays asserted until the owner serves the device: its handler masks the interrupt
            if irq_get_trigger_type(hwirq) & IRQ_TYPE_LEVEL_MASK:
                vdev.irqs[i].flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED

            vdev.irqs[i].count = 1
            vdev.irqs[i].hwirq = hwirq
            vdev.irqs[i].masked = False

        vdev.num_irqs = cnt

        goto.pop_all()
        return 0


def vfio_platform_irq_cleanup(vdev: VfioPlatformDevice) -> None:
    # V14: the virqfds that mask and unmask are left, and use what is freed here (row 57)
    for i in range(vdev.num_irqs):
        vfio_set_trigger(vdev, i, -1, None)

    vdev.num_irqs = 0
    kfree(vdev.irqs)


def s32_of(data: bytes | None) -> int:
    """``*(int32_t *)data``."""
    return int.from_bytes((data or b"")[:4], "little", signed=True)


def u8_of(data: bytes | None) -> int:
    """``*(uint8_t *)data``."""
    return (data or b"\0")[0]
