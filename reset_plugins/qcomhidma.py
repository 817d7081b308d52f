# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/reset/vfio_platform_qcomhidma.c: Qualcomm Technologies HIDMA VFIO Reset Driver
# Copyright (c) 2016, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/reset/vfio_platform_qcomhidma.c``: makes a HIDMA channel safe for its next owner. It
resets both sides of the channel and knows nothing of the driver that used it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hidma.hookspecs import hookimpl
from hidma.linux.bitops import GENMASK
from hidma.linux.errno import ENODEV, ENOMEM
from hidma.linux.io import readl, writel
from hidma.linux.iomap import ioremap_nocache
from hidma.linux.iopoll import readl_poll_timeout
from hidma.linux.printk import pr_info
from hidma.vfio_platform import ResetModule, VfioPlatformDevice, module_vfio_reset_handler

if TYPE_CHECKING:
    from hidma.testing import DeviceModel

TRCA_CTRLSTS_OFFSET = 0x000
EVCA_CTRLSTS_OFFSET = 0x000

CH_CONTROL_MASK = GENMASK(7, 0)
CH_STATE_MASK = GENMASK(7, 0)
CH_STATE_BIT_POS = 0x8


def HIDMA_CH_STATE(val: int) -> int:
    """The state field of CTRLSTS."""
    return (val >> CH_STATE_BIT_POS) & CH_STATE_MASK


EVCA_IRQ_EN_OFFSET = 0x110

CH_RESET = 9
CH_DISABLED = 0


# V14: waits 10 ms for each side; never merged (row 34)
def vfio_platform_qcomhidma_reset(vdev: VfioPlatformDevice) -> int:
    """Disable the channel's interrupts and reset its transfer and its event side.

    :param vdev: a device with two regions: TRCA and EVCA
    :returns: 0, -ENODEV (not two regions), -ENOMEM (cannot be mapped), -ETIMEDOUT (a side does not end its reset)
    """
    if vdev.num_regions != 2:
        return -ENODEV

    trreg = vdev.regions[0]
    if not trreg.ioaddr:
        trreg.ioaddr = ioremap_nocache(trreg.addr, trreg.size)
        if not trreg.ioaddr:
            return -ENOMEM

    evreg = vdev.regions[1]
    if not evreg.ioaddr:
        evreg.ioaddr = ioremap_nocache(evreg.addr, evreg.size)
        if not evreg.ioaddr:
            return -ENOMEM

    # disable IRQ
    writel(0, evreg.ioaddr + EVCA_IRQ_EN_OFFSET)

    # reset both transfer and event channels
    val = readl(trreg.ioaddr + TRCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_RESET << 16
    writel(val, trreg.ioaddr + TRCA_CTRLSTS_OFFSET)

    ret, val = readl_poll_timeout(trreg.ioaddr + TRCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_DISABLED,
                                  1000, 10000)
    if ret:
        return ret

    val = readl(evreg.ioaddr + EVCA_CTRLSTS_OFFSET)
    val &= ~(CH_CONTROL_MASK << 16)
    val |= CH_RESET << 16
    writel(val, evreg.ioaddr + EVCA_CTRLSTS_OFFSET)

    ret, val = readl_poll_timeout(evreg.ioaddr + EVCA_CTRLSTS_OFFSET, lambda val: HIDMA_CH_STATE(val) == CH_DISABLED,
                                  1000, 10000)
    if ret:
        return ret

    pr_info("HIDMA channel reset\n")
    return 0


module = module_vfio_reset_handler("qcom,hidma-1.0", "QCOM8061", vfio_platform_qcomhidma_reset)


@hookimpl
def hidma_reset_module() -> ResetModule:
    """The module behind ``modprobe vfio_platform_qcomhidma``."""
    return module


@hookimpl
def hidma_device_model(stuck: bool) -> DeviceModel:
    """The device that it resets, as a model."""
    from hidma.testing import HidmaChannelModel

    return HidmaChannelModel(stuck)
