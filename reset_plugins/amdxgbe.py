# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/reset/vfio_platform_amdxgbe.c: VFIO platform driver specialized for AMD xgbe reset
# (reset code is inherited from AMD xgbe native driver)
# Copyright (c) 2015 Linaro Ltd.
#               www.linaro.org
# Author: Eric Auger <eric.auger@linaro.org>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/reset/vfio_platform_amdxgbe.c``: stops AMD's 10 Gbit Ethernet controller: PHY reset
over MDIO, auto-negotiation off and its interrupt cleared, then a software reset of the MAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hidma.hookspecs import hookimpl
from hidma.linux.delay import msleep, usleep_range
from hidma.linux.errno import ENOMEM
from hidma.linux.iomap import ioread32, ioremap_nocache, iowrite32
from hidma.linux.mdio import MDIO_AN_CTRL1_ENABLE, MDIO_CTRL1, MDIO_CTRL1_RESET, MDIO_MMD_AN, MDIO_MMD_PCS
from hidma.linux.printk import pr_warn
from hidma.vfio_platform import ResetModule, VfioPlatformDevice, module_vfio_reset_handler

if TYPE_CHECKING:
    from hidma.testing import DeviceModel

DMA_MR = 0x3000
MAC_VR = 0x0110
DMA_ISR = 0x3008
MAC_ISR = 0x00B0
PCS_MMD_SELECT = 0xFF
MDIO_AN_INT = 0x8002
MDIO_AN_INTMASK = 0x8001


def xmdio_read(ioaddr: int, mmd: int, reg: int) -> int:
    mmd_address = (mmd << 16) | (reg & 0xFFFF)
    iowrite32(mmd_address >> 8, ioaddr + (PCS_MMD_SELECT << 2))
    value = ioread32(ioaddr + ((mmd_address & 0xFF) << 2))
    return value


def xmdio_write(ioaddr: int, mmd: int, reg: int, value: int) -> None:
    mmd_address = (mmd << 16) | (reg & 0xFFFF)
    iowrite32(mmd_address >> 8, ioaddr + (PCS_MMD_SELECT << 2))
    iowrite32(value, ioaddr + ((mmd_address & 0xFF) << 2))


def vfio_platform_amdxgbe_reset(vdev: VfioPlatformDevice) -> int:
    """Reset PHY and MAC.

    :param vdev: a device whose first two regions are the registers of the MAC and of the PCS
    :returns: 0, whatever the device did (a time-out is a warning in the log, if anything), or -ENOMEM (cannot be mapped)
    """
    xgmac_regs = vdev.regions[0]
    xpcs_regs = vdev.regions[1]

    if not xgmac_regs.ioaddr:
        xgmac_regs.ioaddr = ioremap_nocache(xgmac_regs.addr, xgmac_regs.size)
        if not xgmac_regs.ioaddr:
            return -ENOMEM
    if not xpcs_regs.ioaddr:
        xpcs_regs.ioaddr = ioremap_nocache(xpcs_regs.addr, xpcs_regs.size)
        if not xpcs_regs.ioaddr:
            return -ENOMEM

    # reset the PHY through MDIO
    pcs_value = xmdio_read(xpcs_regs.ioaddr, MDIO_MMD_PCS, MDIO_CTRL1)
    pcs_value |= MDIO_CTRL1_RESET
    xmdio_write(xpcs_regs.ioaddr, MDIO_MMD_PCS, MDIO_CTRL1, pcs_value)

    count = 50
    while True:
        msleep(20)
        pcs_value = xmdio_read(xpcs_regs.ioaddr, MDIO_MMD_PCS, MDIO_CTRL1)
        if not pcs_value & MDIO_CTRL1_RESET:
            break
        count -= 1
        if not count:
            break

    if pcs_value & MDIO_CTRL1_RESET:
        pr_warn("vfio_platform_amdxgbe_reset XGBE PHY reset timeout\n")

    # disable auto-negotiation
    value = xmdio_read(xpcs_regs.ioaddr, MDIO_MMD_AN, MDIO_CTRL1)
    value &= ~MDIO_AN_CTRL1_ENABLE
    xmdio_write(xpcs_regs.ioaddr, MDIO_MMD_AN, MDIO_CTRL1, value)

    # disable AN IRQ
    xmdio_write(xpcs_regs.ioaddr, MDIO_MMD_AN, MDIO_AN_INTMASK, 0)

    # clear AN IRQ
    xmdio_write(xpcs_regs.ioaddr, MDIO_MMD_AN, MDIO_AN_INT, 0)

    # MAC software reset
    dma_mr_value = ioread32(xgmac_regs.ioaddr + DMA_MR)
    dma_mr_value |= 0x1
    iowrite32(dma_mr_value, xgmac_regs.ioaddr + DMA_MR)

    usleep_range(10, 15)

    # V14: count-- is evaluated once more after the last look: a time-out leaves -1 here and is silent, a success at the
    # last look leaves 0 and warns (row 35)
    count = 2000
    while True:
        count -= 1
        if count < 0 or not ioread32(xgmac_regs.ioaddr + DMA_MR) & 1:
            break
        usleep_range(500, 600)

    if not count:
        pr_warn("vfio_platform_amdxgbe_reset MAC SW reset failed\n")

    return 0


module = module_vfio_reset_handler("amd,xgbe-seattle-v1a", None, vfio_platform_amdxgbe_reset)


@hookimpl
def hidma_reset_module() -> ResetModule:
    """The module behind ``modprobe vfio_platform_amdxgbe``."""
    return module


@hookimpl
def hidma_device_model(stuck: bool) -> DeviceModel:
    """The device that it resets, as a model."""
    from hidma.testing import Xgbe

    return Xgbe(stuck)
