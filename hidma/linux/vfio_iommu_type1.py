# SPDX-License-Identifier: GPL-2.0-only
"""``drivers/vfio/vfio_iommu_type1.c``: what a container can do when its devices are behind an IOMMU: pin memory of the
process and map it for them. Version 1 and 2 differ in what an unmap may cut.
"""

from __future__ import annotations

from hidma.linux import sched
from hidma.linux.errno import EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY
from hidma.linux.file import Process, current_process
from hidma.linux.iommu import (
    IOMMU_CACHE,
    IOMMU_CAP_CACHE_COHERENCY,
    IOMMU_CAP_INTR_REMAP,
    IOMMU_READ,
    IOMMU_WRITE,
    IommuDomain,
    IommuGroup,
    iommu_attach_group,
    iommu_capable,
    iommu_detach_group,
    iommu_domain_alloc,
    iommu_domain_free,
    iommu_map,
    iommu_present,
    iommu_unmap,
)
from hidma.linux.mm import PAGE_SHIFT, PAGE_SIZE
from hidma.linux.mm_types import VM_PFNMAP, VM_WRITE, pfn_of
from hidma.linux.module import Module, ModuleParam
from hidma.linux.mutex import Mutex, mutex_lock, mutex_unlock
from hidma.linux.printk import pr_warn
from hidma.linux.uaccess import copy_from_user, copy_to_user
from hidma.linux.vfio import (
    VFIO_CHECK_EXTENSION,
    VFIO_DMA_CC_IOMMU,
    VFIO_DMA_MAP_FLAG_READ,
    VFIO_DMA_MAP_FLAG_WRITE,
    VFIO_IOMMU_GET_INFO,
    VFIO_IOMMU_INFO_PGSIZES,
    VFIO_IOMMU_MAP_DMA,
    VFIO_IOMMU_UNMAP_DMA,
    VFIO_TYPE1_IOMMU,
    VFIO_TYPE1_NESTING_IOMMU,
    VFIO_TYPE1v2_IOMMU,
    VfioIommuDriverOps,
    VfioIommuType1DmaMap,
    VfioIommuType1DmaUnmap,
    VfioIommuType1Info,
    vfio_register_iommu_driver,
    vfio_unregister_iommu_driver,
)

U64 = (1 << 64) - 1


class VfioDma:
    """``struct vfio_dma``: one MAP_DMA: ``size`` bytes at ``iova``, which are the process's at ``vaddr``."""

    def __init__(self, iova: int, vaddr: int, prot: int, process: Process) -> None:
        self.iova = iova
        self.vaddr = vaddr
        self.size = 0
        self.prot = prot
        self.process = process
        self.pinned = 0


class VfioIommu:
    """``struct vfio_iommu``: one container's: its domain (with one kind of IOMMU there is never a second), the groups in
    it, and what is mapped."""

    def __init__(self, v2: bool) -> None:
        self.domain: IommuDomain | None = None
        self.lock = Mutex("iommu->lock")
        self.dma_list: list[VfioDma] = []
        self.group_list: list[IommuGroup] = []
        self.v2 = v2
        self.prot = 0


def vfio_find_dma(iommu: VfioIommu, start: int, size: int) -> VfioDma | None:
    """A mapping that overlaps ``size`` bytes from ``start`` on; with size 0, one that ``start`` is in."""
    for dma in iommu.dma_list:
        if start + max(size, 1) <= dma.iova:
            continue
        if start < dma.iova + dma.size:
            return dma
    return None


def vaddr_get_pfn(process: Process, vaddr: int, prot: int) -> tuple[int, int, bool]:
    """The page frame behind ``vaddr``: (0, frame, whether it is no RAM), or (-EFAULT, 0, False)."""
    vma = process.mm.find_vma(vaddr)
    if vma is None or (prot & IOMMU_WRITE and not vma.vm_flags & VM_WRITE):
        return -EFAULT, 0, False
    if vma.vm_flags & VM_PFNMAP:
        return 0, pfn_of(vma, vaddr), True
    if vma.phys is None:
        return -EFAULT, 0, False
    return 0, (vma.phys + vaddr - vma.vm_start) >> PAGE_SHIFT, False


