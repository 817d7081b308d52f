# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/dma/qcom/hidma_mgmt.c: Qualcomm Technologies HIDMA DMA engine Management interface
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma_mgmt.c``: the management driver. It sets the parameters of the bus that all channels
share and priority and weight of each channel, and makes the channels' devices from the device tree. Its sysfs files
are in ``mgmt_sys``. V14's oddities are kept and marked with their row in docs/quirks.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hidma.hidma_mgmt_h import HidmaMgmtDev
from hidma.linux import sched
from hidma.linux.acpi import AcpiDeviceId
from hidma.linux.bitops import GENMASK, is_power_of_2
from hidma.linux.dma_mapping import DMA_BIT_MASK
from hidma.linux.errno import EINVAL, ENODEV, ENOMEM
from hidma.linux.io import readl, writel
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, IS_ERR, Resource, devm_ioremap_resource, resource_size
from hidma.linux.module import Module
from hidma.linux.of import (
    DeviceNode,
    OfDeviceId,
    for_each_available_child_of_node,
    irq_create_of_mapping,
    of_dma_configure,
    of_find_device_by_node,
    of_find_matching_node,
    of_get_property,
    of_irq_parse_one,
    of_n_addr_cells,
    of_n_size_cells,
    of_node_put,
    of_read_number,
)
from hidma.linux.platform_device import (
    PlatformDevice,
    PlatformDeviceInfo,
    PlatformDriver,
    platform_device_register_full,
    platform_driver_register,
    platform_get_irq,
    platform_get_resource,
    platform_set_drvdata,
)
from hidma.linux.pm_runtime import (
    pm_runtime_disable,
    pm_runtime_enable,
    pm_runtime_get_sync,
    pm_runtime_mark_last_busy,
    pm_runtime_put_autosuspend,
    pm_runtime_put_sync_suspend,
    pm_runtime_set_active,
    pm_runtime_set_autosuspend_delay,
    pm_runtime_use_autosuspend,
)
from hidma.linux.printk import dev_err, dev_info, pa, s32
from hidma.linux.property import device_property_read_u32
from hidma.linux.slab import GFP_KERNEL, UNINITIALISED, devm_kcalloc, devm_kzalloc, kcalloc, kfree
from hidma.mgmt_sys import hidma_mgmt_init_sys

HIDMA_QOS_N_OFFSET = 0x300
HIDMA_CFG_OFFSET = 0x400
HIDMA_MAX_BUS_REQ_LEN_OFFSET = 0x41C
HIDMA_MAX_XACTIONS_OFFSET = 0x420
HIDMA_HW_VERSION_OFFSET = 0x424
HIDMA_CHRESET_TIMEOUT_OFFSET = 0x418

HIDMA_MAX_WR_XACTIONS_MASK = GENMASK(4, 0)
HIDMA_MAX_RD_XACTIONS_MASK = GENMASK(4, 0)
HIDMA_WEIGHT_MASK = GENMASK(6, 0)
HIDMA_MAX_BUS_REQ_LEN_MASK = GENMASK(15, 0)
HIDMA_CHRESET_TIMEOUT_MASK = GENMASK(19, 0)

HIDMA_MAX_WR_XACTIONS_BIT_POS = 16
HIDMA_MAX_BUS_WR_REQ_BIT_POS = 16
HIDMA_WRR_BIT_POS = 8
HIDMA_PRIORITY_BIT_POS = 15

HIDMA_AUTOSUSPEND_TIMEOUT = 2000
HIDMA_MAX_CHANNEL_WEIGHT = 15


