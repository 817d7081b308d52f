# SPDX-License-Identifier: GPL-2.0-only
"""The process's side of VFIO: a hypervisor on the host that opens a container, groups and devices by their files, maps its
memory for them and sets interrupts up, all by the system calls that a real one makes.

An error is an OSError with the kernel's errno and a sentence. It stands for no C file; QEMU's hw/vfio does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from hidma.linux import vfio
from hidma.linux.errno import EINVAL, ENODEV, ENOMEM, errname, strerror
from hidma.linux.eventfd import EventfdCtx, eventfd_file
from hidma.linux.file import OpenedFile, Process, calling_as
from hidma.linux.iommu import group_of
from hidma.linux.ioport import IORESOURCE_MEM
from hidma.linux.mm import PAGE_SIZE
from hidma.linux.mm_types import RLIM_INFINITY, VM_READ, VM_SHARED, VM_WRITE, VmAreaStruct, pfn_of
from hidma.vfio_platform import VfioPlatformDevice, vfio_platform_reset_fn_t

if TYPE_CHECKING:
    from hidma.hw.bus import Block
    from hidma.linux.module import Module
    from hidma.machine.boot import Machine

S = TypeVar("S", bound=vfio.Uapi)
READ_WRITE = vfio.VFIO_DMA_MAP_FLAG_READ | vfio.VFIO_DMA_MAP_FLAG_WRITE
DRIVERS = "/sys/bus/platform/drivers"
DEVICES = "/sys/bus/platform/devices"


def failure(rc: int, sentence: str) -> OSError:
    """A negative errno as an OSError."""
    return OSError(-rc, f"{sentence} ({errname(rc)}: {strerror(rc)})")


def assign(machine: Machine, device: str) -> None:
    """Take ``device`` away from the host's driver, if it has one, and give it to vfio-platform: unbind, driver_override, bind, all
    through sysfs. The modules are loaded when they are not.

    :param device: a platform device, such as ``hidma.0`` or ``fff50000.ethernet``
    :raises OSError: ENODEV (no such device, or vfio-platform does not bind it: then it goes back to its driver)
    """
    before = driver_of(machine, device)
    loaded = {module.name for module in machine.modules()}
    for module in ("vfio_iommu_type1", "vfio_platform"):
        if module not in loaded:
            machine.modprobe(module)
    if before == "vfio-platform":
        return
    machine.drivers_before[device] = before
    if before:
        machine.sysfs[f"{DRIVERS}/{before}/unbind"] = device
    machine.sysfs[f"{DEVICES}/{device}/driver_override"] = "vfio-platform"
    try:
        machine.sysfs[f"{DRIVERS}/vfio-platform/bind"] = device
    except OSError:
        release(machine, device)
        raise


def release(machine: Machine, device: str, driver: str | None = None) -> None:
    """Give ``device`` back to the host.

    :param driver: which driver it goes to, none if this is empty; by default the one that it had before :func:`assign`, and the one
        that the kernel finds where it was not assigned so
    :raises OSError: ENODEV (no such device, or the driver does not bind it), EDEADLK (it is in use)
    """
    if driver_of(machine, device) == "vfio-platform":
        machine.sysfs[f"{DRIVERS}/vfio-platform/unbind"] = device
    machine.sysfs[f"{DEVICES}/{device}/driver_override"] = "\n"
    before = machine.drivers_before.pop(device, None)
    if driver is None and before is None:
        machine.sysfs["/sys/bus/platform/drivers_probe"] = device
    elif driver or (driver is None and before):
        machine.sysfs[f"{DRIVERS}/{driver or before}/bind"] = device


def driver_of(machine: Machine, device: str) -> str:
    """The driver of a platform device, '' without one.

    :raises OSError: ENODEV, there is no such device
    """
    driver = machine.device(device).dev.driver
    return "" if driver is None else driver.name


def reset_function(machine: Machine, device: str) -> tuple[vfio_platform_reset_fn_t, Module | None] | None:
    """What resets a device that vfio-platform has, and the module that it is of; None where nothing does.

    :raises OSError: ENODEV, there is no such device
    """
    vdev = getattr(machine.device(device).dev.driver_data, "device_data", None)
    if not isinstance(vdev, VfioPlatformDevice) or vdev.reset is None:
        return None
    return vdev.reset, vdev.reset_module


class Hypervisor:
    """A process of the host that uses VFIO.

    :param machine: the host
    :param name: what to call the process
    :param memlock: bytes that it may pin, without a limit by default
    """

    def __init__(self, machine: Machine, name: str = "hypervisor", memlock: int = RLIM_INFINITY) -> None:
        self.machine = machine
        self.process = Process(name, memlock)
        self.memory: list[tuple[int, int]] = []
        self.ended = False

    @contextmanager
    def calling(self) -> Iterator[Any]:
        """A system call: inside, the host's CPU 0 runs as this process."""
        with self.machine.calling() as kernel, calling_as(self.process):
            yield kernel

    # --- system calls -------------------------------------------------------------------------------------------

    def open(self, path: str) -> int:
        """``open()``.

        :raises OSError: ENOENT, EBUSY (a group is open already), EMFILE
        """
        with self.calling():
            fd = vfio.vfio_open(path)
        if fd < 0:
            raise failure(fd, f"{path} cannot be opened")
        return fd

    def close(self, fd: int) -> None:
        """``close()``.

        :raises OSError: EBADF
        """
        with self.calling():
            rc = self.process.files.close(fd)
        if rc:
            raise failure(rc, f"file {fd} cannot be closed")

    def file(self, fd: int) -> OpenedFile:
        """The open file ``fd``."""
        filep = self.process.files.fds.get(fd)
        if filep is None:
            raise OSError(EINVAL, f"{self.process.name} has no open file {fd}")
        return filep

    def ioctl(self, fd: int, cmd: int, arg: int | bytes = 0) -> tuple[int, bytes]:
        """``ioctl()``: what it returns (a negative errno when it fails), and the argument afterwards."""
        filep = self.file(fd)
        with self.calling():
            if isinstance(arg, int):
                return filep.f_op.ioctl(filep, cmd, arg), b""
            buffer = bytearray(arg)
            address = self.process.mm.map_buffer(buffer)
            try:
                rc = filep.f_op.ioctl(filep, cmd, address)
            finally:
                self.process.mm.unmap(address)
            return rc, bytes(buffer)

    def ask(self, fd: int, cmd: int, struct: S, what: str, data: bytes = b"") -> S:
        """An ioctl with a structure; the structure afterwards. ``argsz`` is set unless it was.

        :raises OSError: what the kernel returns
        """
        if hasattr(struct, "argsz") and not struct.argsz:
            struct.argsz = struct.sizeof() + len(data)
        rc, after = self.ioctl(fd, cmd, struct.pack() + data)
        if rc < 0:
            raise failure(rc, what)
        answer: S = type(struct).unpack(after)
        return answer

    def eventfd(self) -> tuple[int, EventfdCtx]:
        """``eventfd()``: a file number and what is behind it."""
        filep = eventfd_file()
        fd = self.process.files.install(filep)
        if fd < 0:
            raise failure(fd, "there is no room for another open file")
        return fd, filep.private_data

    # --- memory -------------------------------------------------------------------------------------------------

    def mmap(self, size: int) -> tuple[int, int]:
        """Anonymous memory in one piece, cleared: (address in the process, physical address).

        :raises OSError: ENOMEM
        """
        phys = self.machine.kernel.dma_ops.pages.alloc(size)
        if phys is None:
            raise OSError(ENOMEM, f"the host has no {size} bytes in one piece free; its RAM has "
                                  f"{self.machine.memory.size >> 20} MiB")
        view = self.machine.memory.slice(phys, size)
        view[:] = bytes(size)
        address = self.process.mm.map_pages(phys, size)
        self.memory.append((address, phys))
        return address, phys

    def exit(self) -> None:
        """The process ends, however: its files are closed in the order of their numbers from the last one on, its memory goes
        back."""
        if self.ended:
            return
        self.ended = True
        for fd in sorted(self.process.files.fds, reverse=True):
            self.close(fd)
        for address, phys in self.memory:
            self.process.mm.unmap(address)
            self.machine.kernel.dma_ops.pages.release(phys)
        self.memory.clear()

    def __enter__(self) -> Hypervisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.machine.closed and self.machine.kernel.dead is None:
            self.exit()


