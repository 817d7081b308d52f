# SPDX-License-Identifier: GPL-2.0-only
"""The hypervisor's side: a channel leaves its driver through sysfs, joins a container by its group, and reaches what was
mapped for it and nothing else."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from vfio_rig import DEVICE, IOVA, SIZE, Owner, owner

import hidma
from hidma import vm
from hidma.linux.vfio import (
    VFIO_CHECK_EXTENSION,
    VFIO_DMA_MAP_FLAG_READ,
    VFIO_GROUP_FLAGS_CONTAINER_SET,
    VFIO_GROUP_FLAGS_VIABLE,
    VFIO_IOMMU_GET_INFO,
    VFIO_IOMMU_MAP_DMA,
    VFIO_TYPE1_IOMMU,
    VFIO_TYPE1v2_IOMMU,
    VfioIommuType1DmaMap,
    VfioIommuType1Info,
)

PAGE = 4096


def refused(code: int, call: Callable[[], object]) -> str:
    """``call()`` fails with ``code``; the sentence."""
    with pytest.raises(OSError) as error:
        call()
    assert error.value.errno == code, error.value
    return str(error.value)


# --- sysfs --------------------------------------------------------------------------------------------------------------


def test_channel_goes_to_vfio_and_comes_back() -> None:
    with hidma.boot() as machine:
        machine.modprobe("vfio_platform")
        drivers = "/sys/bus/platform/drivers"
        machine.sysfs[f"{drivers}/hidma/unbind"] = DEVICE
        machine.sysfs[f"/sys/bus/platform/devices/{DEVICE}/driver_override"] = "vfio-platform"
        machine.sysfs[f"{drivers}/vfio-platform/bind"] = DEVICE
        assert dict(machine.devices())[DEVICE] == "vfio-platform"
        assert DEVICE in machine.sysfs.listdir(f"{drivers}/vfio-platform")
        vm.release(machine, DEVICE)
        assert dict(machine.devices())[DEVICE] == "hidma"
        chan = machine.dma.request_channel()
        source, dest = machine.alloc(PAGE), machine.alloc(PAGE)
        source[:] = b"back" * (PAGE // 4)
        chan.memcpy(dest, source, PAGE).wait()
        assert bytes(dest[:]) == bytes(source[:])


def test_channel_with_vfio_is_no_dma_channel_of_the_host() -> None:
    with hidma.boot() as machine:
        before = machine.sysfs.listdir("/sys/class/dma")
        vm.assign(machine, DEVICE)
        assert len(machine.sysfs.listdir("/sys/class/dma")) == len(before) - 1


def test_groups_are_in_sysfs_by_stream() -> None:
    with hidma.boot() as machine:
        groups = machine.sysfs.listdir("/sys/kernel/iommu_groups")
        assert len(groups) == 6
        found = [machine.sysfs.listdir(f"/sys/kernel/iommu_groups/{number}/devices") for number in groups]
        assert sorted(name for (name,) in found) == [f"hidma.{i}" for i in range(6)]
        assert "iommu_group" in machine.sysfs.listdir(f"/sys/bus/platform/devices/{DEVICE}")
        assert "iommu_group" not in machine.sysfs.listdir("/sys/bus/platform/devices/timer")


def test_unknown_device_is_refused_with_those_that_are_there() -> None:
    with hidma.boot() as machine:
        assert "hidma.0" in refused(errno.ENODEV, lambda: vm.assign(machine, "hidma.9"))
        assert "no IOMMU group" in refused(errno.ENODEV, lambda: vm.Group.of(machine, "timer"))


def test_device_in_use_is_not_unbound() -> None:
    with owner() as mine:
        text = refused(errno.EDEADLK, lambda: vm.release(mine.machine, DEVICE))
        assert "is still open" in text
        assert 'task "init" (1) blocked until device is released' in mine.machine.dmesg()
        mine.device.close()
        vm.release(mine.machine, DEVICE)
        assert dict(mine.machine.devices())[DEVICE] == "hidma"


# --- container and group ------------------------------------------------------------------------------------------------


def test_status_of_a_group() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            assert group.status() == VFIO_GROUP_FLAGS_VIABLE
            refused(errno.EINVAL, group.unset_container)
            group.set_container(container)
            assert group.status() == VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET
            refused(errno.EINVAL, lambda: group.set_container(container))
            group.unset_container()
            assert group.status() == VFIO_GROUP_FLAGS_VIABLE


def test_group_is_viable_when_all_of_it_is_with_vfio() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        devices = {dev.name: dev for dev in machine.kernel.buses["platform"].devices}
        devices["hidma.1"].iommu_group = devices[DEVICE].iommu_group  # two devices that translation cannot tell apart
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            assert not group.viable()
            group.set_container(container)
            container.set_iommu()
            assert "another driver has one of its devices" in refused(errno.EINVAL, lambda: group.device(DEVICE))
            machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = "hidma.1"
            assert group.viable()
            group.device(DEVICE).close()
            vm.assign(machine, "hidma.1")
            assert group.viable()
            assert group.device("hidma.1").info().num_regions == 2


def test_group_is_opened_once() -> None:
    with owner() as mine:
        other = vm.Hypervisor(mine.machine, "another")
        refused(errno.EBUSY, lambda: vm.Group(other, 0))
        refused(errno.ENOENT, lambda: vm.Group(other, 5))
        refused(errno.ENOENT, lambda: other.open("/dev/vfio/none"))
        refused(errno.ENOENT, lambda: other.open("/dev/null"))


def test_device_needs_a_container_with_an_iommu() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            refused(errno.EINVAL, container.set_iommu)
            refused(errno.EINVAL, lambda: group.device(DEVICE))
            group.set_container(container)
            refused(errno.EINVAL, lambda: group.device(DEVICE))
            refused(errno.ENODEV, lambda: container.set_iommu(2))
            container.set_iommu()
            refused(errno.EINVAL, container.set_iommu)
            refused(errno.ENODEV, lambda: group.device("hidma.1"))
            group.device(DEVICE)
            refused(errno.EBUSY, group.unset_container)


def test_iommu_module_is_needed_and_held() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        machine.rmmod("vfio_iommu_type1")
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            group.set_container(container)
            refused(errno.ENODEV, container.set_iommu)
            machine.modprobe("vfio_iommu_type1")
            container.set_iommu()
            refused(errno.EBUSY, lambda: machine.rmmod("vfio_iommu_type1"))
        machine.rmmod("vfio_iommu_type1")


def test_container_says_what_it_can() -> None:
    with owner() as mine:
        for kind, there in ((VFIO_TYPE1_IOMMU, 1), (VFIO_TYPE1v2_IOMMU, 1), (2, 0), (4, 1)):
            assert mine.hypervisor.ioctl(mine.container.fd, VFIO_CHECK_EXTENSION, kind)[0] == there
        info = mine.hypervisor.ask(mine.container.fd, VFIO_IOMMU_GET_INFO, VfioIommuType1Info(), "")
        assert (info.flags, info.iova_pgsizes) == (1, PAGE)


# --- DMA ----------------------------------------------------------------------------------------------------------------


def test_channel_reaches_what_was_mapped() -> None:
    with owner() as mine:
        mine.ram(0x10000, 4096)[:] = b"\x5a" * 4096
        channel = mine.copy(IOVA + 0x10000, IOVA + 0x20000, 4096)
        assert bytes(mine.ram(0x20000, 4096)) == b"\x5a" * 4096
        assert channel.stream.faults == 0


@pytest.mark.parametrize(("source", "dest"), [(0x80000000, IOVA + 0x20000), (IOVA + 0x10000, IOVA + SIZE), (IOVA + 0x10000, 0)])
def test_channel_reaches_nothing_else(source: int, dest: int) -> None:
    with owner() as mine:
        before = mine.machine.memory.slice(mine.phys + SIZE, 0x10000).tobytes()
        channel = mine.copy(source, dest, 4096)
        assert channel.stream.faults > 0
        assert mine.machine.memory.slice(mine.phys + SIZE, 0x10000).tobytes() == before
        assert bytes(mine.ram(0x20000, 4096)) == bytes(4096)


def test_read_only_mapping_is_not_written() -> None:
    with owner() as mine:
        extra, phys = mine.hypervisor.mmap(PAGE)
        mine.container.map_dma(0x1000, extra, PAGE, VFIO_DMA_MAP_FLAG_READ)
        mine.copy(0x1000, IOVA + 0x20000, 256)
        channel = mine.machine.registers[0x5C050000]
        assert channel.stream.faults == 0
        mine.device.reset()
        mine.copy(IOVA, 0x1000, 256)
        assert channel.stream.faults == 1
        assert bytes(mine.machine.memory.slice(phys, PAGE)) == bytes(PAGE)


def test_unmapping_takes_it_away_again() -> None:
    with owner() as mine:
        assert mine.container.unmap_dma(IOVA, SIZE) == SIZE
        assert mine.container.unmap_dma(IOVA, SIZE) == 0
        channel = mine.copy(IOVA + 0x10000, IOVA + 0x20000, 4096)
        assert channel.stream.faults == 1


def test_pages_are_pinned_while_they_are_mapped() -> None:
    with owner() as mine:
        mm = mine.hypervisor.process.mm
        assert mm.locked_vm == SIZE // PAGE
        mine.container.unmap_dma(IOVA, SIZE)
        assert mm.locked_vm == 0
        mine.container.map_dma(0, mine.vaddr, SIZE)
        mine.hypervisor.exit()
        assert mm.locked_vm == 0


def test_more_than_may_be_pinned_is_refused_whole() -> None:
    with hidma.boot() as machine:
        mine = Owner(machine, memlock=SIZE)
        extra, _ = mine.hypervisor.mmap(2 * PAGE)
        refused(errno.ENOMEM, lambda: mine.container.map_dma(0, extra, 2 * PAGE))
        assert "vfio_pin_pages: RLIMIT_MEMLOCK (1048576) exceeded" in machine.dmesg()
        assert mine.hypervisor.process.mm.locked_vm == SIZE // PAGE
        mine.container.unmap_dma(IOVA, SIZE)
        mine.container.map_dma(IOVA, mine.vaddr, SIZE - PAGE)
        refused(errno.ENOMEM, lambda: mine.container.map_dma(0, extra, 2 * PAGE))
        assert mine.hypervisor.process.mm.locked_vm == SIZE // PAGE - 1


@pytest.mark.parametrize(("iova", "offset", "size", "flags", "code"), [
    (1, 0, PAGE, 3, errno.EINVAL),
    (0, 1, PAGE, 3, errno.EINVAL),
    (0, 0, PAGE - 1, 3, errno.EINVAL),
    (0, 0, 0, 3, errno.EINVAL),
    (0, 0, PAGE, 0, errno.EINVAL),
    (0, 0, PAGE, 4, errno.EINVAL),
    (IOVA, 0, PAGE, 3, errno.EEXIST),
    (IOVA - PAGE, 0, 2 * PAGE, 3, errno.EEXIST),
    (IOVA + SIZE - PAGE, 0, 2 * PAGE, 3, errno.EEXIST),
    ((1 << 64) - PAGE, 0, 2 * PAGE, 3, errno.EINVAL),
    (1 << 48, 0, PAGE, 3, errno.EINVAL),
    (0, 1 << 30, PAGE, 3, errno.EFAULT),
    (0, SIZE - PAGE, 2 * PAGE, 3, errno.EFAULT),
])
def test_mapping_that_cannot_be(iova: int, offset: int, size: int, flags: int, code: int) -> None:
    with owner() as mine:
        refused(code, lambda: mine.container.map_dma(iova, mine.vaddr + offset, size, flags))
        assert mine.hypervisor.process.mm.locked_vm == SIZE // PAGE


@pytest.mark.parametrize(("iova", "size"), [(IOVA + 1, PAGE), (IOVA, 0), (IOVA, PAGE + 1), (IOVA, PAGE), (IOVA + PAGE, SIZE)])
def test_unmapping_that_cannot_be(iova: int, size: int) -> None:
    with owner() as mine:
        refused(errno.EINVAL, lambda: mine.container.unmap_dma(iova, size))
        assert mine.hypervisor.process.mm.locked_vm == SIZE // PAGE


def test_mapping_with_a_structure_too_short() -> None:
    with owner() as mine:
        struct = VfioIommuType1DmaMap(argsz=31, flags=3, vaddr=mine.vaddr, iova=0, size=PAGE)
        assert mine.hypervisor.ioctl(mine.container.fd, VFIO_IOMMU_MAP_DMA, struct.pack())[0] == -errno.EINVAL
        assert mine.hypervisor.ioctl(mine.container.fd, VFIO_IOMMU_MAP_DMA, struct.pack()[:31])[0] == -errno.EFAULT
        assert mine.hypervisor.ioctl(mine.container.fd, 0x1234, 0)[0] == -errno.ENOTTY


def test_version_1_unmaps_whole_mappings_only_from_their_start() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            group.set_container(container)
            container.set_iommu(VFIO_TYPE1_IOMMU)
            vaddr, _ = hypervisor.mmap(4 * PAGE)
            container.map_dma(0, vaddr, 4 * PAGE)
            assert container.unmap_dma(PAGE, PAGE) == 0
            assert container.unmap_dma(0, PAGE) == 4 * PAGE


def test_two_groups_share_a_container_and_its_mappings() -> None:
    with owner() as mine:
        vm.assign(mine.machine, "hidma.1")
        group = vm.Group(mine.hypervisor, vm.Group.of(mine.machine, "hidma.1"))
        group.set_container(mine.container)
        streams = [mine.machine.registers[base].stream for base in (0x5C050000, 0x5C060000)]
        assert streams[0].domain is streams[1].domain is not None
        mine.hypervisor.exit()
        assert [stream.domain for stream in streams] == [None, None]


# --- whose the stream is ------------------------------------------------------------------------------------------------


def test_stream_reaches_nothing_between_container_and_host() -> None:
    with hidma.boot() as machine:
        stream = machine.registers[0x5C050000].stream
        assert stream.reach(machine.memory.base, 16, 1) >= 0
        vm.assign(machine, DEVICE)
        assert stream.reach(machine.memory.base, 16, 1) < 0
        mine = Owner(machine)
        assert stream.reach(IOVA, 16, 1) >= 0
        mine.hypervisor.exit()
        assert stream.reach(machine.memory.base, 16, 1) < 0 and stream.reach(IOVA, 16, 1) < 0
        vm.release(machine, DEVICE)
        assert stream.reach(machine.memory.base, 16, 1) >= 0


def test_process_that_ends_gives_everything_back() -> None:
    with owner() as mine:
        free = sum(room for _, room in mine.machine.kernel.dma_ops.pages.free)
        fd, _ = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.copy(IOVA, IOVA + 0x20000, 64, wait=False)
        mine.hypervisor.exit()
        assert sum(room for _, room in mine.machine.kernel.dma_ops.pages.free) == free + SIZE
        assert "vfio-irq" not in mine.machine.sysfs["/proc/interrupts"]
        again = Owner(mine.machine)
        assert again.device.read(0, 0x08, 4) == bytes(4)
        assert bytes(again.ram(0, SIZE)) == bytes(SIZE)
