# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/vfio_platform_common.c
# Copyright (C) 2013 - Virtual Open Systems
# Author: Antonios Motakis <a.motakis@virtualopensystems.com>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/vfio_platform_common.c``: a device of a bus is given to a process, with its registers and a
function that resets it. V14's oddities are kept and marked with their row in docs/quirks.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hidma.linux import sched
from hidma.linux.acpi import ACPI_COMPANION, acpi_device_hid
from hidma.linux.device import Device
from hidma.linux.errno import EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY
from hidma.linux.iomap import ioread8, ioread16, ioread32, ioremap_nocache, iounmap, iowrite8, iowrite16, iowrite32
from hidma.linux.iommu import iommu_group_get, iommu_group_put
from hidma.linux.ioport import IORESOURCE_IO, IORESOURCE_MEM, IORESOURCE_READONLY, resource_size, resource_type
from hidma.linux.kmod import request_module
from hidma.linux.list import INIT_LIST_HEAD, ListHead, list_add, list_del, list_for_each_entry, list_for_each_entry_safe
from hidma.linux.mm import PAGE_SHIFT, PAGE_SIZE
from hidma.linux.mm_types import (
    PAGE_MASK,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    VmAreaStruct,
    pgprot_noncached,
    remap_pfn_range,
)
from hidma.linux.module import Module, module_put, try_module_get
from hidma.linux.mutex import DEFINE_MUTEX, Mutex, mutex_init, mutex_lock, mutex_unlock
from hidma.linux.printk import dev_info, dev_warn, pr_err
from hidma.linux.property import device_property_read_string
from hidma.linux.slab import GFP_KERNEL, kcalloc, kfree
from hidma.linux.uaccess import copy_from_user, copy_to_user, memdup_user
from hidma.linux.vfio import (
    VFIO_DEVICE_FLAGS_RESET,
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_GET_REGION_INFO,
    VFIO_DEVICE_RESET,
    VFIO_DEVICE_SET_IRQS,
    VFIO_IRQ_SET_ACTION_TYPE_MASK,
    VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE,
    VFIO_IRQ_SET_DATA_TYPE_MASK,
    VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE,
    VfioDeviceInfo,
    VfioDeviceOps,
    VfioIrqInfo,
    VfioIrqSet,
    VfioRegionInfo,
    vfio_add_group_dev,
    vfio_del_group_dev,
)
from hidma.vfio_platform.irq import vfio_platform_irq_cleanup, vfio_platform_irq_init, vfio_platform_set_irqs_ioctl
from hidma.vfio_platform.private import (
    VFIO_PLATFORM_INDEX_TO_OFFSET,
    VFIO_PLATFORM_OFFSET_MASK,
    VFIO_PLATFORM_OFFSET_SHIFT,
    VFIO_PLATFORM_OFFSET_TO_INDEX,
    VFIO_PLATFORM_REGION_TYPE_MMIO,
    VFIO_PLATFORM_REGION_TYPE_PIO,
    VfioPlatformDevice,
    VfioPlatformRegion,
    VfioPlatformResetNode,
    vfio_platform_reset_fn_t,
)

DRIVER_VERSION = "0.10"
DRIVER_AUTHOR = "Antonios Motakis <a.motakis@virtualopensystems.com>"
DRIVER_DESC = "VFIO platform base module"


def reset_list() -> ListHead:
    """``reset_list``, in the running kernel."""
    statics = sched.running_cpu().kernel.module("vfio_platform_base")
    if not hasattr(statics, "reset_list"):
        statics.reset_list = ListHead()
        INIT_LIST_HEAD(statics.reset_list)
    head: ListHead = statics.reset_list
    return head


def driver_lock() -> Mutex:
    """``driver_lock``, in the running kernel."""
    return DEFINE_MUTEX("vfio_platform_base", "driver_lock")


