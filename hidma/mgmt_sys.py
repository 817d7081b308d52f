# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/dma/qcom/hidma_mgmt_sys.c: Qualcomm Technologies HIDMA Management SYS interface
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma_mgmt_sys.c``: the sysfs files of the management driver. V14's oddities are
kept and marked with their row in docs/quirks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.hidma_mgmt_h import HidmaMgmtDev
from hidma.linux.device import Device
from hidma.linux.errno import EINVAL, ENOMEM
from hidma.linux.kobject import Kobject, kobject_create_and_add
from hidma.linux.kstrtox import kstrtoul
from hidma.linux.platform_device import platform_get_drvdata, to_platform_device
from hidma.linux.printk import s32
from hidma.linux.slab import GFP_KERNEL, Array, devm_kmalloc, devm_kstrdup
from hidma.linux.sysfs import (
    S_IRUGO,
    S_IWUGO,
    DeviceAttribute,
    KobjAttribute,
    device_create_file,
    sprintf,
    strlen,
    sysfs_attr_init,
    sysfs_create_file,
)

Getter = Callable[[HidmaMgmtDev], int]
Setter = Callable[[HidmaMgmtDev, int], int]


def hidma_mgmt_setup(mdev: Any) -> int:
    """``hidma_mgmt_setup()`` of ``mgmt``, which imports this module: the two C files call each other."""
    rc: int = mdev.setup(mdev)
    return rc


class HidmaChanAttr:
    """``struct hidma_chan_attr``."""

    def __init__(self) -> None:
        self.mdev: HidmaMgmtDev | None = None
        self.index = 0
        self.attr = KobjAttribute()
        self.attr.container = self


class HidmaMgmtFileinfo:
    """``struct hidma_mgmt_fileinfo``."""

    def __init__(self, name: str, mode: int, get: Getter, set: Setter) -> None:
        self.name = name
        self.mode = mode
        self.get = get
        self.set = set


def IMPLEMENT_GETSET(name: str) -> tuple[Getter, Setter]:
    """The functions ``get_<name>`` and ``set_<name>`` of a field of ``struct hidma_mgmt_dev``."""
    mask = 0xFF if name.startswith("hw_version_") else 0xFFFFFFFF

    def get(mdev: HidmaMgmtDev) -> int:
        value: int = getattr(mdev, name)
        return s32(value)

    def set(mdev: HidmaMgmtDev, val: int) -> int:
        tmp = getattr(mdev, name)
        # V14: cuts a 64-bit value to the width of the field (rows 26, 49)
        setattr(mdev, name, val & mask)
        rc: int = hidma_mgmt_setup(mdev)
        if rc:
            setattr(mdev, name, tmp)
        return rc

    return get, set


def DECLARE_ATTRIBUTE(name: str, mode: int) -> HidmaMgmtFileinfo:
    """The row of ``hidma_mgmt_files`` for field ``name``."""
    return HidmaMgmtFileinfo(name, mode, globals()[f"get_{name}"], globals()[f"set_{name}"])


get_hw_version_major, set_hw_version_major = IMPLEMENT_GETSET("hw_version_major")
get_hw_version_minor, set_hw_version_minor = IMPLEMENT_GETSET("hw_version_minor")
get_max_wr_xactions, set_max_wr_xactions = IMPLEMENT_GETSET("max_wr_xactions")
get_max_rd_xactions, set_max_rd_xactions = IMPLEMENT_GETSET("max_rd_xactions")
get_max_write_request, set_max_write_request = IMPLEMENT_GETSET("max_write_request")
get_max_read_request, set_max_read_request = IMPLEMENT_GETSET("max_read_request")
get_dma_channels, set_dma_channels = IMPLEMENT_GETSET("dma_channels")
get_chreset_timeout_cycles, set_chreset_timeout_cycles = IMPLEMENT_GETSET("chreset_timeout_cycles")


def set_priority(mdev: HidmaMgmtDev, i: int, val: int) -> int:
    if i >= mdev.dma_channels:
        return -EINVAL

    tmp = mdev.priority[i]
    mdev.priority[i] = val & 0xFFFFFFFF
    rc: int = hidma_mgmt_setup(mdev)
    if rc:
        mdev.priority[i] = tmp
    return rc


def set_weight(mdev: HidmaMgmtDev, i: int, val: int) -> int:
    if i >= mdev.dma_channels:
        return -EINVAL

    tmp = mdev.weight[i]
    mdev.weight[i] = val & 0xFFFFFFFF
    rc: int = hidma_mgmt_setup(mdev)
    if rc:
        mdev.weight[i] = tmp
    return rc


hidma_mgmt_files = (
    DECLARE_ATTRIBUTE("hw_version_major", S_IRUGO),
    DECLARE_ATTRIBUTE("hw_version_minor", S_IRUGO),
    DECLARE_ATTRIBUTE("dma_channels", S_IRUGO),
    DECLARE_ATTRIBUTE("chreset_timeout_cycles", S_IRUGO),
    # V14: everybody may write these, and the read-only files above have a store function too (row 26)
    DECLARE_ATTRIBUTE("max_wr_xactions", S_IRUGO | S_IWUGO),
    DECLARE_ATTRIBUTE("max_rd_xactions", S_IRUGO | S_IWUGO),
    DECLARE_ATTRIBUTE("max_write_request", S_IRUGO | S_IWUGO),
    DECLARE_ATTRIBUTE("max_read_request", S_IRUGO | S_IWUGO),
)


