# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/vfio.h>`` and ``<uapi/linux/vfio.h>``: the interface by which a process owns a device, as
``drivers/vfio/{vfio,virqfd}.c`` implement it: containers, groups, devices, and eventfds that call a function.

A group is viable when each of its devices has no driver or is with VFIO. The files are opened by the names that they
have in /dev: ``vfio/vfio`` and ``vfio/<number of the group>``. noiommu mode is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar

from hidma.linux import sched
from hidma.linux.device import Device, dev_get_drvdata, dev_set_drvdata
from hidma.linux.errno import EBADF, EBUSY, EDEADLK, EFAULT, EINVAL, ENODEV, ENOENT, ENOTTY
from hidma.linux.eventfd import EventfdCtx, eventfd_ctx_fdget, eventfd_ctx_put
from hidma.linux.file import FileOperations, OpenedFile, current_process, fget, fput
from hidma.linux.iommu import (
    IommuGroup,
    iommu_block_group,
    iommu_default_group,
    iommu_group_for_each_dev,
    iommu_group_get,
    iommu_group_put,
)
from hidma.linux.kthread import WaitQueueHead, wait_event_timeout, wake_up
from hidma.linux.mm_types import VmAreaStruct
from hidma.linux.module import Module, module_put, try_module_get
from hidma.linux.mutex import Mutex, mutex_lock, mutex_unlock
from hidma.linux.printk import dev_warn
from hidma.linux.uaccess import copy_from_user, copy_to_user, get_user_int, strndup_user

VFIO_API_VERSION = 0

VFIO_TYPE1_IOMMU = 1
VFIO_TYPE1v2_IOMMU = 3
VFIO_DMA_CC_IOMMU = 4
VFIO_TYPE1_NESTING_IOMMU = 6

VFIO_TYPE = ord(";")
VFIO_BASE = 100

VFIO_GET_API_VERSION = VFIO_TYPE << 8 | VFIO_BASE
VFIO_CHECK_EXTENSION = VFIO_TYPE << 8 | VFIO_BASE + 1
VFIO_SET_IOMMU = VFIO_TYPE << 8 | VFIO_BASE + 2
VFIO_GROUP_GET_STATUS = VFIO_TYPE << 8 | VFIO_BASE + 3
VFIO_GROUP_SET_CONTAINER = VFIO_TYPE << 8 | VFIO_BASE + 4
VFIO_GROUP_UNSET_CONTAINER = VFIO_TYPE << 8 | VFIO_BASE + 5
VFIO_GROUP_GET_DEVICE_FD = VFIO_TYPE << 8 | VFIO_BASE + 6
VFIO_DEVICE_GET_INFO = VFIO_TYPE << 8 | VFIO_BASE + 7
VFIO_DEVICE_GET_REGION_INFO = VFIO_TYPE << 8 | VFIO_BASE + 8
VFIO_DEVICE_GET_IRQ_INFO = VFIO_TYPE << 8 | VFIO_BASE + 9
VFIO_DEVICE_SET_IRQS = VFIO_TYPE << 8 | VFIO_BASE + 10
VFIO_DEVICE_RESET = VFIO_TYPE << 8 | VFIO_BASE + 11
VFIO_IOMMU_GET_INFO = VFIO_TYPE << 8 | VFIO_BASE + 12
VFIO_IOMMU_MAP_DMA = VFIO_TYPE << 8 | VFIO_BASE + 13
VFIO_IOMMU_UNMAP_DMA = VFIO_TYPE << 8 | VFIO_BASE + 14

VFIO_GROUP_FLAGS_VIABLE = 1 << 0
VFIO_GROUP_FLAGS_CONTAINER_SET = 1 << 1

VFIO_DEVICE_FLAGS_RESET = 1 << 0
VFIO_DEVICE_FLAGS_PLATFORM = 1 << 2

VFIO_REGION_INFO_FLAG_READ = 1 << 0
VFIO_REGION_INFO_FLAG_WRITE = 1 << 1
VFIO_REGION_INFO_FLAG_MMAP = 1 << 2

VFIO_IRQ_INFO_EVENTFD = 1 << 0
VFIO_IRQ_INFO_MASKABLE = 1 << 1
VFIO_IRQ_INFO_AUTOMASKED = 1 << 2