# V14: one list for both kinds of key; of two entries that match, the one registered last; an entry whose module cannot be held is
# passed over (row 31)
def vfio_platform_lookup_reset(compat: str | None, acpihid: str | None) -> tuple[vfio_platform_reset_fn_t | None, Module | None]:
    """The reset function for a compatible string or a hardware ID, and its module, held: (None, None) without one."""
    reset_fn: vfio_platform_reset_fn_t | None = None
    module: Module | None = None

    mutex_lock(driver_lock())
    for it in list_for_each_entry(reset_list()):
        if (acpihid and it.acpihid and it.acpihid == acpihid) and try_module_get(it.owner):
            module = it.owner
            reset_fn = it.reset
            break
        if (compat and it.compat and it.compat == compat) and try_module_get(it.owner):
            module = it.owner
            reset_fn = it.reset
            break
    mutex_unlock(driver_lock())
    return reset_fn, module


def vfio_platform_get_reset(vdev: VfioPlatformDevice) -> None:
    vdev.reset, vdev.reset_module = vfio_platform_lookup_reset(vdev.compat, vdev.acpihid)
    if vdev.reset is None:
        # V14: asks by compatible string only, and an ACPI device has none (row 32)
        request_module(f"vfio-reset:{'(null)' if vdev.compat is None else vdev.compat}")
        vdev.reset, vdev.reset_module = vfio_platform_lookup_reset(vdev.compat, vdev.acpihid)


def vfio_platform_put_reset(vdev: VfioPlatformDevice) -> None:
    if vdev.reset is not None:
        module_put(vdev.reset_module)


def vfio_platform_regions_init(vdev: VfioPlatformDevice) -> int:
    cnt = 0
    while vdev.get_resource(vdev, cnt) is not None:
        cnt += 1

    regions = kcalloc(cnt, VfioPlatformRegion, GFP_KERNEL)
    if regions is None:
        return -ENOMEM
    vdev.regions = regions

    with ExitStack() as goto:
        # err:
        goto.callback(kfree, vdev.regions)

        for i in range(cnt):
            res = vdev.get_resource(vdev, i)

            if res is None:
                return -EINVAL

            vdev.regions[i].addr = res.start
            vdev.regions[i].size = resource_size(res)
            vdev.regions[i].flags = 0

            if resource_type(res) == IORESOURCE_MEM:
                vdev.regions[i].type = VFIO_PLATFORM_REGION_TYPE_MMIO
                vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_READ
                if not res.flags & IORESOURCE_READONLY:
                    vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_WRITE

                # Only regions of whole pages may be mapped: a page that is shared would give the owner the registers beside
                # its device.
                if not vdev.regions[i].addr & ~PAGE_MASK and not vdev.regions[i].size & ~PAGE_MASK:
                    vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_MMAP
            elif resource_type(res) == IORESOURCE_IO:
                vdev.regions[i].type = VFIO_PLATFORM_REGION_TYPE_PIO
            else:
                return -EINVAL

        vdev.num_regions = cnt

        goto.pop_all()
        return 0


def vfio_platform_regions_cleanup(vdev: VfioPlatformDevice) -> None:
    # V14: unmaps a region that was never mapped, too, at NULL (row 50)
    for i in range(vdev.num_regions):
        iounmap(vdev.regions[i].ioaddr)

    vdev.num_regions = 0
    kfree(vdev.regions)


def vfio_platform_release(device_data: Any) -> None:
    vdev: VfioPlatformDevice = device_data

    mutex_lock(driver_lock())

    vdev.refcnt -= 1
    if not vdev.refcnt:
        if vdev.reset is not None:
            dev_info(vdev.device, "reset\n")
            # V14: ignores the result of the reset (row 33)
            vdev.reset(vdev)
        else:
            # V14: only warns without a reset function (row 33)
            dev_warn(vdev.device, "no reset function found!\n")
        vfio_platform_regions_cleanup(vdev)
        vfio_platform_irq_cleanup(vdev)

    mutex_unlock(driver_lock())

    module_put(vdev.parent_module)


def vfio_platform_open(device_data: Any) -> int:
    vdev: VfioPlatformDevice = device_data

    if not try_module_get(vdev.parent_module):
        return -ENODEV

    with ExitStack() as goto:
        # err_reg: V14: puts this module, where parent_module was held (row 50)
        goto.callback(module_put, base_module)
        goto.callback(mutex_unlock, driver_lock())
        mutex_lock(driver_lock())

        if not vdev.refcnt:
            ret = vfio_platform_regions_init(vdev)
            if ret:
                return ret

            # err_irq:
            goto.callback(vfio_platform_regions_cleanup, vdev)
            ret = vfio_platform_irq_init(vdev)
            if ret:
                return ret

            if vdev.reset is not None:
                dev_info(vdev.device, "reset\n")
                # V14: ignores the result of the reset (row 33)
                vdev.reset(vdev)
            else:
                # V14: only warns without a reset function (row 33)
                dev_warn(vdev.device, "no reset function found!\n")

        vdev.refcnt += 1

        goto.pop_all()
        mutex_unlock(driver_lock())
        return 0


