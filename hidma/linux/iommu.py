# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/iommu.h>``: groups of devices that translation cannot tell apart, and the domains that they are attached to.

A group is made of the devices whose firmware nodes name one stream of an IOMMU. V14's channels lack their node (row 27) and would
have no group in 4.5; by a declared difference theirs is that of the stream that their registers belong to.

A group that was in a domain and is in none afterwards reaches nothing, until its default domain is given back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.hw.smmu import Domain, Smmu, Stream
from hidma.linux import sched
from hidma.linux.errno import EBUSY, EINVAL, ENOMEM
from hidma.linux.ioport import IORESOURCE_MEM

IOMMU_READ = 1
IOMMU_WRITE = 2
IOMMU_CACHE = 4

# enum iommu_cap
IOMMU_CAP_CACHE_COHERENCY = 0
IOMMU_CAP_INTR_REMAP = 1



class IommuGroup:
    """``struct iommu_group``: ``id`` is its name in /sys/kernel/iommu_groups, ``kref`` counts its references."""

    def __init__(self, id: int, stream: Stream | None = None) -> None:
        self.id = id
        self.stream = stream
        self.domain: IommuDomain | None = None
        self.kref = 1


class IommuDomain:
    """``struct iommu_domain``: the page table behind it."""

    def __init__(self, table: Domain) -> None:
        self.table = table
        self.groups: list[IommuGroup] = []


def set_iommu(smmu: Smmu, pages: dict[int, Stream], nodes: dict[str, Stream] | None = None) -> None:
    """Tell the running kernel of its IOMMU. Groups are numbered in the order of ``pages``, then of ``nodes``.

    :param pages: streams of HIDMA channels by the physical address of a page of their registers
    :param nodes: streams of other devices by the path of their firmware node
    """
    statics = sched.running_cpu().kernel.module("iommu")
    statics.smmu = smmu
    statics.pages = pages
    statics.nodes = nodes or {}
    statics.groups = {}
    for stream in (*pages.values(), *statics.nodes.values()):
        if stream.number not in statics.groups:
            statics.groups[stream.number] = IommuGroup(len(statics.groups), stream)


def groups() -> list[IommuGroup]:
    """Every group of the running kernel that has a device, by number."""
    found: dict[int, IommuGroup] = {}
    bus = sched.running_cpu().kernel.buses.get("platform")
    for dev in bus.devices if bus is not None else ():
        group = group_of(dev)
        if group is not None:
            found[group.id] = group
    return [found[number] for number in sorted(found)]


def firmware_node_path(dev: Any) -> str | None:
    """Path of the firmware node of ``dev``, None where it has none."""
    if dev.of_node is not None:
        return str(dev.of_node.full_name)
    return None if dev.acpi_companion is None else str(dev.acpi_companion.path)


def group_of(dev: Any) -> IommuGroup | None:
    """The group that ``dev`` is in, without holding it."""
    if dev.iommu_group is not None or dev.container is None:
        known: IommuGroup | None = dev.iommu_group
        return known
    statics = sched.running_cpu().kernel.module("iommu")
    stream: Stream | None = getattr(statics, "nodes", {}).get(firmware_node_path(dev))
    pages: dict[int, Stream] = getattr(statics, "pages", {})
    for res in dev.container.resource:
        if stream is None and res.flags & IORESOURCE_MEM:
            stream = pages.get(res.start & ~0xFFF)
    if stream is not None:
        dev.iommu_group = statics.groups[stream.number]
    return dev.iommu_group


def iommu_group_get(dev: Any) -> IommuGroup | None:
    """The group that ``dev`` is in, held; None when there is none."""
    group = group_of(dev)
    if group is not None:
        group.kref += 1
        trace = sched.running_cpu().kernel.trace
        if trace.on:
            trace.emit(("iommu_group", "get", group.kref))
    return group


def iommu_group_put(group: IommuGroup | None) -> None:
    """Let go of ``group``."""
    if group is not None:
        group.kref -= 1
        trace = sched.running_cpu().kernel.trace
        if trace.on:
            trace.emit(("iommu_group", "put", group.kref))


def iommu_group_for_each_dev(group: IommuGroup, data: Any, fn: Callable[[Any, Any], int]) -> int:
    """Call ``fn(dev, data)`` for each device of ``group`` until one returns something else than 0; that."""
    bus = sched.running_cpu().kernel.buses["platform"]
    for dev in list(bus.devices):
        if group_of(dev) is group:
            rc = fn(dev, data)
            if rc:
                return rc
    return 0


def iommu_present(bus: Any) -> bool:
    """Whether there is an IOMMU for the devices of ``bus``."""
    return hasattr(sched.running_cpu().kernel.module("iommu"), "smmu")


def iommu_capable(bus: Any, cap: int) -> bool:
    """Whether the IOMMU can do ``cap``. It snoops; interrupts here are wired, and those of a stream are its own."""
    return cap in (IOMMU_CAP_CACHE_COHERENCY, IOMMU_CAP_INTR_REMAP)


def iommu_domain_alloc(bus: Any) -> IommuDomain | None:
    """An empty domain; None when there is no memory or no IOMMU."""
    kernel = sched.running_cpu().kernel
    smmu: Smmu | None = getattr(kernel.module("iommu"), "smmu", None)
    if smmu is None or kernel.fault_inject.alloc("iommu_domain_alloc"):
        return None
    statics = kernel.module("iommu")
    statics.domains = getattr(statics, "domains", 0) + 1
    return IommuDomain(smmu.domain(f"domain {statics.domains - 1}"))


def iommu_domain_free(domain: IommuDomain) -> None:
    """Nothing is attached any more."""
    for group in list(domain.groups):
        iommu_detach_group(domain, group)


def iommu_attach_group(domain: IommuDomain, group: IommuGroup) -> int:
    """From now on ``domain`` says what the devices of ``group`` reach: 0, -EBUSY when another one does."""
    if group.domain is not None and group.domain is not domain:
        return -EBUSY
    if group.stream is None:
        return -EINVAL
    group.domain = domain
    if group not in domain.groups:
        domain.groups.append(group)
    group.stream.attach(domain.table)
    return 0


def iommu_detach_group(domain: IommuDomain, group: IommuGroup) -> None:
    """The devices of ``group`` reach nothing from now on."""
    if group.domain is domain:
        group.domain = None
        domain.groups.remove(group)
        if group.stream is not None:
            group.stream.block()


def iommu_block_group(group: IommuGroup) -> None:
    """The owner of ``group`` is no driver of the host from now on: without a domain its devices reach no memory."""
    if group.domain is None and group.stream is not None:
        group.stream.block()


def iommu_default_group(group: IommuGroup) -> None:
    """The host's drivers own ``group`` again: a bus address is a physical one, as at boot."""
    if group.domain is None and group.stream is not None:
        group.stream.bypass()


def iommu_map(domain: IommuDomain, iova: int, paddr: int, size: int, prot: int) -> int:
    """Map ``size`` bytes: 0, -EINVAL (not aligned), -EEXIST, -ENOMEM (made to fail)."""
    if sched.running_cpu().kernel.fault_inject.alloc("iommu_map"):
        return -ENOMEM
    return domain.table.map(iova, paddr, size, prot & (IOMMU_READ | IOMMU_WRITE))


def iommu_unmap(domain: IommuDomain, iova: int, size: int) -> int:
    """Unmap up to ``size`` bytes; how many."""
    return domain.table.unmap(iova, size)