VFIO_IRQ_SET_DATA_NONE = 1 << 0
VFIO_IRQ_SET_DATA_BOOL = 1 << 1
VFIO_IRQ_SET_DATA_EVENTFD = 1 << 2
VFIO_IRQ_SET_ACTION_MASK = 1 << 3
VFIO_IRQ_SET_ACTION_UNMASK = 1 << 4
VFIO_IRQ_SET_ACTION_TRIGGER = 1 << 5
VFIO_IRQ_SET_DATA_TYPE_MASK = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD
VFIO_IRQ_SET_ACTION_TYPE_MASK = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER

VFIO_IOMMU_INFO_PGSIZES = 1 << 0
VFIO_DMA_MAP_FLAG_READ = 1 << 0
VFIO_DMA_MAP_FLAG_WRITE = 1 << 1

PAGE_SIZE = 4096


# --- <uapi/linux/vfio.h>: the structures --------------------------------------------------------------------------------


class Uapi:
    """A structure that a process and the kernel exchange, little-endian: ``layout`` lists its fields and their codes of
    :mod:`struct`."""

    layout: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, **fields: int) -> None:
        for name, _ in self.layout:
            setattr(self, name, fields.pop(name, 0))
        if fields:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(fields)}")

    @classmethod
    def format(cls) -> str:
        """The whole of it, for :mod:`struct`."""
        return "<" + "".join(code for _, code in cls.layout)

    @classmethod
    def sizeof(cls) -> int:
        """Bytes."""
        return struct.calcsize(cls.format())

    @classmethod
    def offsetofend(cls, field: str) -> int:
        """Bytes up to the end of ``field``."""
        codes = ""
        for name, code in cls.layout:
            codes += code
            if name == field:
                return struct.calcsize("<" + codes)
        raise AttributeError(field)

    @classmethod
    def unpack(cls, data: bytes) -> Any:
        """From its first bytes; what is missing is 0."""
        padded = data.ljust(cls.sizeof(), b"\0")[: cls.sizeof()]
        values = struct.unpack(cls.format(), padded)
        return cls(**{name: value for (name, _), value in zip(cls.layout, values, strict=True)})

    def pack(self) -> bytes:
        """Its bytes."""
        return struct.pack(self.format(), *(getattr(self, name) for name, _ in self.layout))


class VfioGroupStatus(Uapi):
    """``struct vfio_group_status``."""

    argsz: int
    flags: int
    layout = (("argsz", "I"), ("flags", "I"))


class VfioDeviceInfo(Uapi):
    """``struct vfio_device_info``."""

    argsz: int
    flags: int
    num_regions: int
    num_irqs: int
    layout = (("argsz", "I"), ("flags", "I"), ("num_regions", "I"), ("num_irqs", "I"))


class VfioRegionInfo(Uapi):
    """``struct vfio_region_info``."""

    argsz: int
    flags: int
    index: int
    cap_offset: int
    size: int
    offset: int
    layout = (("argsz", "I"), ("flags", "I"), ("index", "I"), ("cap_offset", "I"), ("size", "Q"), ("offset", "Q"))


class VfioIrqInfo(Uapi):
    """``struct vfio_irq_info``."""

    argsz: int
    flags: int
    index: int
    count: int
    layout = (("argsz", "I"), ("flags", "I"), ("index", "I"), ("count", "I"))


class VfioIrqSet(Uapi):
    """``struct vfio_irq_set``, without the data that follow it."""

    argsz: int
    flags: int
    index: int
    start: int
    count: int
    layout = (("argsz", "I"), ("flags", "I"), ("index", "I"), ("start", "I"), ("count", "I"))


class VfioIommuType1Info(Uapi):
    """``struct vfio_iommu_type1_info``."""

    argsz: int
    flags: int
    iova_pgsizes: int
    layout = (("argsz", "I"), ("flags", "I"), ("iova_pgsizes", "Q"))


class VfioIommuType1DmaMap(Uapi):
    """``struct vfio_iommu_type1_dma_map``."""

    argsz: int
    flags: int
    vaddr: int
    iova: int
    size: int
    layout = (("argsz", "I"), ("flags", "I"), ("vaddr", "Q"), ("iova", "Q"), ("size", "Q"))


class VfioIommuType1DmaUnmap(Uapi):
    """``struct vfio_iommu_type1_dma_unmap``."""

    argsz: int
    flags: int
    iova: int
    size: int
    layout = (("argsz", "I"), ("flags", "I"), ("iova", "Q"), ("size", "Q"))