def show_values(dev: Device, attr: DeviceAttribute, buf: bytearray) -> int:
    pdev = to_platform_device(dev)
    mdev = platform_get_drvdata(pdev)

    buf[0] = 0

    for info in hidma_mgmt_files:
        if attr.attr.name == info.name:
            sprintf(buf, f"{info.get(mdev)}\n")
            break
    return strlen(buf)


def set_values(dev: Device, attr: DeviceAttribute, buf: bytes, count: int) -> int:
    pdev = to_platform_device(dev)
    mdev = platform_get_drvdata(pdev)

    rc, tmp = kstrtoul(buf, 0)
    if rc:
        return rc

    for info in hidma_mgmt_files:
        if attr.attr.name == info.name:
            rc = info.set(mdev, tmp)
            if rc:
                return rc

            break
    return count


def show_values_channel(kobj: Kobject, attr: KobjAttribute, buf: bytearray) -> int:
    buf[0] = 0
    chattr = attr.container
    mdev = chattr.mdev
    if attr.attr.name == "priority":
        sprintf(buf, f"{s32(mdev.priority[chattr.index])}\n")
    elif attr.attr.name == "weight":
        sprintf(buf, f"{s32(mdev.weight[chattr.index])}\n")

    return strlen(buf)


def set_values_channel(kobj: Kobject, attr: KobjAttribute, buf: bytes, count: int) -> int:
    chattr = attr.container
    mdev = chattr.mdev

    rc, tmp = kstrtoul(buf, 0)
    if rc:
        return rc

    if attr.attr.name == "priority":
        rc = set_priority(mdev, chattr.index, tmp)
        if rc:
            return rc
    elif attr.attr.name == "weight":
        rc = set_weight(mdev, chattr.index, tmp)
        if rc:
            return rc
    return count


def create_sysfs_entry(dev: HidmaMgmtDev, name: str, mode: int) -> int:
    attrs = devm_kmalloc(dev.pdev.dev, DeviceAttribute, GFP_KERNEL)
    if attrs is None:
        return -ENOMEM

    name_copy = devm_kstrdup(dev.pdev.dev, name, GFP_KERNEL)
    if name_copy is None:
        return -ENOMEM

    attrs.attr.name = name_copy
    attrs.attr.mode = mode
    attrs.show = show_values
    attrs.store = set_values
    sysfs_attr_init(attrs.attr)

    return device_create_file(dev.pdev.dev, attrs)


def create_sysfs_entry_channel(mdev: HidmaMgmtDev, name: str, mode: int, index: int, parent: Kobject) -> int:
    chattr = devm_kmalloc(mdev.pdev.dev, HidmaChanAttr, GFP_KERNEL)
    if chattr is None:
        return -ENOMEM

    name_copy = devm_kstrdup(mdev.pdev.dev, name, GFP_KERNEL)
    if name_copy is None:
        return -ENOMEM

    chattr.mdev = mdev
    chattr.index = index
    chattr.attr.attr.name = name_copy
    chattr.attr.attr.mode = mode
    chattr.attr.show = show_values_channel
    chattr.attr.store = set_values_channel
    sysfs_attr_init(chattr.attr.attr)

    return sysfs_create_file(parent, chattr.attr)


def hidma_mgmt_init_sys(mdev: HidmaMgmtDev) -> int:
    """Make the files of the management device: 0, -ENOMEM, -EEXIST. Source: hidma_mgmt_sys.c hidma_mgmt_init_sys()."""
    mdev.chroots = devm_kmalloc(mdev.pdev.dev, lambda: Array([None] * mdev.dma_channels), GFP_KERNEL)
    if mdev.chroots is None:
        return -ENOMEM

    chanops = kobject_create_and_add("chanops", mdev.pdev.dev.kobj)
    if chanops is None:
        return -ENOMEM

    # create each channel directory here
    for i in range(mdev.dma_channels):
        name = f"chan{i}"
        mdev.chroots[i] = kobject_create_and_add(name, chanops)
        if mdev.chroots[i] is None:
            return -ENOMEM

    # populate common parameters
    for info in hidma_mgmt_files:
        rc = create_sysfs_entry(mdev, info.name, info.mode)
        if rc:
            return rc

    # populate parameters that are per channel
    for i in range(mdev.dma_channels):
        rc = create_sysfs_entry_channel(mdev, "priority", S_IRUGO | S_IWUGO, i, mdev.chroots[i])
        if rc:
            return rc

        rc = create_sysfs_entry_channel(mdev, "weight", S_IRUGO | S_IWUGO, i, mdev.chroots[i])
        if rc:
            return rc

    return 0
