# SPDX-License-Identifier: GPL-2.0-only
"""Stands for ``drivers/vfio/platform/vfio_platform_common.c``, ``drivers/vfio/platform/vfio_platform_irq.c``,
``drivers/vfio/platform/vfio_platform.c`` and their header ``drivers/vfio/platform/vfio_platform_private.h``: a device of the
platform bus is given to a process, with its registers, its interrupts and a function that resets it. The header comes first;
function by function in the order of each file; V14's oddities are kept and marked with their row in docs/quirks. The reset
functions are the business of ``reset_plugins``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hidma.linux import sched
from hidma.linux.acpi import ACPI_COMPANION, acpi_device_hid
from hidma.linux.device import Device
from hidma.linux.errno import EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY
from hidma.linux.eventfd import EventfdCtx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal
from hidma.linux.interrupt import IRQ_HANDLED, IRQ_NONE, disable_irq_nosync, enable_irq, free_irq
from hidma.linux.iomap import ioread8, ioread16, ioread32, ioremap_nocache, iounmap, iowrite8, iowrite16, iowrite32
from hidma.linux.iommu import iommu_group_get, iommu_group_put
from hidma.linux.ioport import (
    IORESOURCE_IO,
    IORESOURCE_MEM,
    IORESOURCE_READONLY,
    Resource,
    resource_size,
    resource_type,
)
from hidma.linux.irq import IRQ_NOAUTOEN, IRQ_TYPE_LEVEL_MASK, irq_get_trigger_type, irq_set_status_flags, request_irq
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
from hidma.linux.module import Module, module_put, this_module, try_module_get
from hidma.linux.mutex import DEFINE_MUTEX, Mutex, mutex_init, mutex_lock, mutex_unlock
from hidma.linux.platform_device import (
    PlatformDevice,
    PlatformDriver,
    platform_driver_register,
    platform_driver_unregister,
    platform_get_irq,
)
from hidma.linux.printk import dev_info, dev_warn, pr_err
from hidma.linux.property import device_property_read_string
from hidma.linux.slab import GFP_KERNEL, Array, kcalloc, kfree, kzalloc
from hidma.linux.spinlock import Spinlock, spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore
from hidma.linux.uaccess import copy_from_user, copy_to_user, memdup_user
from hidma.linux.vfio import (
    VFIO_DEVICE_FLAGS_PLATFORM,
    VFIO_DEVICE_FLAGS_RESET,
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_GET_REGION_INFO,
    VFIO_DEVICE_RESET,
    VFIO_DEVICE_SET_IRQS,
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
    VFIO_IRQ_SET_DATA_TYPE_MASK,
    VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE,
    VfioDeviceInfo,
    VfioDeviceOps,
    VfioIrqInfo,
    VfioIrqSet,
    VfioRegionInfo,
    Virqfd,
    vfio_add_group_dev,
    vfio_del_group_dev,
    vfio_virqfd_disable,
    vfio_virqfd_enable,
)

# --- vfio_platform_private.h --------------------------------------------------------------------------------------------

VFIO_PLATFORM_OFFSET_SHIFT = 40
VFIO_PLATFORM_OFFSET_MASK = (1 << VFIO_PLATFORM_OFFSET_SHIFT) - 1


def VFIO_PLATFORM_OFFSET_TO_INDEX(off: int) -> int:
    """The region that a file offset means."""
    return off >> VFIO_PLATFORM_OFFSET_SHIFT


def VFIO_PLATFORM_INDEX_TO_OFFSET(index: int) -> int:
    """Where region ``index`` begins in the file."""
    return index << VFIO_PLATFORM_OFFSET_SHIFT


class VfioPlatformIrq:
    """``struct vfio_platform_irq``; ``freed`` once the device is closed, for an eventfd that still calls."""

    freed = False

    def __init__(self) -> None:
        self.flags = 0
        self.count = 0
        self.hwirq = 0
        self.name: str | None = None
        self.trigger: EventfdCtx | None = None
        self.masked = False
        self.lock = Spinlock("irq_ctx->lock")
        self.unmask: Virqfd | None = None
        self.mask: Virqfd | None = None


class VfioPlatformRegion:
    """``struct vfio_platform_region``: ``addr`` and ``size`` of registers, ``ioaddr`` where they are mapped (0: they are
    not yet)."""

    def __init__(self) -> None:
        self.addr = 0
        self.size = 0
        self.flags = 0
        self.type = 0
        self.ioaddr = 0


VFIO_PLATFORM_REGION_TYPE_MMIO = 1
VFIO_PLATFORM_REGION_TYPE_PIO = 2


class VfioPlatformDevice:
    """``struct vfio_platform_device``: what a reset function gets; ``regions`` are its registers."""

    def __init__(self) -> None:
        self.regions: Array[VfioPlatformRegion] = Array()
        self.num_regions = 0
        self.irqs: Array[VfioPlatformIrq] = Array()
        self.num_irqs = 0
        self.refcnt = 0
        self.igate = Mutex("vdev->igate")
        self.parent_module: Module | None = None
        self.compat: str | None = None
        self.acpihid: str | None = None
        self.reset_module: Module | None = None
        self.device: Any = None
        # the bus specific binder fills in what follows
        self.opaque: Any = None
        self.name = ""
        self.flags = 0
        self.get_resource: Callable[[VfioPlatformDevice, int], Resource | None] = lambda vdev, i: None
        self.get_irq: Callable[[VfioPlatformDevice, int], int] = lambda vdev, i: -EINVAL
        self.reset: vfio_platform_reset_fn_t | None = None


vfio_platform_reset_fn_t = Callable[[VfioPlatformDevice], int]


class VfioPlatformResetNode:
    """``struct vfio_platform_reset_node``."""

    def __init__(self, compat: str | None, acpihid: str | None, owner: Module | None,
                 reset: vfio_platform_reset_fn_t) -> None:
        self.link = ListHead(self)
        self.compat = compat
        self.acpihid = acpihid
        self.owner = owner
        self.reset = reset


def vfio_platform_register_reset(__compat: str | None, __acpihid: str | None, __reset: vfio_platform_reset_fn_t) -> None:
    """Make a reset function of the module that defines it known, for devices with this compatible string, this hardware ID
    or either."""
    __vfio_platform_register_reset(VfioPlatformResetNode(__compat, __acpihid, this_module(__reset), __reset))


@dataclass(frozen=True)
class ResetModule(Module):
    """What ``module_vfio_reset_handler()`` makes: a module whose init function registers ``reset``."""

    compat: str | None = None
    acpihid: str | None = None
    reset: vfio_platform_reset_fn_t | None = None


def module_vfio_reset_handler(compat: str | None, acpihid: str | None, reset: vfio_platform_reset_fn_t) -> ResetModule:
    """The module of a reset function: it registers ``reset`` when it is loaded. It is called like the module of Python that
    defines it, with ``vfio_platform_`` before it where the series' own are meant."""

    def reset_module_init() -> int:
        vfio_platform_register_reset(compat, acpihid, reset)
        return 0

    def reset_module_exit() -> None:
        vfio_platform_unregister_reset(compat, acpihid, reset)

    package, _, name = reset.__module__.rpartition(".")
    # V14 has no MODULE_ALIAS_VFIO_PLATFORM_RESET(); the modules' own lines of MODULE_ALIAS() say the same
    aliases = (f"vfio-reset:{compat}",) if compat is not None else ()
    return ResetModule(
        name=f"vfio_platform_{name}" if package == "reset_plugins" else name,
        init=reset_module_init,
        exit=reset_module_exit,
        depends=("vfio_platform_base",),
        aliases=aliases,
        compat=compat,
        acpihid=acpihid,
        reset=reset,
    )