# --- <linux/vfio.h>: what drivers give and get ----------------------------------------------------------------------------


class VfioDeviceOps:
    """``struct vfio_device_ops``: what a driver of a bus does with a device."""

    def __init__(self, name: str, open: Callable[[Any], int], release: Callable[[Any], None],
                 ioctl: Callable[[Any, int, int], int], read: Callable[[Any, int, int, int], int],
                 write: Callable[[Any, int, int, int], int], mmap: Callable[[Any, VmAreaStruct], int]) -> None:
        self.name = name
        self.open = open
        self.release = release
        self.ioctl = ioctl
        self.read = read
        self.write = write
        self.mmap = mmap


class VfioIommuDriverOps:
    """``struct vfio_iommu_driver_ops``: what a driver of an IOMMU does for a container."""

    def __init__(self, name: str, owner: Callable[[], Module | None], open: Callable[[int], Any],
                 release: Callable[[Any], None], ioctl: Callable[[Any, int, int], int],
                 attach_group: Callable[[Any, IommuGroup], int], detach_group: Callable[[Any, IommuGroup], None]) -> None:
        self.name = name
        self.owner = owner
        self.open = open
        self.release = release
        self.ioctl = ioctl
        self.attach_group = attach_group
        self.detach_group = detach_group


class VfioContainer:
    """``struct vfio_container``."""

    def __init__(self) -> None:
        self.kref = 1
        self.group_list: list[VfioGroup] = []
        self.group_lock = Mutex("container->group_lock")
        self.iommu_driver: VfioIommuDriverOps | None = None
        self.iommu_data: Any = None


class VfioGroup:
    """``struct vfio_group``."""

    def __init__(self, iommu_group: IommuGroup) -> None:
        self.kref = 1
        self.minor = 0
        self.container_users = 0
        self.iommu_group = iommu_group
        self.container: VfioContainer | None = None
        self.device_list: list[VfioDevice] = []
        self.device_lock = Mutex("group->device_lock")
        self.opened = 0


class VfioDevice:
    """``struct vfio_device``."""

    def __init__(self, dev: Device, ops: VfioDeviceOps, group: VfioGroup, device_data: Any) -> None:
        self.kref = 1
        self.dev = dev
        self.ops = ops
        self.group = group
        self.device_data = device_data


class Vfio:
    """``struct vfio``: what the core keeps at file scope. Adding and removing a device goes through it, so that a driver
    can be run without a core."""

    def __init__(self) -> None:
        self.iommu_drivers_list: list[VfioIommuDriverOps] = []
        self.group_list: list[VfioGroup] = []
        self.release_q = WaitQueueHead()

    def add_group_dev(self, dev: Device, ops: VfioDeviceOps, device_data: Any) -> int:
        """:func:`vfio_add_group_dev`."""
        iommu_group = iommu_group_get(dev)
        if iommu_group is None:
            return -EINVAL
        group = vfio_group_get_from_iommu(iommu_group)
        if group is None:
            group = VfioGroup(iommu_group)
            group.minor = iommu_group.id
            self.group_list.insert(0, group)
            iommu_block_group(iommu_group)
        else:
            # the reference that the group holds is enough
            iommu_group_put(iommu_group)
        if vfio_group_get_device(group, dev) is not None:
            sched.running_cpu().kernel.warn(f"Device {dev.name} already exists on group {iommu_group.id}")
            vfio_group_put(group)
            return -EBUSY
        device = VfioDevice(dev, ops, group, device_data)
        dev_set_drvdata(dev, device)
        group.kref += 1
        group.device_list.insert(0, device)
        vfio_group_put(group)
        return 0

    def del_group_dev(self, dev: Device) -> Any:
        """:func:`vfio_del_group_dev`."""
        device: VfioDevice = dev_get_drvdata(dev)
        group = device.group
        device_data = device.device_data
        if device.kref > 1 and device.kref - 1 == in_use_by_the_caller(device):
            raise OSError(EDEADLK, f"{dev.name} is still open in the process that unbinds it: a kernel would wait for ever here; "
                                   "close the device first")
        group.kref += 1  # the list of devices is looked at once more below
        vfio_device_put(device)
        while vfio_group_get_device(group, dev) is not None:
            dev_warn(dev, f'Device is currently in use, task "{sched.current().name}" (1) blocked until device is released')
            if wait_event_timeout(self.release_q, lambda: device not in group.device_list, None) < 0:
                # no task is left that could close it
                device.kref += 1
                vfio_group_put(group)
                raise OSError(EDEADLK, f"{dev.name} is still open, and nothing runs that would close it: a kernel would wait "
                                       "for ever here; close the device (or end its guest) first")
        vfio_group_put(group)
        return device_data