def vfio_platform_ioctl(device_data: Any, cmd: int, arg: int) -> int:
    vdev: VfioPlatformDevice = device_data

    if cmd == VFIO_DEVICE_GET_INFO:
        minsz = VfioDeviceInfo.offsetofend("num_irqs")

        left, raw = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        device_info = VfioDeviceInfo.unpack(raw)

        if device_info.argsz < minsz:
            return -EINVAL

        if vdev.reset is not None:
            vdev.flags |= VFIO_DEVICE_FLAGS_RESET
        device_info.flags = vdev.flags
        device_info.num_regions = vdev.num_regions
        device_info.num_irqs = vdev.num_irqs

        return copy_to_user(arg, device_info.pack(), minsz)

    elif cmd == VFIO_DEVICE_GET_REGION_INFO:
        minsz = VfioRegionInfo.offsetofend("offset")

        left, raw = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        region_info = VfioRegionInfo.unpack(raw)

        if region_info.argsz < minsz:
            return -EINVAL

        if region_info.index >= vdev.num_regions:
            return -EINVAL

        # map offset to the physical address
        region_info.offset = VFIO_PLATFORM_INDEX_TO_OFFSET(region_info.index)
        region_info.size = vdev.regions[region_info.index].size
        region_info.flags = vdev.regions[region_info.index].flags

        return copy_to_user(arg, region_info.pack(), minsz)

    elif cmd == VFIO_DEVICE_GET_IRQ_INFO:
        minsz = VfioIrqInfo.offsetofend("count")

        left, raw = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        irq_info = VfioIrqInfo.unpack(raw)

        if irq_info.argsz < minsz:
            return -EINVAL

        if irq_info.index >= vdev.num_irqs:
            return -EINVAL

        irq_info.flags = vdev.irqs[irq_info.index].flags
        irq_info.count = vdev.irqs[irq_info.index].count

        return copy_to_user(arg, irq_info.pack(), minsz)

    elif cmd == VFIO_DEVICE_SET_IRQS:
        data: bytes | None = None

        minsz = VfioIrqSet.offsetofend("count")

        left, raw = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        hdr = VfioIrqSet.unpack(raw)

        if hdr.argsz < minsz:
            return -EINVAL

        if hdr.index >= vdev.num_irqs:
            return -EINVAL

        if hdr.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK):
            return -EINVAL

        if not hdr.flags & VFIO_IRQ_SET_DATA_NONE:
            if hdr.flags & VFIO_IRQ_SET_DATA_BOOL:
                size = 1
            elif hdr.flags & VFIO_IRQ_SET_DATA_EVENTFD:
                size = 4
            else:
                return -EINVAL

            if hdr.argsz - minsz < size:
                return -EINVAL

            rc, data = memdup_user(arg + minsz, size)
            if rc:
                return rc

        mutex_lock(vdev.igate)

        ret = vfio_platform_set_irqs_ioctl(vdev, hdr.flags, hdr.index, hdr.start, hdr.count, data)
        mutex_unlock(vdev.igate)
        kfree(data)

        return ret

    elif cmd == VFIO_DEVICE_RESET:
        if vdev.reset is not None:
            return vdev.reset(vdev)
        else:
            return -EINVAL

    return -ENOTTY


# V14: nothing compares the offset with the size of the region (row 58)
def vfio_platform_read_mmio(reg: VfioPlatformRegion, buf: int, count: int, off: int) -> int:
    done = 0

    if not reg.ioaddr:
        reg.ioaddr = ioremap_nocache(reg.addr, reg.size)

        if not reg.ioaddr:
            return -ENOMEM

    while count:
        if count >= 4 and not off % 4:
            val = ioread32(reg.ioaddr + off)
            filled = 4
        elif count >= 2 and not off % 2:
            val = ioread16(reg.ioaddr + off)
            filled = 2
        else:
            val = ioread8(reg.ioaddr + off)
            filled = 1

        if copy_to_user(buf, val.to_bytes(filled, "little"), filled):
            return -EFAULT

        count -= filled
        done += filled
        off += filled
        buf += filled

    return done