# --- vfio_platform_irq.c ------------------------------------------------------------------------------------------------


def vfio_platform_mask(irq_ctx: VfioPlatformIrq) -> None:
    flags = spin_lock_irqsave(irq_ctx.lock)

    if not irq_ctx.masked:
        disable_irq_nosync(irq_ctx.hwirq)
        irq_ctx.masked = True

    spin_unlock_irqrestore(irq_ctx.lock, flags)


def vfio_platform_mask_handler(opaque: Any, unused: Any) -> int:
    if used_after_free(opaque):
        return 0
    vfio_platform_mask(opaque)

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
    if used_after_free(opaque):
        return 0
    vfio_platform_unmask(opaque)

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
    if fd < 0 or handler is None:
        return 0

    irq.name = kzalloc(lambda: f"vfio-irq[{irq.hwirq}]({vdev.name})", GFP_KERNEL, "kasprintf")
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
    trace = sched.running_cpu().kernel.trace
    if trace.on:
        trace.emit(("set_irqs", flags, index, start, count, u8_of(data) if data else -1))
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
    kernel = sched.running_cpu().kernel
    rc = kernel.fault_inject.value("vfio_platform_irq_init")
    if kernel.trace.on:
        kernel.trace.emit(("irq_init", rc))
    if rc:
        return rc

    cnt = 0
    while vdev.get_irq(vdev, cnt) >= 0:
        cnt += 1

    irqs = kcalloc(cnt, VfioPlatformIrq, GFP_KERNEL)
    if irqs is None:
        return -ENOMEM
    vdev.irqs = irqs

    for i in range(cnt):
        hwirq = vdev.get_irq(vdev, i)

        if hwirq < 0:
            kfree(vdev.irqs)
            return -EINVAL

        spin_lock_init(vdev.irqs[i].lock)

        vdev.irqs[i].flags = VFIO_IRQ_INFO_EVENTFD

        if irq_get_trigger_type(hwirq) & IRQ_TYPE_LEVEL_MASK:
            vdev.irqs[i].flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED

        vdev.irqs[i].count = 1
        vdev.irqs[i].hwirq = hwirq
        vdev.irqs[i].masked = False

    vdev.num_irqs = cnt

    return 0