def in_use_by_the_caller(device: VfioDevice) -> int:
    """How many open files of the calling process are ``device``."""
    process = current_process()
    if process is None:
        return 0
    return sum(1 for filep in process.files.fds.values() if filep.private_data is device)


def vfio_core() -> Vfio:
    """``vfio``, in the running kernel."""
    statics = sched.running_cpu().kernel.module("vfio")
    if not hasattr(statics, "vfio"):
        statics.vfio = Vfio()
    core: Vfio = statics.vfio
    return core


def vfio_register_iommu_driver(ops: VfioIommuDriverOps) -> int:
    """Make an IOMMU driver known: 0, -EINVAL when it is known already."""
    drivers = vfio_core().iommu_drivers_list
    if ops in drivers:
        return -EINVAL
    drivers.insert(0, ops)
    return 0


def vfio_unregister_iommu_driver(ops: VfioIommuDriverOps) -> None:
    """Undo :func:`vfio_register_iommu_driver`."""
    drivers = vfio_core().iommu_drivers_list
    if ops in drivers:
        drivers.remove(ops)


# --- groups and devices -------------------------------------------------------------------------------------------------


def vfio_group_get_from_iommu(iommu_group: IommuGroup) -> VfioGroup | None:
    """The group of VFIO that stands for ``iommu_group``, held."""
    for group in vfio_core().group_list:
        if group.iommu_group is iommu_group:
            group.kref += 1
            return group
    return None


def vfio_group_put(group: VfioGroup) -> None:
    """Let go of a group; the last one gives its devices back to the host."""
    group.kref -= 1
    if not group.kref:
        vfio_core().group_list.remove(group)
        iommu_default_group(group.iommu_group)
        iommu_group_put(group.iommu_group)


def vfio_group_get_device(group: VfioGroup, dev: Device) -> VfioDevice | None:
    """What VFIO knows of ``dev``, not held."""
    return next((device for device in group.device_list if device.dev is dev), None)


def vfio_device_put(device: VfioDevice) -> None:
    """Let go of a device; its driver may wait for the last one."""
    device.kref -= 1
    if not device.kref:
        device.group.device_list.remove(device)
        dev_set_drvdata(device.dev, None)
        wake_up(vfio_core().release_q)
        vfio_group_put(device.group)


def vfio_dev_viable(dev: Device, data: VfioGroup) -> int:
    """0 when ``dev`` has no driver or is with VFIO, else -EINVAL."""
    if dev.driver is None or vfio_group_get_device(data, dev) is not None:
        return 0
    return -EINVAL


def vfio_group_viable(group: VfioGroup) -> bool:
    """Whether no driver of the host has a device of ``group``."""
    return iommu_group_for_each_dev(group.iommu_group, group, vfio_dev_viable) == 0


# --- the driver's side --------------------------------------------------------------------------------------------------


def vfio_add_group_dev(dev: Device, ops: VfioDeviceOps, device_data: Any) -> int:
    """A driver has ``dev`` for VFIO: 0, -EINVAL (no IOMMU group), -EBUSY (there already)."""
    kernel = sched.running_cpu().kernel
    rc = kernel.fault_inject.value("vfio_add_group_dev") or vfio_core().add_group_dev(dev, ops, device_data)
    if kernel.trace.on:
        kernel.trace.emit(("vfio_add_group_dev", rc))
    return rc


def vfio_del_group_dev(dev: Device) -> Any:
    """Undo :func:`vfio_add_group_dev`, once ``dev`` is closed; returns ``device_data``.

    :raises OSError: EDEADLK, when no task is left that could close it
    """
    kernel = sched.running_cpu().kernel
    device_data = vfio_core().del_group_dev(dev)
    if kernel.trace.on:
        kernel.trace.emit(("vfio_del_group_dev",))
    return device_data


# --- virqfd.c -----------------------------------------------------------------------------------------------------------