def hidma_mgmt_setup(mgmtdev: HidmaMgmtDev) -> int:
    """Check the parameters and write all of them to the hardware: 0 or -EINVAL.

    Source: hidma_mgmt.c hidma_mgmt_setup()
    """
    dev = mgmtdev.pdev.dev

    if (not is_power_of_2(mgmtdev.max_write_request) or mgmtdev.max_write_request < 128
            or mgmtdev.max_write_request > 1024):
        dev_err(dev, f"invalid write request {s32(mgmtdev.max_write_request)}\n")
        return -EINVAL

    if (not is_power_of_2(mgmtdev.max_read_request) or mgmtdev.max_read_request < 128
            or mgmtdev.max_read_request > 1024):
        dev_err(dev, f"invalid read request {s32(mgmtdev.max_read_request)}\n")
        return -EINVAL

    if mgmtdev.max_wr_xactions > HIDMA_MAX_WR_XACTIONS_MASK:
        dev_err(dev, f"max_wr_xactions cannot be bigger than {HIDMA_MAX_WR_XACTIONS_MASK}\n")
        return -EINVAL

    if mgmtdev.max_rd_xactions > HIDMA_MAX_RD_XACTIONS_MASK:
        dev_err(dev, f"max_rd_xactions cannot be bigger than {HIDMA_MAX_RD_XACTIONS_MASK}\n")
        return -EINVAL

    for i in range(mgmtdev.dma_channels):
        if mgmtdev.priority[i] > 1:
            dev_err(dev, "priority can be 0 or 1\n")
            return -EINVAL

        if mgmtdev.weight[i] > HIDMA_MAX_CHANNEL_WEIGHT:
            dev_err(dev, f"max value of weight can be {HIDMA_MAX_CHANNEL_WEIGHT}.\n")
            return -EINVAL

        # weight needs to be at least one; V14: it stays one even if a later check fails (rows 26, 49)
        if mgmtdev.weight[i] == 0:
            mgmtdev.weight[i] = 1

    pm_runtime_get_sync(dev)
    val = readl(mgmtdev.virtaddr + HIDMA_MAX_BUS_REQ_LEN_OFFSET)
    val &= ~(HIDMA_MAX_BUS_REQ_LEN_MASK << HIDMA_MAX_BUS_WR_REQ_BIT_POS)
    val |= mgmtdev.max_write_request << HIDMA_MAX_BUS_WR_REQ_BIT_POS
    val &= ~HIDMA_MAX_BUS_REQ_LEN_MASK
    val |= mgmtdev.max_read_request
    writel(val, mgmtdev.virtaddr + HIDMA_MAX_BUS_REQ_LEN_OFFSET)

    val = readl(mgmtdev.virtaddr + HIDMA_MAX_XACTIONS_OFFSET)
    val &= ~(HIDMA_MAX_WR_XACTIONS_MASK << HIDMA_MAX_WR_XACTIONS_BIT_POS)
    val |= mgmtdev.max_wr_xactions << HIDMA_MAX_WR_XACTIONS_BIT_POS
    val &= ~HIDMA_MAX_RD_XACTIONS_MASK
    val |= mgmtdev.max_rd_xactions
    writel(val, mgmtdev.virtaddr + HIDMA_MAX_XACTIONS_OFFSET)

    mgmtdev.hw_version = readl(mgmtdev.virtaddr + HIDMA_HW_VERSION_OFFSET)
    mgmtdev.hw_version_major = (mgmtdev.hw_version >> 28) & 0xF
    mgmtdev.hw_version_minor = (mgmtdev.hw_version >> 16) & 0xF

    # V14: the 65th channel's register is CFG (row 55); 6.1 has these registers at 0x700 (row 25)
    for i in range(mgmtdev.dma_channels):
        weight = mgmtdev.weight[i]
        priority = mgmtdev.priority[i]

        val = readl(mgmtdev.virtaddr + HIDMA_QOS_N_OFFSET + (4 * i))
        val &= ~(1 << HIDMA_PRIORITY_BIT_POS)
        val |= (priority & 0x1) << HIDMA_PRIORITY_BIT_POS
        val &= ~(HIDMA_WEIGHT_MASK << HIDMA_WRR_BIT_POS)
        val |= (weight & HIDMA_WEIGHT_MASK) << HIDMA_WRR_BIT_POS
        writel(val, mgmtdev.virtaddr + HIDMA_QOS_N_OFFSET + (4 * i))

    val = readl(mgmtdev.virtaddr + HIDMA_CHRESET_TIMEOUT_OFFSET)
    val &= ~HIDMA_CHRESET_TIMEOUT_MASK
    val |= mgmtdev.chreset_timeout_cycles & HIDMA_CHRESET_TIMEOUT_MASK
    writel(val, mgmtdev.virtaddr + HIDMA_CHRESET_TIMEOUT_OFFSET)

    pm_runtime_mark_last_busy(dev)
    pm_runtime_put_autosuspend(dev)
    return 0