def vfio_pin_pages(process: Process, vaddr: int, npage: int, prot: int) -> tuple[int, int, bool]:
    """Pin up to ``npage`` pages that lie side by side: (how many or a negative errno, the first frame, whether no RAM)."""
    mm = process.mm
    ret, base, rsvd = vaddr_get_pfn(process, vaddr, prot)
    if ret:
        return ret, 0, False
    limit = mm.rlimit_memlock >> PAGE_SHIFT
    done = 0
    while done < npage:
        ret, pfn, other = vaddr_get_pfn(process, vaddr + (done << PAGE_SHIFT), prot)
        if ret or pfn != base + done or other != rsvd:
            break
        if not rsvd and not mm.ipc_lock and mm.locked_vm + done + 1 > limit:
            pr_warn(f"vfio_pin_pages: RLIMIT_MEMLOCK ({limit << PAGE_SHIFT}) exceeded\n")
            if not done:
                return -ENOMEM, 0, False
            break
        done += 1
    if not rsvd:
        mm.locked_vm += done
    return done, base, rsvd


def vfio_remove_dma(iommu: VfioIommu, dma: VfioDma) -> None:
    """Unmap and unpin."""
    done = 0
    while iommu.domain is not None and done < dma.size:
        count = iommu_unmap(iommu.domain, dma.iova + done, dma.size - done)
        if not count:
            break
        done += count
    dma.process.mm.locked_vm -= dma.pinned
    iommu.dma_list.remove(dma)


def vfio_dma_do_unmap(iommu: VfioIommu, unmap: VfioIommuType1DmaUnmap) -> int:
    """``VFIO_IOMMU_UNMAP_DMA``: 0 or -EINVAL; ``unmap.size`` is how many bytes it was."""
    mask = PAGE_SIZE - 1
    if unmap.iova & mask or not unmap.size or unmap.size & mask:
        return -EINVAL
    mutex_lock(iommu.lock)
    try:
        if iommu.v2:
            # version 2 does not cut a mapping in two
            dma = vfio_find_dma(iommu, unmap.iova, 0)
            if dma is not None and dma.iova != unmap.iova:
                return -EINVAL
            dma = vfio_find_dma(iommu, (unmap.iova + unmap.size - 1) & U64, 0)
            if dma is not None and dma.iova + dma.size != unmap.iova + unmap.size:
                return -EINVAL
        unmapped = 0
        while True:
            dma = vfio_find_dma(iommu, unmap.iova, unmap.size)
            if dma is None or (not iommu.v2 and unmap.iova > dma.iova):
                break
            unmapped += dma.size
            vfio_remove_dma(iommu, dma)
        unmap.size = unmapped
    finally:
        mutex_unlock(iommu.lock)
    return 0