class Virqfd:
    """``struct virqfd``: a handler behind an eventfd. It is released at once, where C has a work queue for that."""

    def __init__(self, opaque: Any, handler: Callable[[Any, Any], int], data: Any, eventfd: EventfdCtx) -> None:
        self.opaque = opaque
        self.handler = handler
        self.data = data
        self.eventfd = eventfd
        self.hangup: Callable[[], None] = lambda: None

    def wakeup(self) -> None:
        """``virqfd_wakeup()``: the eventfd was signalled. Where the handler would work on freed memory, as C does (V14 row 57),
        it is not called, and the log has one warning."""
        if getattr(self.opaque, "freed", False):
            sched.running_cpu().kernel.warn("use after free: an eventfd calls a handler of a device that was closed (V14 row 57)",
                                            once=True)
            return
        self.handler(self.opaque, self.data)


def vfio_virqfd_enable(opaque: Any, handler: Callable[[Any, Any], int], thread: None, data: Any,
                       pvirqfd: tuple[Any, str], fd: int) -> int:
    """Call ``handler(opaque, data)`` whenever eventfd ``fd`` is signalled.

    :param pvirqfd: where the virqfd is kept: an object and the name of its field
    :returns: 0, -EBADF, -EINVAL (no eventfd), -EBUSY (there is one already)
    """
    ctx = eventfd_ctx_fdget(fd)
    if isinstance(ctx, int):
        return ctx
    owner, field = pvirqfd
    if getattr(owner, field) is not None:
        eventfd_ctx_put(ctx)
        return -EBUSY
    virqfd = Virqfd(opaque, handler, data, ctx)
    setattr(owner, field, virqfd)

    def hangup() -> None:
        if getattr(owner, field) is virqfd:
            vfio_virqfd_disable(pvirqfd)

    virqfd.hangup = hangup
    ctx.waiters.append(virqfd.wakeup)
    ctx.hangups.append(hangup)
    # whatever was signalled before counts
    if ctx.count:
        virqfd.wakeup()
    return 0


def vfio_virqfd_disable(pvirqfd: tuple[Any, str]) -> None:
    """Undo :func:`vfio_virqfd_enable`."""
    owner, field = pvirqfd
    virqfd = getattr(owner, field)
    if virqfd is None:
        return
    setattr(owner, field, None)
    virqfd.eventfd.waiters.remove(virqfd.wakeup)
    virqfd.eventfd.hangups.remove(virqfd.hangup)
    eventfd_ctx_put(virqfd.eventfd)


# --- /dev/vfio/vfio -----------------------------------------------------------------------------------------------------


def vfio_ioctl_check_extension(container: VfioContainer, arg: int) -> int:
    """Whether the driver of the container, or any, supports ``arg``."""
    if container.iommu_driver is not None:
        return container.iommu_driver.ioctl(container.iommu_data, VFIO_CHECK_EXTENSION, arg)
    ret = 0
    for driver in vfio_core().iommu_drivers_list:
        if not try_module_get(driver.owner()):
            continue
        ret = driver.ioctl(None, VFIO_CHECK_EXTENSION, arg)
        module_put(driver.owner())
        if ret > 0:
            break
    return ret


def vfio_container_attach_groups(container: VfioContainer, driver: VfioIommuDriverOps, data: Any) -> int:
    """``__vfio_container_attach_groups()``: all or none."""
    done: list[VfioGroup] = []
    for group in container.group_list:
        ret = driver.attach_group(data, group.iommu_group)
        if ret:
            for undone in reversed(done):
                driver.detach_group(data, undone.iommu_group)
            return ret
        done.append(group)
    return 0 if done else -ENODEV


def vfio_ioctl_set_iommu(container: VfioContainer, arg: int) -> int:
    """Choose the driver that supports ``arg``: 0, -EINVAL (no group yet, or chosen already), -ENODEV (none does)."""
    if not container.group_list or container.iommu_driver is not None:
        return -EINVAL
    for driver in vfio_core().iommu_drivers_list:
        if not try_module_get(driver.owner()):
            continue
        if driver.ioctl(None, VFIO_CHECK_EXTENSION, arg) <= 0:
            module_put(driver.owner())
            continue
        data = driver.open(arg)
        if isinstance(data, int):
            module_put(driver.owner())
            return data
        ret = vfio_container_attach_groups(container, driver, data)
        if ret:
            driver.release(data)
            module_put(driver.owner())
            return ret
        container.iommu_driver = driver
        container.iommu_data = data
        return 0
    return -ENODEV


