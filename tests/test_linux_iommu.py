# SPDX-License-Identifier: GPL-2.0-only
"""Groups by the stream of the registers, and domains."""

from __future__ import annotations

from typing import Any

import pytest
from linux_rig import RAM, Rig

from hidma.hw.smmu import BLOCKED, BYPASS, TRANSLATED, Smmu
from hidma.linux.errno import EBUSY, EEXIST, EINVAL
from hidma.linux.iommu import (
    IommuGroup,
    group_of,
    groups,
    iommu_attach_group,
    iommu_block_group,
    iommu_capable,
    iommu_default_group,
    iommu_detach_group,
    iommu_domain_alloc,
    iommu_domain_free,
    iommu_group_for_each_dev,
    iommu_group_get,
    iommu_group_put,
    iommu_map,
    iommu_present,
    iommu_unmap,
    set_iommu,
)
from hidma.linux.ioport import IORESOURCE_MEM, Resource
from hidma.linux.platform_device import PlatformDevice, platform_device_add

PAGE = 4096


@pytest.fixture
def smmu(rig: Rig) -> Smmu:
    """An IOMMU with a stream for each of two pages, and a third that shares the second."""
    smmu = Smmu(rig.bus)
    set_iommu(smmu, {0x1000: smmu.stream(7), 0x2000: smmu.stream(8), 0x3000: smmu.stream(8)})
    return smmu


def device(name: str, *bases: int) -> Any:
    """A registered device with registers there."""
    pdev = PlatformDevice(name, -1)
    pdev.resource = [Resource(base, base + PAGE - 1, IORESOURCE_MEM) for base in bases]
    assert platform_device_add(pdev) == 0
    return pdev.dev


def test_device_is_in_the_group_of_its_stream(rig: Rig, smmu: Smmu) -> None:
    a, b, c, none = device("a", 0x1000), device("b", 0x2000), device("c", 0x3000), device("none", 0x9000)
    found = [group_of(dev) for dev in (a, b, c)]
    assert found[0] is not found[1] and found[1] is found[2]
    assert group_of(none) is None and group_of(device("bare")) is None
    assert found[1] is not None
    seen: list[str] = []
    assert iommu_group_for_each_dev(found[1], seen, lambda dev, found: found.append(dev.name) or 0) == 0
    assert seen == ["b", "c"]
    assert iommu_group_for_each_dev(found[1], None, lambda dev, _: -5) == -5


def test_groups_are_those_that_have_a_device(rig: Rig, smmu: Smmu) -> None:
    assert groups() == []
    later, first = device("b", 0x2000), device("a", 0x1000)
    device("c", 0x3000)
    assert groups() == [group_of(first), group_of(later)]


def test_holding_and_letting_go_of_a_group_is_traced(rig: Rig, smmu: Smmu) -> None:
    dev = device("a", 0x1000)
    events = rig.record()
    iommu_group_put(iommu_group_get(dev))
    assert events == [("iommu_group", "get", 2), ("iommu_group", "put", 1)]


def test_group_is_held(rig: Rig, smmu: Smmu) -> None:
    dev = device("a", 0x1000)
    group = iommu_group_get(dev)
    assert group is not None and group.kref == 2 and group.id == 0
    iommu_group_put(group)
    assert group.kref == 1
    iommu_group_put(None)


def test_domain_says_what_the_stream_reaches(rig: Rig, smmu: Smmu) -> None:
    group = group_of(device("a", 0x1000))
    domain = iommu_domain_alloc(None)
    assert group is not None and group.stream is not None and domain is not None
    assert group.stream.mode == BYPASS
    assert iommu_attach_group(domain, group) == 0
    assert group.stream.mode == TRANSLATED
    assert iommu_map(domain, 0x10000, RAM, PAGE, 3) == 0
    assert iommu_map(domain, 0x10000, RAM, PAGE, 3) == -EEXIST
    assert iommu_map(domain, 0x10001, RAM, PAGE, 3) == -EINVAL
    assert domain.table.iova_to_phys(0x10010) == RAM + 0x10
    assert group.stream.reach(0x10000, 16, 1) == 0
    assert iommu_unmap(domain, 0x10000, PAGE) == PAGE
    assert group.stream.reach(0x10000, 16, 1) < 0


def test_group_has_one_domain(rig: Rig, smmu: Smmu) -> None:
    group = group_of(device("a", 0x1000))
    one, two = iommu_domain_alloc(None), iommu_domain_alloc(None)
    assert group is not None and one is not None and two is not None
    assert iommu_attach_group(one, group) == 0
    assert iommu_attach_group(two, group) == -EBUSY
    iommu_detach_group(two, group)
    assert group.domain is one
    iommu_domain_free(one)
    assert group.domain is None and group.stream is not None and group.stream.mode == BLOCKED


def test_group_without_a_domain_is_blocked_until_the_host_has_it_back(rig: Rig, smmu: Smmu) -> None:
    group = group_of(device("a", 0x1000))
    assert group is not None and group.stream is not None
    iommu_block_group(group)
    assert group.stream.mode == BLOCKED
    iommu_default_group(group)
    assert group.stream.mode == BYPASS
    iommu_block_group(IommuGroup(9))
    iommu_default_group(IommuGroup(9))
    domain = iommu_domain_alloc(None)
    assert domain is not None and iommu_attach_group(domain, IommuGroup(9)) == -EINVAL


def test_what_the_iommu_can(rig: Rig) -> None:
    assert not iommu_present(None)
    assert iommu_domain_alloc(None) is None
    set_iommu(Smmu(rig.bus), {})
    assert iommu_present(None)
    assert [iommu_capable(None, cap) for cap in (0, 1, 2)] == [True, True, False]
    rig.kernel.fault_inject.alloc_fails = rig.kernel.fault_inject.allocations + 1
    assert iommu_domain_alloc(None) is None