def vfio_dma_do_map(iommu: VfioIommu, map: VfioIommuType1DmaMap) -> int:
    """``VFIO_IOMMU_MAP_DMA``: 0, -EINVAL (alignment, size, flags, wrap), -EEXIST (overlaps), -ENOMEM (more than may be
    pinned), -EFAULT (no memory of the process there)."""
    process = current_process()
    mask = PAGE_SIZE - 1
    prot = 0
    if map.flags & VFIO_DMA_MAP_FLAG_WRITE:
        prot |= IOMMU_WRITE
    if map.flags & VFIO_DMA_MAP_FLAG_READ:
        prot |= IOMMU_READ
    if process is None or not prot or not map.size or (map.size | map.iova | map.vaddr) & mask:
        return -EINVAL
    if map.iova + map.size - 1 > U64 or map.vaddr + map.size - 1 > U64:
        return -EINVAL
    mutex_lock(iommu.lock)
    try:
        if vfio_find_dma(iommu, map.iova, map.size) is not None:
            return -EEXIST
        if sched.running_cpu().kernel.fault_inject.alloc("kzalloc"):
            return -ENOMEM
        dma = VfioDma(map.iova, map.vaddr, prot, process)
        iommu.dma_list.append(dma)
        ret = 0
        while dma.size < map.size and not ret:
            left = map.size - dma.size
            npage, pfn, rsvd = vfio_pin_pages(process, map.vaddr + dma.size, left >> PAGE_SHIFT, prot)
            if npage <= 0:
                ret = npage
                break
            if iommu.domain is not None:
                ret = iommu_map(iommu.domain, map.iova + dma.size, pfn << PAGE_SHIFT, npage << PAGE_SHIFT,
                                prot | iommu.prot)
            if ret:
                if not rsvd:
                    process.mm.locked_vm -= npage
                break
            dma.size += npage << PAGE_SHIFT
            dma.pinned += 0 if rsvd else npage
        if ret:
            vfio_remove_dma(iommu, dma)
        return ret
    finally:
        mutex_unlock(iommu.lock)


def vfio_iommu_replay(iommu: VfioIommu, domain: IommuDomain) -> int:
    """A new domain gets what is mapped already."""
    for dma in iommu.dma_list:
        done = 0
        while done < dma.size:
            ret, pfn, _ = vaddr_get_pfn(dma.process, dma.vaddr + done, dma.prot)
            if not ret:
                ret = iommu_map(domain, dma.iova + done, pfn << PAGE_SHIFT, PAGE_SIZE, dma.prot)
            if ret:
                return ret
            done += PAGE_SIZE
    return 0


def vfio_iommu_type1_attach_group(iommu_data: VfioIommu, iommu_group: IommuGroup) -> int:
    """The devices of a group reach what is mapped: 0, -EINVAL (attached), -ENODEV, -EPERM, -ENOMEM, -EBUSY."""
    iommu = iommu_data
    mutex_lock(iommu.lock)
    try:
        if iommu_group in iommu.group_list:
            return -EINVAL
        bus = sched.running_cpu().kernel.buses.get("platform")
        if not iommu_present(bus):
            return -ENODEV
        allowed = getattr(sched.running_cpu().kernel.module("vfio_iommu_type1"), "allow_unsafe_interrupts", False)
        if not allowed and not iommu_capable(bus, IOMMU_CAP_INTR_REMAP):
            pr_warn("vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "
                    '"allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform\n')
            return -1
        domain = iommu.domain
        fresh = domain is None
        if domain is None:
            domain = iommu_domain_alloc(bus)
            if domain is None:
                return -ENOMEM
        ret = iommu_attach_group(domain, iommu_group)
        if ret:
            return ret
        if fresh:
            iommu.prot = IOMMU_CACHE if iommu_capable(bus, IOMMU_CAP_CACHE_COHERENCY) else 0
            ret = vfio_iommu_replay(iommu, domain)
            if ret:
                iommu_domain_free(domain)
                return ret
            iommu.domain = domain
        iommu.group_list.append(iommu_group)
        return 0
    finally:
        mutex_unlock(iommu.lock)


def vfio_iommu_type1_detach_group(iommu_data: VfioIommu, iommu_group: IommuGroup) -> None:
    """A group leaves; with the last one everything is unmapped and unpinned."""
    iommu = iommu_data
    mutex_lock(iommu.lock)
    if iommu_group in iommu.group_list and iommu.domain is not None:
        iommu_detach_group(iommu.domain, iommu_group)
        iommu.group_list.remove(iommu_group)
        if not iommu.group_list:
            vfio_iommu_unmap_unpin_all(iommu)
            iommu_domain_free(iommu.domain)
            iommu.domain = None
    mutex_unlock(iommu.lock)


def vfio_iommu_unmap_unpin_all(iommu: VfioIommu) -> None:
    """Undo every MAP_DMA."""
    for dma in list(iommu.dma_list):
        vfio_remove_dma(iommu, dma)