def vfio_platform_read(device_data: Any, buf: int, count: int, ppos: int) -> int:
    vdev: VfioPlatformDevice = device_data
    index = VFIO_PLATFORM_OFFSET_TO_INDEX(ppos)
    off = ppos & VFIO_PLATFORM_OFFSET_MASK

    if index >= vdev.num_regions:
        return -EINVAL

    if not vdev.regions[index].flags & VFIO_REGION_INFO_FLAG_READ:
        return -EINVAL

    if vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_MMIO:
        return vfio_platform_read_mmio(vdev.regions[index], buf, count, off)
    elif vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_PIO:
        return -EINVAL  # not implemented

    return -EINVAL


# V14: nothing compares the offset with the size of the region (row 58)
def vfio_platform_write_mmio(reg: VfioPlatformRegion, buf: int, count: int, off: int) -> int:
    done = 0

    if not reg.ioaddr:
        reg.ioaddr = ioremap_nocache(reg.addr, reg.size)

        if not reg.ioaddr:
            return -ENOMEM

    while count:
        if count >= 4 and not off % 4:
            filled, write = 4, iowrite32
        elif count >= 2 and not off % 2:
            filled, write = 2, iowrite16
        else:
            filled, write = 1, iowrite8

        left, raw = copy_from_user(buf, filled)
        if left:
            return -EFAULT
        write(int.from_bytes(raw, "little"), reg.ioaddr + off)

        count -= filled
        done += filled
        off += filled
        buf += filled

    return done


def vfio_platform_write(device_data: Any, buf: int, count: int, ppos: int) -> int:
    vdev: VfioPlatformDevice = device_data
    index = VFIO_PLATFORM_OFFSET_TO_INDEX(ppos)
    off = ppos & VFIO_PLATFORM_OFFSET_MASK

    if index >= vdev.num_regions:
        return -EINVAL

    if not vdev.regions[index].flags & VFIO_REGION_INFO_FLAG_WRITE:
        return -EINVAL

    if vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_MMIO:
        return vfio_platform_write_mmio(vdev.regions[index], buf, count, off)
    elif vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_PIO:
        return -EINVAL  # not implemented

    return -EINVAL


def vfio_platform_mmap_mmio(region: VfioPlatformRegion, vma: VmAreaStruct) -> int:
    req_len = vma.vm_end - vma.vm_start
    pgoff = vma.vm_pgoff & ((1 << (VFIO_PLATFORM_OFFSET_SHIFT - PAGE_SHIFT)) - 1)
    req_start = pgoff << PAGE_SHIFT

    if region.size < PAGE_SIZE or req_start + req_len > region.size:
        return -EINVAL

    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vma.vm_pgoff = (region.addr >> PAGE_SHIFT) + pgoff

    return remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, req_len, vma.vm_page_prot)


def vfio_platform_mmap(device_data: Any, vma: VmAreaStruct) -> int:
    vdev: VfioPlatformDevice = device_data

    index = vma.vm_pgoff >> (VFIO_PLATFORM_OFFSET_SHIFT - PAGE_SHIFT)

    if vma.vm_end < vma.vm_start:
        return -EINVAL
    if not vma.vm_flags & VM_SHARED:
        return -EINVAL
    if index >= vdev.num_regions:
        return -EINVAL
    if vma.vm_start & ~PAGE_MASK:
        return -EINVAL
    if vma.vm_end & ~PAGE_MASK:
        return -EINVAL

    if not vdev.regions[index].flags & VFIO_REGION_INFO_FLAG_MMAP:
        return -EINVAL

    if not vdev.regions[index].flags & VFIO_REGION_INFO_FLAG_READ and vma.vm_flags & VM_READ:
        return -EINVAL

    if not vdev.regions[index].flags & VFIO_REGION_INFO_FLAG_WRITE and vma.vm_flags & VM_WRITE:
        return -EINVAL

    vma.vm_private_data = vdev

    if vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_MMIO:
        return vfio_platform_mmap_mmio(vdev.regions[index], vma)

    elif vdev.regions[index].type & VFIO_PLATFORM_REGION_TYPE_PIO:
        return -EINVAL  # not implemented

    return -EINVAL