class VfioFops(FileOperations):
    """``vfio_fops``: a container."""

    def open(self) -> OpenedFile:
        """A new container."""
        return OpenedFile(self, VfioContainer())

    def release(self, filep: OpenedFile) -> int:
        filep.private_data.kref -= 1
        return 0

    def ioctl(self, filep: OpenedFile, cmd: int, arg: int) -> int:
        """``vfio_fops_unl_ioctl()``."""
        container: VfioContainer = filep.private_data
        if cmd == VFIO_GET_API_VERSION:
            return VFIO_API_VERSION
        mutex_lock(container.group_lock)
        try:
            if cmd == VFIO_CHECK_EXTENSION:
                return vfio_ioctl_check_extension(container, arg)
            if cmd == VFIO_SET_IOMMU:
                return vfio_ioctl_set_iommu(container, arg)
            if container.iommu_driver is not None:
                return container.iommu_driver.ioctl(container.iommu_data, cmd, arg)
        finally:
            mutex_unlock(container.group_lock)
        return -EINVAL


vfio_fops = VfioFops()


# --- /dev/vfio/<group> --------------------------------------------------------------------------------------------------


def vfio_group_leave_container(group: VfioGroup) -> None:
    """``__vfio_group_unset_container()``."""
    container = group.container
    assert container is not None
    mutex_lock(container.group_lock)
    driver = container.iommu_driver
    if driver is not None:
        driver.detach_group(container.iommu_data, group.iommu_group)
    group.container = None
    container.group_list.remove(group)
    # without a group a container has no privilege: its IOMMU goes
    if driver is not None and not container.group_list:
        driver.release(container.iommu_data)
        module_put(driver.owner())
        container.iommu_driver = None
        container.iommu_data = None
    mutex_unlock(container.group_lock)
    container.kref -= 1


def vfio_group_unset_container(group: VfioGroup) -> int:
    """0, -EINVAL (there is none), -EBUSY (a device is open)."""
    if not group.container_users:
        return -EINVAL
    if group.container_users != 1:
        return -EBUSY
    group.container_users = 0
    vfio_group_leave_container(group)
    return 0


def vfio_group_try_dissolve_container(group: VfioGroup) -> None:
    """One user of the container less; with the last one the group leaves it."""
    if group.container_users > 0:
        group.container_users -= 1
        if not group.container_users:
            vfio_group_leave_container(group)


def vfio_group_set_container(group: VfioGroup, container_fd: int) -> int:
    """0, -EINVAL (in one already, or no container), -EBADF, or what attaching gave."""
    if group.container_users:
        return -EINVAL
    filep = fget(container_fd)
    if filep is None:
        return -EBADF
    try:
        if filep.f_op is not vfio_fops:
            return -EINVAL
        container: VfioContainer = filep.private_data
        mutex_lock(container.group_lock)
        try:
            driver = container.iommu_driver
            if driver is not None:
                ret = driver.attach_group(container.iommu_data, group.iommu_group)
                if ret:
                    return ret
            group.container = container
            container.group_list.insert(0, group)
            container.kref += 1
            group.container_users += 1
        finally:
            mutex_unlock(container.group_lock)
    finally:
        fput(filep)
    return 0


def vfio_group_get_device_fd(group: VfioGroup, buf: str) -> int:
    """An open file for the device called ``buf``: -EINVAL (no container or IOMMU, or not viable), -ENODEV, or what opening
    gave."""
    process = current_process()
    if not group.container_users or group.container is None or group.container.iommu_driver is None:
        return -EINVAL
    if process is None or not vfio_group_viable(group):
        return -EINVAL
    device = next((device for device in group.device_list if device.dev.name == buf), None)
    if device is None:
        return -ENODEV
    device.kref += 1
    ret = device.ops.open(device.device_data)
    if ret:
        vfio_device_put(device)
        return ret
    ret = process.files.install(OpenedFile(vfio_device_fops, device))
    if ret < 0:
        device.ops.release(device.device_data)
        vfio_device_put(device)
        return ret
    group.container_users += 1
    return ret


