# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/reset/vfio_platform_calxedaxgmac.c: VFIO platform driver specialized for Calxeda xgmac reset
# (reset code is inherited from calxeda xgmac native driver)
# Copyright 2010-2011 Calxeda, Inc.
# Copyright (c) 2015 Linaro Ltd.
#               www.linaro.org
# Author: Eric Auger <eric.auger@linaro.org>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/reset/vfio_platform_calxedaxgmac.c``: stops Calxeda's 10 Gbit Ethernet controller:
interrupts off, then both directions of its DMA and of its MAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hidma.hookspecs import hookimpl
from hidma.linux.errno import ENOMEM
from hidma.linux.io import readl, writel
from hidma.linux.iomap import ioremap_nocache
from hidma.vfio_platform import ResetModule, VfioPlatformDevice, module_vfio_reset_handler

if TYPE_CHECKING:
    from hidma.testing import DeviceModel

DRIVER_VERSION = "0.1"
DRIVER_AUTHOR = "Eric Auger <eric.auger@linaro.org>"
DRIVER_DESC = "Reset support for Calxeda xgmac vfio platform device"

# registers of the MAC
XGMAC_CONTROL = 0x00000000

# registers of the DMA
XGMAC_DMA_CONTROL = 0x00000F18
XGMAC_DMA_INTR_ENA = 0x00000F1C

# bits of XGMAC_DMA_CONTROL
DMA_CONTROL_ST = 0x00002000
DMA_CONTROL_SR = 0x00000002

# bits of XGMAC_CONTROL
MAC_ENABLE_TX = 0x00000008
MAC_ENABLE_RX = 0x00000004


def xgmac_mac_disable(ioaddr: int) -> None:
    value = readl(ioaddr + XGMAC_DMA_CONTROL)

    value &= ~(DMA_CONTROL_ST | DMA_CONTROL_SR)
    writel(value, ioaddr + XGMAC_DMA_CONTROL)

    value = readl(ioaddr + XGMAC_CONTROL)
    value &= ~(MAC_ENABLE_TX | MAC_ENABLE_RX)
    writel(value, ioaddr + XGMAC_CONTROL)


def vfio_platform_calxedaxgmac_reset(vdev: VfioPlatformDevice) -> int:
    """Stop the controller.

    :param vdev: a device whose first region is the registers
    :returns: 0, whatever the device did, or -ENOMEM (cannot be mapped)
    """
    reg = vdev.regions[0]

    if not reg.ioaddr:
        reg.ioaddr = ioremap_nocache(reg.addr, reg.size)
        if not reg.ioaddr:
            return -ENOMEM

    # disable IRQ
    writel(0, reg.ioaddr + XGMAC_DMA_INTR_ENA)

    # disable the MAC core
    xgmac_mac_disable(reg.ioaddr)

    return 0


module = module_vfio_reset_handler("calxeda,hb-xgmac", None, vfio_platform_calxedaxgmac_reset)


@hookimpl
def hidma_reset_module() -> ResetModule:
    """The module behind ``modprobe vfio_platform_calxedaxgmac``."""
    return module


@hookimpl
def hidma_device_model(stuck: bool) -> DeviceModel:
    """The device that it resets, as a model."""
    from hidma.testing import Xgmac

    return Xgmac(stuck)