class Container:
    """``/dev/vfio/vfio``: the address space that the devices of its groups share."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.fd = hypervisor.open("/dev/vfio/vfio")
        version, _ = hypervisor.ioctl(self.fd, vfio.VFIO_GET_API_VERSION)
        if version != vfio.VFIO_API_VERSION:
            raise OSError(EINVAL, f"the kernel speaks version {version} of VFIO, not {vfio.VFIO_API_VERSION}")

    def set_iommu(self, kind: int = vfio.VFIO_TYPE1v2_IOMMU) -> None:
        """Choose the kind of IOMMU, once a group is in it.

        :raises OSError: EINVAL (no group, or chosen already), ENODEV (there is no such driver: vfio_iommu_type1)
        """
        rc, _ = self.hypervisor.ioctl(self.fd, vfio.VFIO_SET_IOMMU, kind)
        if rc:
            raise failure(rc, f"the container takes no IOMMU of kind {kind}")

    def map_dma(self, iova: int, vaddr: int, size: int, flags: int = READ_WRITE) -> None:
        """Pin ``size`` bytes at ``vaddr`` and let the devices reach them at ``iova``.

        :raises OSError: EINVAL (not whole pages, no permission, wraps), EEXIST (overlaps), EFAULT (no memory there), ENOMEM
            (more than may be pinned)
        """
        mapping = vfio.VfioIommuType1DmaMap(flags=flags, vaddr=vaddr, iova=iova, size=size)
        self.hypervisor.ask(self.fd, vfio.VFIO_IOMMU_MAP_DMA, mapping,
                            f"{size} bytes at 0x{vaddr:x} cannot be mapped at IOVA 0x{iova:x}")

    def unmap_dma(self, iova: int, size: int) -> int:
        """Undo mappings in ``size`` bytes from ``iova`` on: how many bytes it was.

        :raises OSError: EINVAL (not whole pages, or it would cut a mapping in two)
        """
        mapping = vfio.VfioIommuType1DmaUnmap(iova=iova, size=size)
        return self.hypervisor.ask(self.fd, vfio.VFIO_IOMMU_UNMAP_DMA, mapping,
                                   f"{size} bytes at IOVA 0x{iova:x} cannot be unmapped").size


class Group:
    """``/dev/vfio/<number>``: devices that translation cannot tell apart."""

    def __init__(self, hypervisor: Hypervisor, number: int) -> None:
        self.hypervisor = hypervisor
        self.number = number
        self.fd = hypervisor.open(f"/dev/vfio/{number}")

    @staticmethod
    def of(machine: Machine, device: str) -> int:
        """The number of the group that ``device`` is in.

        :raises OSError: ENODEV (no such device, or no IOMMU translates for it)
        """
        with machine.calling():
            group = group_of(machine.device(device).dev)
        if group is None:
            raise OSError(ENODEV, f"{device} is in no IOMMU group: its DMA is not translated")
        return group.id

    def status(self) -> int:
        """VFIO_GROUP_FLAGS_VIABLE and VFIO_GROUP_FLAGS_CONTAINER_SET."""
        return self.hypervisor.ask(self.fd, vfio.VFIO_GROUP_GET_STATUS, vfio.VfioGroupStatus(),
                                   "the group tells no status").flags

    def viable(self) -> bool:
        """Whether no driver of the host has a device of the group."""
        return bool(self.status() & vfio.VFIO_GROUP_FLAGS_VIABLE)

    def set_container(self, container: Container) -> None:
        """Join ``container``.

        :raises OSError: EINVAL (in one already), or what attaching gave
        """
        rc, _ = self.hypervisor.ioctl(self.fd, vfio.VFIO_GROUP_SET_CONTAINER, container.fd.to_bytes(4, "little"))
        if rc:
            raise failure(rc, f"group {self.number} cannot join the container")

    def unset_container(self) -> None:
        """Leave the container.

        :raises OSError: EINVAL (in none), EBUSY (a device is open)
        """
        rc, _ = self.hypervisor.ioctl(self.fd, vfio.VFIO_GROUP_UNSET_CONTAINER)
        if rc:
            raise failure(rc, f"group {self.number} cannot leave its container")

    def device(self, name: str) -> Device:
        """Open a device of the group; it is reset.

        :raises OSError: EINVAL (no container with an IOMMU, or the group is not viable), ENODEV (not in this group)
        """
        rc, _ = self.hypervisor.ioctl(self.fd, vfio.VFIO_GROUP_GET_DEVICE_FD, name.encode() + b"\0")
        if rc < 0:
            why = "" if self.viable() else ": the group is not viable, another driver has one of its devices"
            raise failure(rc, f"{name} cannot be opened in group {self.number}{why}")
        return Device(self.hypervisor, name, rc)


class Device:
    """An open device."""

    def __init__(self, hypervisor: Hypervisor, name: str, fd: int) -> None:
        self.hypervisor = hypervisor
        self.name = name
        self.fd = fd

    def info(self) -> vfio.VfioDeviceInfo:
        """Flags, number of regions, number of interrupts."""
        return self.hypervisor.ask(self.fd, vfio.VFIO_DEVICE_GET_INFO, vfio.VfioDeviceInfo(),
                                   f"{self.name} tells nothing of itself")

    def region(self, index: int) -> vfio.VfioRegionInfo:
        """One region.

        :raises OSError: EINVAL (there is none)
        """
        return self.hypervisor.ask(self.fd, vfio.VFIO_DEVICE_GET_REGION_INFO, vfio.VfioRegionInfo(index=index),
                                   f"{self.name} has no region {index}")

    def irq(self, index: int) -> vfio.VfioIrqInfo:
        """One interrupt.

        :raises OSError: EINVAL (there is none)
        """
        return self.hypervisor.ask(self.fd, vfio.VFIO_DEVICE_GET_IRQ_INFO, vfio.VfioIrqInfo(index=index),
                                   f"{self.name} has no interrupt {index}")

    def set_irqs(self, flags: int, index: int = 0, start: int = 0, count: int = 1, data: bytes = b"") -> None:
        """``VFIO_DEVICE_SET_IRQS``.

        :raises OSError: what the kernel returns
        """
        header = vfio.VfioIrqSet(flags=flags, index=index, start=start, count=count)
        self.hypervisor.ask(self.fd, vfio.VFIO_DEVICE_SET_IRQS, header, f"interrupt {index} of {self.name} cannot be set so",
                            data)

    def trigger(self, fd: int, index: int = 0) -> None:
        """Let interrupt ``index`` signal eventfd ``fd``, -1 for nothing any more."""
        self.set_irqs(vfio.VFIO_IRQ_SET_DATA_EVENTFD | vfio.VFIO_IRQ_SET_ACTION_TRIGGER, index,
                      data=fd.to_bytes(4, "little", signed=True))

    def unmask_with(self, fd: int, index: int = 0) -> None:
        """Let eventfd ``fd`` unmask interrupt ``index``, -1 for nothing any more."""
        self.set_irqs(vfio.VFIO_IRQ_SET_DATA_EVENTFD | vfio.VFIO_IRQ_SET_ACTION_UNMASK, index,
                      data=fd.to_bytes(4, "little", signed=True))

    def mask(self, index: int = 0) -> None:
        """Mask an interrupt."""
        self.set_irqs(vfio.VFIO_IRQ_SET_DATA_NONE | vfio.VFIO_IRQ_SET_ACTION_MASK, index)

    def unmask(self, index: int = 0) -> None:
        """Unmask an interrupt."""
        self.set_irqs(vfio.VFIO_IRQ_SET_DATA_NONE | vfio.VFIO_IRQ_SET_ACTION_UNMASK, index)

    def reset(self) -> None:
        """``VFIO_DEVICE_RESET``.

        :raises OSError: EINVAL (no reset function), or what it returned
        """
        rc, _ = self.hypervisor.ioctl(self.fd, vfio.VFIO_DEVICE_RESET)
        if rc:
            raise failure(rc, f"{self.name} was not reset")

    def read(self, region: int, offset: int, count: int) -> bytes:
        """``pread()`` of registers.

        :raises OSError: EINVAL (no such region, or not readable), ENOMEM
        """
        at = self.region(region).offset + offset
        filep = self.hypervisor.file(self.fd)
        buffer = bytearray(count)
        with self.hypervisor.calling():
            address = self.hypervisor.process.mm.map_buffer(buffer)
            rc = filep.f_op.read(filep, address, count, at)
            self.hypervisor.process.mm.unmap(address)
        if rc < 0:
            raise failure(rc, f"{count} bytes at 0x{offset:x} of region {region} of {self.name} cannot be read")
        return bytes(buffer[:rc])

    def write(self, region: int, offset: int, data: bytes) -> None:
        """``pwrite()`` of registers.

        :raises OSError: EINVAL (no such region, or not writable), ENOMEM
        """
        at = self.region(region).offset + offset
        filep = self.hypervisor.file(self.fd)
        with self.hypervisor.calling():
            address = self.hypervisor.process.mm.map_buffer(bytearray(data))
            rc = filep.f_op.write(filep, address, len(data), at)
            self.hypervisor.process.mm.unmap(address)
        if rc < 0:
            raise failure(rc, f"{len(data)} bytes cannot be written at 0x{offset:x} of region {region} of {self.name}")

    def mmap(self, region: int, flags: int = VM_READ | VM_WRITE | VM_SHARED) -> Mapping:
        """Map a region: from then on its registers are this process's own.

        :raises OSError: EINVAL (not whole pages, or not allowed)
        """
        info = self.region(region)
        filep = self.hypervisor.file(self.fd)
        mm = self.hypervisor.process.mm
        vma = VmAreaStruct(vm_pgoff=info.offset // PAGE_SIZE, vm_flags=flags)
        with self.hypervisor.calling():
            start = mm.place(vma, info.size)
            rc = filep.f_op.mmap(filep, vma)
        if rc:
            mm.unmap(start)
            raise failure(rc, f"region {region} of {self.name} cannot be mapped")
        return Mapping(self.hypervisor, pfn_of(vma, vma.vm_start) * PAGE_SIZE, vma.vm_end - vma.vm_start)

    def registers(self, region: int) -> Mapping | None:
        """Registers of a region that cannot be mapped, as whoever reads and writes them for the device's owner reaches them; None
        where there are none."""
        resources = self.hypervisor.machine.device(self.name).resource
        start = [res for res in resources if res.flags & IORESOURCE_MEM][region].start
        if self.hypervisor.machine.bus.find(start) is None:
            return None
        return Mapping(self.hypervisor, start, self.region(region).size)

    def close(self) -> None:
        """Close it: with the last one that has it open it is reset."""
        self.hypervisor.close(self.fd)


class Mapping:
    """Registers in the address space of a process: ``block`` is what the bus has there, ``start`` the offset in it."""

    def __init__(self, hypervisor: Hypervisor, phys: int, size: int) -> None:
        block = hypervisor.machine.bus.find(phys)
        if block is None:
            raise OSError(ENODEV, f"there are no registers at 0x{phys:x}")
        self.block: Block = block
        self.start = phys - block.base
        self.size = size