def vfio_platform_irq_cleanup(vdev: VfioPlatformDevice) -> None:
    trace = sched.running_cpu().kernel.trace
    if trace.on:
        trace.emit(("irq_cleanup",))

    # V14: the virqfds that mask and unmask are left, and use what is freed here (row 57)
    for i in range(vdev.num_irqs):
        vfio_set_trigger(vdev, i, -1, None)
        vdev.irqs[i].freed = True

    vdev.num_irqs = 0
    kfree(vdev.irqs)


# --- vfio_platform_common.c ---------------------------------------------------------------------------------------------

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


# V14: one list; of two that fit, the one registered last; one whose module cannot be held is passed over (row 31)
def vfio_platform_lookup_reset(compat: str | None, acpihid: str | None,
                               module: Callable[[Module | None], None]) -> vfio_platform_reset_fn_t | None:
    reset_fn: vfio_platform_reset_fn_t | None = None

    mutex_lock(driver_lock())
    for it in list_for_each_entry(reset_list()):
        if (acpihid and it.acpihid and it.acpihid == acpihid) and try_module_get(it.owner):
            module(it.owner)
            reset_fn = it.reset
            break
        if (compat and it.compat and it.compat == compat) and try_module_get(it.owner):
            module(it.owner)
            reset_fn = it.reset
            break
    mutex_unlock(driver_lock())
    return reset_fn


def vfio_platform_get_reset(vdev: VfioPlatformDevice) -> None:
    def module(owner: Module | None) -> None:
        vdev.reset_module = owner

    vdev.reset = vfio_platform_lookup_reset(vdev.compat, vdev.acpihid, module)
    if vdev.reset is None:
        # V14: by compatible string only, which an ACPI device has none of (row 32)
        request_module(f"vfio-reset:{'(null)' if vdev.compat is None else vdev.compat}")
        vdev.reset = vfio_platform_lookup_reset(vdev.compat, vdev.acpihid, module)


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

    for i in range(cnt):
        res = vdev.get_resource(vdev, i)

        if res is None:
            kfree(vdev.regions)
            return -EINVAL

        vdev.regions[i].addr = res.start
        vdev.regions[i].size = resource_size(res)
        vdev.regions[i].flags = 0

        if resource_type(res) == IORESOURCE_MEM:
            vdev.regions[i].type = VFIO_PLATFORM_REGION_TYPE_MMIO
            vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_READ
            if not res.flags & IORESOURCE_READONLY:
                vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_WRITE

            # only whole pages can be mapped without giving away what is beside them
            if not vdev.regions[i].addr & ~PAGE_MASK and not vdev.regions[i].size & ~PAGE_MASK:
                vdev.regions[i].flags |= VFIO_REGION_INFO_FLAG_MMAP
        elif resource_type(res) == IORESOURCE_IO:
            vdev.regions[i].type = VFIO_PLATFORM_REGION_TYPE_PIO
        else:
            kfree(vdev.regions)
            return -EINVAL

    vdev.num_regions = cnt

    return 0


