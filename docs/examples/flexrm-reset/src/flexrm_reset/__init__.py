# SPDX-License-Identifier: GPL-2.0-only
"""Stands for ``drivers/vfio/platform/reset/vfio_platform_bcmflexrm.c`` of Linux 6.1: reset of the rings of Broadcom's FlexRM
ring manager.

Copyright (C) 2017 Broadcom. Author: Anup Patel <anup.patel@broadcom.com>. Ported to Python and changed only where Python asks
for it.
"""

from __future__ import annotations

from hidma.hookspecs import hookimpl
from hidma.linux.bitops import BIT
from hidma.linux.delay import mdelay
from hidma.linux.errno import ENOMEM, ETIMEDOUT
from hidma.linux.io import ioremap, readl_relaxed, writel_relaxed
from hidma.linux.printk import dev_warn
from hidma.testing import DeviceModel
from hidma.vfio_platform import ResetModule, VfioPlatformDevice, module_vfio_reset_handler

# FlexRM configuration
RING_REGS_SIZE = 0x10000
RING_VER_MAGIC = 0x76303031

# Per-ring register offsets
RING_VER = 0x000
RING_CONTROL = 0x034
RING_FLUSH_DONE = 0x038

# Fields of RING_CONTROL
CONTROL_FLUSH_SHIFT = 5

# Fields of RING_FLUSH_DONE
FLUSH_DONE_MASK = 0x1


def vfio_platform_bcmflexrm_shutdown(ring: int) -> int:
    """Disable one ring and flush it.

    :param ring: address of its registers
    :returns: 0, or -ETIMEDOUT (the flush does not begin, or does not end)
    """
    # disable the ring
    writel_relaxed(0x0, ring + RING_CONTROL)

    # set its flush state
    timeout = 1000  # 1 s
    writel_relaxed(BIT(CONTROL_FLUSH_SHIFT), ring + RING_CONTROL)
    while True:
        if readl_relaxed(ring + RING_FLUSH_DONE) & FLUSH_DONE_MASK:
            break
        mdelay(1)
        timeout -= 1
        if not timeout:
            break
    if not timeout:
        return -ETIMEDOUT

    # clear its flush state
    timeout = 1000  # 1 s
    writel_relaxed(0x0, ring + RING_CONTROL)
    while True:
        if not readl_relaxed(ring + RING_FLUSH_DONE) & FLUSH_DONE_MASK:
            break
        mdelay(1)
        timeout -= 1
        if not timeout:
            break
    if not timeout:
        return -ETIMEDOUT

    return 0


def vfio_platform_bcmflexrm_reset(vdev: VfioPlatformDevice) -> int:
    """Disable and flush every ring.

    :param vdev: a device whose first region is the registers of the rings
    :returns: 0, -ENOMEM (cannot be mapped), or the errors of the rings, one over the other
    """
    ret = 0
    ring_num = 0
    reg = vdev.regions[0]

    # map the registers if they are not mapped yet
    if not reg.ioaddr:
        reg.ioaddr = ioremap(reg.addr, reg.size)
        if not reg.ioaddr:
            return -ENOMEM

    # discover and shut down each ring
    for ring in range(reg.ioaddr, reg.ioaddr + reg.size, RING_REGS_SIZE):
        if readl_relaxed(ring + RING_VER) == RING_VER_MAGIC:
            rc = vfio_platform_bcmflexrm_shutdown(ring)
            if rc:
                dev_warn(vdev.device, f"FlexRM ring{ring_num} shutdown error {rc}\n")
                ret |= rc
            ring_num += 1

    return ret


module = module_vfio_reset_handler("brcm,iproc-flexrm-mbox", None, vfio_platform_bcmflexrm_reset)


@hookimpl
def hidma_reset_module() -> ResetModule:
    """The module behind ``modprobe flexrm_reset``."""
    return module


@hookimpl
def hidma_device_model(stuck: bool) -> DeviceModel:
    """Four rings."""
    from .model import FlexRm

    return FlexRm(stuck)