def hidma_mgmt_probe(pdev: PlatformDevice) -> int:
    pm_runtime_set_autosuspend_delay(pdev.dev, HIDMA_AUTOSUSPEND_TIMEOUT)
    pm_runtime_use_autosuspend(pdev.dev)
    pm_runtime_set_active(pdev.dev)
    pm_runtime_enable(pdev.dev)
    pm_runtime_get_sync(pdev.dev)

    with ExitStack() as goto:
        # out:
        goto.callback(pm_runtime_disable, pdev.dev)
        goto.callback(pm_runtime_put_sync_suspend, pdev.dev)

        res = platform_get_resource(pdev, IORESOURCE_MEM, 0)
        virtaddr = devm_ioremap_resource(pdev.dev, res)
        if IS_ERR(virtaddr) or res is None:
            return -ENOMEM

        # V14: probe needs an interrupt that the binding does not list (row 29)
        irq = platform_get_irq(pdev, 0)
        if irq < 0:
            dev_err(pdev.dev, "irq resources not found\n")
            return irq

        mgmtdev = devm_kzalloc(pdev.dev, HidmaMgmtDev, GFP_KERNEL)
        if mgmtdev is None:
            return -ENOMEM

        mgmtdev.pdev = pdev
        mgmtdev.addrsize = resource_size(res)
        mgmtdev.virtaddr = virtaddr
        mgmtdev.setup = hidma_mgmt_setup

        rc, mgmtdev.dma_channels = device_property_read_u32(pdev.dev, "dma-channels")
        if rc:
            dev_err(pdev.dev, "number of channels missing\n")
            return rc

        rc, mgmtdev.chreset_timeout_cycles = device_property_read_u32(pdev.dev, "channel-reset-timeout-cycles")
        if rc:
            dev_err(pdev.dev, "channel reset timeout missing\n")
            return rc

        rc, mgmtdev.max_write_request = device_property_read_u32(pdev.dev, "max-write-burst-bytes")
        if rc:
            dev_err(pdev.dev, "max-write-burst-bytes missing\n")
            return rc

        rc, mgmtdev.max_read_request = device_property_read_u32(pdev.dev, "max-read-burst-bytes")
        if rc:
            dev_err(pdev.dev, "max-read-burst-bytes missing\n")
            return rc

        rc, mgmtdev.max_wr_xactions = device_property_read_u32(pdev.dev, "max-write-transactions")
        if rc:
            dev_err(pdev.dev, "max-write-transactions missing\n")
            return rc

        rc, mgmtdev.max_rd_xactions = device_property_read_u32(pdev.dev, "max-read-transactions")
        if rc:
            dev_err(pdev.dev, "max-read-transactions missing\n")
            return rc

        mgmtdev.priority = devm_kcalloc(pdev.dev, mgmtdev.dma_channels, int, GFP_KERNEL)
        if mgmtdev.priority is None:
            return -ENOMEM

        mgmtdev.weight = devm_kcalloc(pdev.dev, mgmtdev.dma_channels, int, GFP_KERNEL)
        if mgmtdev.weight is None:
            return -ENOMEM

        rc = hidma_mgmt_setup(mgmtdev)
        if rc:
            dev_err(pdev.dev, "setup failed\n")
            return rc

        # start the HW
        val = readl(mgmtdev.virtaddr + HIDMA_CFG_OFFSET)
        val |= 1
        writel(val, mgmtdev.virtaddr + HIDMA_CFG_OFFSET)

        rc = hidma_mgmt_init_sys(mgmtdev)
        if rc:
            dev_err(pdev.dev, "sysfs setup failed\n")
            return rc

        dev_info(pdev.dev, f"HW rev: {mgmtdev.hw_version_major}.{mgmtdev.hw_version_minor} @ {pa(res.start)} "
                           f"with {s32(mgmtdev.dma_channels)} physical channels\n")

        platform_set_drvdata(pdev, mgmtdev)
        pm_runtime_mark_last_busy(pdev.dev)
        pm_runtime_put_autosuspend(pdev.dev)
        goto.pop_all()
        return 0