vfio_platform_ops = VfioDeviceOps(
    name="vfio-platform",
    open=vfio_platform_open,
    release=vfio_platform_release,
    ioctl=vfio_platform_ioctl,
    read=vfio_platform_read,
    write=vfio_platform_write,
    mmap=vfio_platform_mmap,
)


def vfio_platform_probe_acpi(vdev: VfioPlatformDevice, dev: Device) -> int:
    adev = ACPI_COMPANION(dev)

    if adev is None:
        return -EINVAL

    vdev.acpihid = acpi_device_hid(adev)
    if vdev.acpihid is None:
        pr_err(f"VFIO: cannot find ACPI HID for {vdev.name}\n")
        return -EINVAL
    return 0


def vfio_platform_probe_of(vdev: VfioPlatformDevice, dev: Device) -> int:
    # V14: looks at the first string of several only (row 31)
    ret, compat = device_property_read_string(dev, "compatible")
    if ret:
        pr_err(f"VFIO: cannot retrieve compat for {vdev.name}\n")
        return -EINVAL
    vdev.compat = compat
    return 0


def vfio_platform_probe_common(vdev: VfioPlatformDevice, dev: Device) -> int:
    """Offer ``dev`` to VFIO and look for its reset function: 0, -EINVAL (neither hardware ID nor compatible string, no IOMMU
    group), -EBUSY (``vfio_platform_common.c vfio_platform_probe_common()``)."""
    if not vdev:
        return -EINVAL

    # V14: tries ACPI first, on a system with a device tree too (row 30)
    ret = vfio_platform_probe_acpi(vdev, dev)
    if ret:
        ret = vfio_platform_probe_of(vdev, dev)

    if ret:
        return ret

    vdev.device = dev
    group = iommu_group_get(dev)
    if group is None:
        pr_err(f"VFIO: No IOMMU group for device {vdev.name}\n")
        return -EINVAL

    ret = vfio_add_group_dev(dev, vfio_platform_ops, vdev)
    if ret:
        iommu_group_put(group)
        return ret

    vfio_platform_get_reset(vdev)

    mutex_init(vdev.igate)

    return 0


def vfio_platform_remove_common(dev: Device) -> VfioPlatformDevice | None:
    """Take ``dev`` from VFIO and return what it was probed with (``vfio_platform_common.c vfio_platform_remove_common()``)."""
    vdev: VfioPlatformDevice | None = vfio_del_group_dev(dev)

    if vdev is not None:
        vfio_platform_put_reset(vdev)
        iommu_group_put(dev.iommu_group)

    return vdev


# V14: adds at the head, so that of two entries that match the last one wins (row 31)
def __vfio_platform_register_reset(node: VfioPlatformResetNode) -> None:
    """Put ``node`` at the head of the list (``vfio_platform_common.c __vfio_platform_register_reset()``)."""
    mutex_lock(driver_lock())
    list_add(node.link, reset_list())
    mutex_unlock(driver_lock())


def vfio_platform_unregister_reset(compat: str | None, acpihid: str | None, fn: vfio_platform_reset_fn_t) -> None:
    """Take the first entry for ``fn`` with this hardware ID or compatible string off the list
    (``vfio_platform_common.c vfio_platform_unregister_reset()``)."""
    mutex_lock(driver_lock())
    for it in list_for_each_entry_safe(reset_list()):
        if acpihid and it.acpihid and it.acpihid == acpihid and it.reset is fn:
            list_del(it.link)
            break

        if compat and it.compat and it.compat == compat and it.reset is fn:
            list_del(it.link)
            break

    mutex_unlock(driver_lock())


base_module = Module(
    name="vfio_platform_base",
    init=lambda: 0,
    exit=lambda: None,
    license="GPL v2",
    source="drivers/vfio/platform/vfio_platform_common.c",
    depends=("vfio",),
)