def vfio_platform_regions_cleanup(vdev: VfioPlatformDevice) -> None:
    # V14: those that nobody mapped are NULL (row 50)
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
            # V14: whether it worked is not looked at (row 33)
            vdev.reset(vdev)
        else:
            # V14: no more than a warning (row 33)
            dev_warn(vdev.device, "no reset function found!\n")
        vfio_platform_regions_cleanup(vdev)
        vfio_platform_irq_cleanup(vdev)

    mutex_unlock(driver_lock())

    module_put(vdev.parent_module)


def vfio_platform_open(device_data: Any) -> int:
    vdev: VfioPlatformDevice = device_data

    if not try_module_get(vdev.parent_module):
        return -ENODEV

    mutex_lock(driver_lock())

    if not vdev.refcnt:
        ret = vfio_platform_regions_init(vdev)
        if not ret:
            ret = vfio_platform_irq_init(vdev)
            if ret:
                vfio_platform_regions_cleanup(vdev)
        if ret:
            mutex_unlock(driver_lock())
            # V14: it was parent_module that was held (row 50)
            module_put(base_module)
            return ret

        if vdev.reset is not None:
            dev_info(vdev.device, "reset\n")
            # V14: whether it worked is not looked at (row 33)
            vdev.reset(vdev)
        else:
            # V14: no more than a warning (row 33)
            dev_warn(vdev.device, "no reset function found!\n")

    vdev.refcnt += 1

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
    # V14: the first of several strings (row 31)
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

    # V14: ACPI first, whatever the system is (row 30)
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
    """Take ``dev`` from VFIO: what was probed with it (``vfio_platform_common.c vfio_platform_remove_common()``)."""
    vdev: VfioPlatformDevice | None = vfio_del_group_dev(dev)

    if vdev is not None:
        vfio_platform_put_reset(vdev)
        iommu_group_put(dev.iommu_group)

    return vdev


# V14: at the head: of two that fit, the last one (row 31)
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

# --- vfio_platform.c ----------------------------------------------------------------------------------------------------


def get_platform_resource(vdev: VfioPlatformDevice, num: int) -> Resource | None:
    dev: PlatformDevice = vdev.opaque

    for r in dev.resource:
        if resource_type(r) & (IORESOURCE_MEM | IORESOURCE_IO):
            if not num:
                return r
            num -= 1
    return None


def get_platform_irq(vdev: VfioPlatformDevice, i: int) -> int:
    pdev: PlatformDevice = vdev.opaque

    return platform_get_irq(pdev, i)


def vfio_platform_probe(pdev: PlatformDevice) -> int:
    vdev = kzalloc(VfioPlatformDevice, GFP_KERNEL)
    if vdev is None:
        return -ENOMEM

    vdev.opaque = pdev
    vdev.name = pdev.name
    vdev.flags = VFIO_DEVICE_FLAGS_PLATFORM
    vdev.get_resource = get_platform_resource
    vdev.get_irq = get_platform_irq
    vdev.parent_module = module

    ret = vfio_platform_probe_common(vdev, pdev.dev)
    if ret:
        kfree(vdev)

    return ret


def vfio_platform_remove(pdev: PlatformDevice) -> int:
    vdev = vfio_platform_remove_common(pdev.dev)
    if vdev is not None:
        kfree(vdev)
        return 0

    return -EINVAL


vfio_platform_driver = PlatformDriver(
    name="vfio-platform",
    probe=vfio_platform_probe,
    remove=vfio_platform_remove,
    owner="vfio_platform",
)

# module_platform_driver(vfio_platform_driver)
module = Module(
    name="vfio_platform",
    init=lambda: platform_driver_register(vfio_platform_driver),
    exit=lambda: platform_driver_unregister(vfio_platform_driver),
    license="GPL v2",
    source="drivers/vfio/platform/vfio_platform.c",
    depends=("vfio", "vfio_platform_base"),
)


def s32_of(data: bytes | None) -> int:
    """``*(int32_t *)data``."""
    return int.from_bytes((data or b"")[:4], "little", signed=True)


def u8_of(data: bytes | None) -> int:
    """``*(uint8_t *)data``."""
    return (data or b"\0")[0]


def used_after_free(irq_ctx: VfioPlatformIrq) -> bool:
    """Whether an eventfd still calls for an interrupt of a device that is closed. C goes on in memory that was freed; here
    it is one warning."""
    if irq_ctx.freed:
        sched.running_cpu().kernel.warn("use after free of a struct vfio_platform_irq by an eventfd of a device that was "
                                        "closed (V14 row 57)", once=True)
    return irq_ctx.freed