def vfio_iommu_type1_open(arg: int) -> VfioIommu | int:
    """What a container keeps: version 1 or 2; -EINVAL for another one."""
    if arg == VFIO_TYPE1_IOMMU:
        return VfioIommu(False)
    if arg in (VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU):
        return VfioIommu(True)
    return -EINVAL


def vfio_iommu_type1_release(iommu_data: VfioIommu) -> None:
    """The container has no group left."""
    vfio_iommu_unmap_unpin_all(iommu_data)
    if iommu_data.domain is not None:
        iommu_domain_free(iommu_data.domain)
        iommu_data.domain = None


def vfio_iommu_type1_ioctl(iommu_data: VfioIommu | None, cmd: int, arg: int) -> int:
    """``VFIO_CHECK_EXTENSION``, ``VFIO_IOMMU_{GET_INFO,MAP_DMA,UNMAP_DMA}``; -ENOTTY for others."""
    if cmd == VFIO_CHECK_EXTENSION:
        if arg in (VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU):
            return 1
        if arg == VFIO_DMA_CC_IOMMU:
            return 1 if iommu_data is not None and iommu_data.prot & IOMMU_CACHE else 0
        return 0
    if iommu_data is None:
        return -ENOTTY
    if cmd == VFIO_IOMMU_GET_INFO:
        minsz = VfioIommuType1Info.offsetofend("iova_pgsizes")
        left, data = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        info = VfioIommuType1Info.unpack(data)
        if info.argsz < minsz:
            return -EINVAL
        info.flags = VFIO_IOMMU_INFO_PGSIZES
        info.iova_pgsizes = PAGE_SIZE
        return -EFAULT if copy_to_user(arg, info.pack(), minsz) else 0
    if cmd == VFIO_IOMMU_MAP_DMA:
        minsz = VfioIommuType1DmaMap.offsetofend("size")
        left, data = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        map = VfioIommuType1DmaMap.unpack(data)
        if map.argsz < minsz or map.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE):
            return -EINVAL
        return vfio_dma_do_map(iommu_data, map)
    if cmd == VFIO_IOMMU_UNMAP_DMA:
        minsz = VfioIommuType1DmaUnmap.offsetofend("size")
        left, data = copy_from_user(arg, minsz)
        if left:
            return -EFAULT
        unmap = VfioIommuType1DmaUnmap.unpack(data)
        if unmap.argsz < minsz or unmap.flags:
            return -EINVAL
        ret = vfio_dma_do_unmap(iommu_data, unmap)
        if ret:
            return ret
        return -EFAULT if copy_to_user(arg, unmap.pack(), minsz) else 0
    return -ENOTTY


def this() -> Module | None:
    """THIS_MODULE."""
    return module


vfio_iommu_driver_ops_type1 = VfioIommuDriverOps(
    name="vfio-iommu-type1",
    owner=this,
    open=vfio_iommu_type1_open,
    release=vfio_iommu_type1_release,
    ioctl=vfio_iommu_type1_ioctl,
    attach_group=vfio_iommu_type1_attach_group,
    detach_group=vfio_iommu_type1_detach_group,
)


def vfio_iommu_type1_init() -> int:
    """``vfio_iommu_type1_init()``."""
    return vfio_register_iommu_driver(vfio_iommu_driver_ops_type1)


def vfio_iommu_type1_cleanup() -> None:
    """``vfio_iommu_type1_cleanup()``."""
    vfio_unregister_iommu_driver(vfio_iommu_driver_ops_type1)


module = Module(
    name="vfio_iommu_type1",
    init=vfio_iommu_type1_init,
    exit=vfio_iommu_type1_cleanup,
    params=(ModuleParam("allow_unsafe_interrupts", "bool", 0o644, False,
                        "Enable VFIO IOMMU support for on platforms without interrupt remapping support."),),
    source="drivers/vfio/vfio_iommu_type1.c",
    depends=("vfio",),
)