class VfioGroupFops(FileOperations):
    """``vfio_group_fops``."""

    def open(self, minor: int) -> OpenedFile | int:
        """The group ``minor``: -ENODEV (there is none), -EBUSY (it is open)."""
        group = next((group for group in vfio_core().group_list if group.minor == minor), None)
        if group is None:
            return -ENODEV
        if group.opened or group.container is not None:
            return -EBUSY
        group.kref += 1
        group.opened = 1
        return OpenedFile(self, group)

    def release(self, filep: OpenedFile) -> int:
        group: VfioGroup = filep.private_data
        vfio_group_try_dissolve_container(group)
        group.opened = 0
        vfio_group_put(group)
        return 0

    def ioctl(self, filep: OpenedFile, cmd: int, arg: int) -> int:
        """``vfio_group_fops_unl_ioctl()``."""
        group: VfioGroup = filep.private_data
        if cmd == VFIO_GROUP_GET_STATUS:
            minsz = VfioGroupStatus.offsetofend("flags")
            left, data = copy_from_user(arg, minsz)
            if left:
                return -EFAULT
            status = VfioGroupStatus.unpack(data)
            if status.argsz < minsz:
                return -EINVAL
            status.flags = 0
            if vfio_group_viable(group):
                status.flags |= VFIO_GROUP_FLAGS_VIABLE
            if group.container is not None:
                status.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET
            return -EFAULT if copy_to_user(arg, status.pack(), minsz) else 0
        if cmd == VFIO_GROUP_SET_CONTAINER:
            rc, fd = get_user_int(arg)
            if rc:
                return -EFAULT
            return -EINVAL if fd < 0 else vfio_group_set_container(group, fd)
        if cmd == VFIO_GROUP_UNSET_CONTAINER:
            return vfio_group_unset_container(group)
        if cmd == VFIO_GROUP_GET_DEVICE_FD:
            rc, name = strndup_user(arg, PAGE_SIZE)
            return rc or vfio_group_get_device_fd(group, name)
        return -ENOTTY


vfio_group_fops = VfioGroupFops()


# --- a device -----------------------------------------------------------------------------------------------------------


class VfioDeviceFops(FileOperations):
    """``vfio_device_fops``: passes on to the driver."""

    def release(self, filep: OpenedFile) -> int:
        device: VfioDevice = filep.private_data
        device.ops.release(device.device_data)
        vfio_group_try_dissolve_container(device.group)
        vfio_device_put(device)
        return 0

    def ioctl(self, filep: OpenedFile, cmd: int, arg: int) -> int:
        """``vfio_device_fops_unl_ioctl()``."""
        device: VfioDevice = filep.private_data
        return device.ops.ioctl(device.device_data, cmd, arg)

    def read(self, filep: OpenedFile, buf: int, count: int, ppos: int) -> int:
        """``vfio_device_fops_read()``."""
        device: VfioDevice = filep.private_data
        return device.ops.read(device.device_data, buf, count, ppos)

    def write(self, filep: OpenedFile, buf: int, count: int, ppos: int) -> int:
        """``vfio_device_fops_write()``."""
        device: VfioDevice = filep.private_data
        return device.ops.write(device.device_data, buf, count, ppos)

    def mmap(self, filep: OpenedFile, vma: VmAreaStruct) -> int:
        """``vfio_device_fops_mmap()``."""
        device: VfioDevice = filep.private_data
        return device.ops.mmap(device.device_data, vma)


vfio_device_fops = VfioDeviceFops()


def vfio_open(path: str) -> int:
    """``open(path)`` of one of the files of VFIO, for the process that calls: a file number or a negative errno."""
    process = current_process()
    if process is None:
        return -EINVAL
    filep: OpenedFile | int
    directory, _, name = path.rpartition("/")
    if directory != "/dev/vfio":
        return -ENOENT
    if name == "vfio":
        filep = vfio_fops.open()
    elif name.isdigit():
        filep = vfio_group_fops.open(int(name))
        if filep == -ENODEV:
            return -ENOENT  # the node goes with the group
    else:
        return -ENOENT
    return filep if isinstance(filep, int) else process.files.install(filep)


def vfio_init() -> int:
    """``vfio_init()``."""
    vfio_core()
    sched.running_cpu().kernel.printk(6, "VFIO - User Level meta-driver version: 0.3")
    return 0


def vfio_cleanup() -> None:
    """``vfio_cleanup()``."""


module = Module(name="vfio", init=vfio_init, exit=vfio_cleanup, source="drivers/vfio/vfio.c",
                aliases=("devname:vfio/vfio",))