hidma_mgmt_acpi_ids = (AcpiDeviceId("QCOM8060"),)

hidma_mgmt_match = (OfDeviceId(compatible="qcom,hidma-mgmt-1.0"),)

# V14: no remove function, so that the files which probe made stay after unbind (row 54)
hidma_mgmt_driver = PlatformDriver(
    name="hidma-mgmt",
    probe=hidma_mgmt_probe,
    of_match_table=hidma_mgmt_match,
    acpi_match_table=hidma_mgmt_acpi_ids,
    owner="hdma_mgmt",
)


def hidma_mgmt_of_populate_channels(np: DeviceNode) -> int:
    pdev_parent = of_find_device_by_node(np)
    statics = sched.running_cpu().kernel.module("hdma_mgmt")
    ret = 0
    # V14: not initialised; freed all the same when the loop ends before its first kcalloc() (row 48)
    res: Any = UNINITIALISED

    with ExitStack() as goto:
        # out:
        goto.callback(lambda: kfree(res))

        for child in for_each_available_child_of_node(np):
            cell, size = of_get_property(child, "reg")
            if cell is None:
                return -EINVAL

            size //= 4
            num = size // (of_n_addr_cells(child) + of_n_size_cells(child)) + 1

            # allocate a resource array
            res = kcalloc(num, Resource, GFP_KERNEL)
            if res is None:
                return -ENOMEM

            # read each reg value
            i = 0
            res_iter = 0
            while i < size:
                addr = of_read_number(cell, i, of_n_addr_cells(child))
                i += of_n_addr_cells(child)

                addr_size = of_read_number(cell, i, of_n_size_cells(child))
                i += of_n_size_cells(child)

                res[res_iter] = Resource(addr, (addr + addr_size - 1) & 0xFFFFFFFFFFFFFFFF, IORESOURCE_MEM)
                res_iter += 1

            ret, out_irq = of_irq_parse_one(child, 0)
            if ret:
                return ret

            # V14: writes past the array if reg is shorter than its cells say (row 48)
            res[res_iter] = Resource(irq_create_of_mapping(out_irq), 0, IORESOURCE_IRQ, "hidma event irq")

            # V14: sets fwnode, not of_node, so that a driver matches the device by its name only (row 27)
            pdevinfo = PlatformDeviceInfo()
            pdevinfo.fwnode = child
            pdevinfo.parent = pdev_parent.dev if pdev_parent is not None else None
            pdevinfo.name = child.name
            pdevinfo.id = statics.object_counter
            statics.object_counter += 1
            pdevinfo.res = res
            pdevinfo.num_res = num
            pdevinfo.dma_mask = DMA_BIT_MASK(64)
            new_pdev = platform_device_register_full(pdevinfo)
            # V14: an error pointer is not NULL and is taken for a device (rows 27, 48)
            if new_pdev is None:
                return -ENODEV
            of_dma_configure(new_pdev if isinstance(new_pdev, int) else new_pdev.dev, None)

            kfree(res)
            res = None

    return ret


def hidma_mgmt_init() -> int:
    statics = sched.running_cpu().kernel.module("hdma_mgmt")
    if not hasattr(statics, "object_counter"):
        statics.object_counter = 0

    child = of_find_matching_node(None, list(hidma_mgmt_match))
    while child is not None:
        # firmware is a device tree here
        hidma_mgmt_of_populate_channels(child)
        # V14: of_find_matching_node() drops this reference too (row 28)
        of_node_put(child)
        child = of_find_matching_node(child, list(hidma_mgmt_match))
    platform_driver_register(hidma_mgmt_driver)

    return 0


# module_init(hidma_mgmt_init); V14 has no module_exit. Its Makefile links this file and hidma_mgmt_sys.c into hdma_mgmt.ko
module = Module(
    name="hdma_mgmt",
    init=hidma_mgmt_init,
    license="GPL v2",
    source="drivers/dma/qcom/hidma_mgmt.c",
    aliases=("hidma_mgmt", "of:N*T*Cqcom,hidma-mgmt-1.0*", "acpi*:QCOM8060:*"),
)
