# SPDX-License-Identifier: GPL-2.0-only
"""VFIO platform on a booted machine: what the recorded runs leave out (interrupts, the binder, what goes wrong)."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from vfio_rig import DEVICE, owner

import hidma
from hidma import vm
from hidma.linux.eventfd import eventfd_signal
from hidma.linux.ioport import IORESOURCE_IO, Resource
from hidma.linux.kmod import set_modprobe
from hidma.linux.list import list_for_each_entry
from hidma.linux.mm_types import VM_READ, VM_SHARED, VM_WRITE, VmAreaStruct
from hidma.linux.vfio import (
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_GET_REGION_INFO,
    VFIO_DEVICE_SET_IRQS,
    VFIO_IRQ_INFO_AUTOMASKED,
    VFIO_IRQ_INFO_EVENTFD,
    VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_SET_ACTION_MASK,
    VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE,
    VfioIrqInfo,
    VfioIrqSet,
    VfioRegionInfo,
)
from hidma.vfio_platform import (
    VFIO_PLATFORM_REGION_TYPE_PIO,
    VfioPlatformDevice,
    reset_list,
    vfio_platform_register_reset,
    vfio_platform_unregister_reset,
)
from hidma.vfio_platform.common import vfio_platform_lookup_reset, vfio_platform_mmap

WAIT_NS = 50_000


def test_channel_has_two_regions_and_a_level_interrupt() -> None:
    with owner() as mine:
        info = mine.device.info()
        assert (info.flags, info.num_regions, info.num_irqs) == (5, 2, 1)
        assert [(mine.device.region(i).size, mine.device.region(i).flags) for i in (0, 1)] == [(4096, 7), (4096, 7)]
        assert mine.device.irq(0).flags == VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED


def test_line_signals_the_eventfd_once_until_it_is_unmasked() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        line = mine.machine.registers[0x5C050000].line
        line.set(1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1
        mine.device.unmask()
        mine.machine.run(WAIT_NS)
        assert ctx.count == 2
        line.set(0)
        mine.device.unmask()
        mine.machine.run(WAIT_NS)
        assert ctx.count == 2


def test_eventfd_unmasks() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        unmask, unmask_ctx = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.device.unmask_with(unmask)
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        with mine.machine.running():
            eventfd_signal(unmask_ctx, 1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 2
        with pytest.raises(OSError) as error:
            mine.device.unmask_with(unmask)
        assert error.value.errno == errno.EBUSY
        mine.device.unmask_with(-1)
        mine.device.unmask_with(unmask)


def test_masked_interrupt_waits() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        mine.device.mask()
        mine.device.trigger(fd)
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 0
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_UNMASK, data=b"\0")
        mine.machine.run(WAIT_NS)
        assert ctx.count == 0
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_UNMASK, data=b"\1")
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1


def test_process_triggers_by_hand() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)
        assert ctx.count == 1
        mine.device.unmask()
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, data=b"\1")
        assert ctx.count == 2
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, count=0)
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 2


@pytest.mark.parametrize(("fields", "data", "code"), [
    ({"flags": 0x21, "start": 1}, b"", errno.EINVAL),
    ({"flags": 0x21, "count": 2}, b"", errno.EINVAL),
    ({"flags": 0x24}, (99).to_bytes(4, "little"), errno.EBADF),
    ({"flags": 0x24}, (3).to_bytes(4, "little"), errno.EINVAL),  # open, but no eventfd
    ({"flags": 0x39}, b"", errno.ENOTTY),
    ({"flags": 0x01}, b"", errno.ENOTTY),
    ({"flags": 0x80}, b"", errno.EINVAL),
    ({"flags": 0x21, "index": 1}, b"", errno.EINVAL),
    ({"flags": 0x09, "start": 1}, b"", errno.EINVAL),
    ({"flags": 0x24, "argsz": 23}, (3).to_bytes(4, "little"), errno.EINVAL),
    ({"flags": 0x21, "argsz": 19}, b"", errno.EINVAL),
])
def test_interrupt_that_cannot_be_set_so(fields: dict[str, int], data: bytes, code: int) -> None:
    with owner() as mine:
        header = VfioIrqSet(**({"argsz": 20 + len(data), "count": 1} | fields))
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_SET_IRQS, header.pack() + data)
        assert rc == -code
        assert mine.machine.kernel.dead is None


def test_trigger_by_hand_without_an_eventfd_is_row_56() -> None:
    with owner() as mine, pytest.raises(hidma.KernelOops, match="NULL pointer"):
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)


def test_eventfd_of_a_closed_device_is_row_57() -> None:
    with owner() as mine:
        unmask, ctx = mine.hypervisor.eventfd()
        mine.device.unmask_with(unmask)
        mine.device.close()
        with mine.machine.running():
            eventfd_signal(ctx, 1)
            eventfd_signal(ctx, 1)
        warnings = [line.text for line in mine.machine.kernel.log if "row 57" in line.text]
        assert len(warnings) == 1 and "use after free" in warnings[0]


def test_read_beyond_the_mapping_is_row_58() -> None:
    with owner() as mine:
        with pytest.raises(hidma.KernelOops, match="paging request"):
            mine.device.read(0, 0x1000, 4)
        assert mine.machine.kernel.dead is not None


def test_eventfd_closed_early_leaves_the_interrupt_in_peace() -> None:
    with owner() as mine:
        fd, _ = mine.hypervisor.eventfd()
        unmask, _ = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.device.unmask_with(unmask)
        mine.hypervisor.close(fd)
        mine.hypervisor.close(unmask)
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        mine.device.unmask()
        again, ctx = mine.hypervisor.eventfd()
        mine.device.trigger(again)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1
        assert mine.machine.kernel.dead is None


def test_registers_are_read_and_written_through_the_file() -> None:
    with owner() as mine:
        mine.device.write(0, 0x10, (0x1000).to_bytes(4, "little"))
        assert mine.device.read(0, 0x10, 8) == (0x1000).to_bytes(8, "little")
        faults = mine.machine.bus.faults.count
        assert mine.device.read(0, 0x11, 1) == b"\xff"  # the block answers 32-bit accesses only
        assert mine.machine.bus.faults.count == faults + 1


def test_accesses_are_as_wide_as_offset_and_length_allow() -> None:
    with owner() as mine:
        mine.device.write(0, 0x0E, bytes(2) + (0x2000).to_bytes(4, "little"))  # 16 bits, which the block ignores, then 32
        assert mine.machine.bus.find(0x5C050000).peek(0x10) == 0x2000
        assert mine.device.read(0, 0x0E, 6) == b"\xff\xff" + (0x2000).to_bytes(4, "little")


@pytest.mark.parametrize("flags", [1 | 2, 8 | 0x100])
def test_mapping_is_shared_or_refused(flags: int) -> None:
    with owner() as mine:
        if flags & 8:
            assert mine.device.mmap(0, flags).block is mine.machine.bus.find(0x5C050000)
        else:
            with pytest.raises(OSError) as error:
                mine.device.mmap(0, flags)
            assert error.value.errno == errno.EINVAL


def test_opening_and_closing_resets() -> None:
    with owner() as mine:
        assert [line.text for line in mine.machine.kernel.log[-2:]] == ["vfio-platform hidma.0: reset", "HIDMA channel reset"]
        said = len(mine.machine.kernel.log)
        mine.device.close()
        assert [line.text for line in mine.machine.kernel.log[said:]] == [
            "vfio-platform hidma.0: reset", "HIDMA channel reset"]


def test_second_open_does_not_reset() -> None:
    with owner() as mine:
        said = len(mine.machine.kernel.log)
        again = mine.group.device(DEVICE)
        again.close()
        assert len(mine.machine.kernel.log) == said


def test_reset_that_times_out_is_ignored_by_open_and_returned_by_the_ioctl() -> None:
    with owner(faults="reset-stuck:trca@chan0", modules=True) as mine:
        with pytest.raises(OSError) as error:
            mine.device.reset()
        assert error.value.errno == errno.ETIMEDOUT


def test_device_without_a_reset_function_is_opened_with_a_warning() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        vm.release(machine, DEVICE)
        machine.rmmod("vfio_platform_qcomhidma")
        with machine.running():
            set_modprobe(None)
        vm.assign(machine, DEVICE)
        with vm.Hypervisor(machine) as hypervisor:
            container, group = vm.Container(hypervisor), vm.Group(hypervisor, 0)
            group.set_container(container)
            container.set_iommu()
            device = group.device(DEVICE)
            assert machine.kernel.log[-1].text == "vfio-platform hidma.0: no reset function found!"
            assert device.info().flags == 4
            with pytest.raises(OSError) as error:
                device.reset()
            assert error.value.errno == errno.EINVAL


def test_reset_module_is_held_while_the_device_is_with_vfio() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        with pytest.raises(OSError, match="in use: it is held"):
            machine.rmmod("vfio_platform_qcomhidma")
        vm.release(machine, DEVICE)
        machine.rmmod("vfio_platform_qcomhidma")


def test_only_what_is_told_so_is_bound() -> None:
    with hidma.boot() as machine:
        machine.modprobe("vfio-platform")
        machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = DEVICE
        with pytest.raises(OSError) as error:
            machine.sysfs["/sys/bus/platform/drivers/vfio-platform/bind"] = DEVICE
        assert error.value.errno == errno.ENODEV


def test_device_without_an_iommu_group_is_refused() -> None:
    with hidma.boot() as machine:
        machine.modprobe("vfio-platform")
        machine.sysfs["/sys/bus/platform/devices/timer/driver_override"] = "vfio-platform"
        with pytest.raises(OSError, match="probe of timer failed with error -22"):
            machine.sysfs["/sys/bus/platform/drivers/vfio-platform/bind"] = "timer"
        assert "VFIO: No IOMMU group for device timer" in machine.dmesg()


def test_device_with_neither_name_is_refused() -> None:
    with hidma.boot() as machine:
        machine.modprobe("vfio-platform")
        with machine.running():
            dev = next(d for d in machine.kernel.buses["platform"].devices if d.name == DEVICE)
        machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = DEVICE
        dev.fwnode = None
        machine.sysfs[f"/sys/bus/platform/devices/{DEVICE}/driver_override"] = "vfio-platform"
        with pytest.raises(OSError, match="failed with error -22"):
            machine.sysfs["/sys/bus/platform/drivers/vfio-platform/bind"] = DEVICE
        assert "VFIO: cannot retrieve compat for hidma" in machine.dmesg()


@pytest.mark.parametrize("size", [0, 4, 15])
def test_structure_that_is_too_short(size: int) -> None:
    with owner() as mine:
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_GET_INFO, size.to_bytes(4, "little") + bytes(12))
        assert rc == -errno.EINVAL
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_GET_INFO, bytes(15))
        assert rc == -errno.EFAULT
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_GET_INFO, 0)
        assert rc == -errno.EFAULT
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, 0x1234, 0)
        assert rc == -errno.ENOTTY



# --- the list of reset functions ----------------------------------------------------------------------------------------


def one(vdev: VfioPlatformDevice) -> int:
    return 1


def two(vdev: VfioPlatformDevice) -> int:
    return 2


def listed() -> list[tuple[str | None, str | None, Any]]:
    """The list, the entry that is looked at first in front."""
    return [(node.compat, node.acpihid, node.reset) for node in list_for_each_entry(reset_list())]


def test_unregistering_takes_the_entry_with_the_key_and_the_function() -> None:
    with hidma.boot(modules=False) as machine, machine.running():
        for compat, acpihid, function in ((None, "A", one), (None, "A", two), ("c", None, one), ("c", None, two), ("d", "B", one)):
            vfio_platform_register_reset(compat, acpihid, function)
        before = listed()
        vfio_platform_unregister_reset(None, "A", one)
        assert listed() == [row for row in before if row != (None, "A", one)]
        vfio_platform_unregister_reset("c", None, one)
        assert listed() == [("d", "B", one), ("c", None, two), (None, "A", two)]
        for compat, acpihid in ((None, None), ("d", None), (None, "c"), ("A", "x")):
            vfio_platform_unregister_reset(compat, acpihid, two)
        assert listed() == [("d", "B", one), ("c", None, two), (None, "A", two)]
        vfio_platform_unregister_reset("x", "B", one)  # the hardware ID is enough
        assert listed() == [("c", None, two), (None, "A", two)]


def test_lookup_goes_by_either_key_and_gives_the_last_that_was_registered_row_31() -> None:
    with hidma.boot(modules=False) as machine, machine.running():
        vfio_platform_register_reset("c", "A", one)
        vfio_platform_register_reset("c", None, two)
        assert vfio_platform_lookup_reset("c", None) == (two, None)
        assert vfio_platform_lookup_reset("c", "A") == (two, None)
        assert vfio_platform_lookup_reset(None, "A") == (one, None)
        assert vfio_platform_lookup_reset(None, None) == vfio_platform_lookup_reset("A", "c") == (None, None)


# --- mmap, structures, interrupts ---------------------------------------------------------------------------------------


def device_of(mine: Any) -> VfioPlatformDevice:
    """The ``struct vfio_platform_device`` behind an open device."""
    vdev: VfioPlatformDevice = mine.hypervisor.process.files.fds[mine.device.fd].private_data.device_data
    return vdev


SHARED = VM_SHARED | VM_READ | VM_WRITE
PAGES = 1 << 28  # of a region, in the offset of the file


@pytest.mark.parametrize(("start", "end", "pgoff", "flags"), [
    (0x3000, 0x2000, 0, SHARED),
    (0x2000, 0x3000, 0, VM_READ),
    (0x2000, 0x3000, 2 * PAGES, SHARED),
    (0x2001, 0x3000, 0, SHARED),
    (0x2000, 0x2FFF, 0, SHARED),
    (0x2000, 0x4000, 0, SHARED),
    (0x2000, 0x3000, 1, SHARED),
])
def test_mapping_that_is_refused(start: int, end: int, pgoff: int, flags: int) -> None:
    with owner() as mine, mine.machine.running():
        assert vfio_platform_mmap(device_of(mine), VmAreaStruct(start, end, pgoff, flags)) == -errno.EINVAL


def test_mapping_is_of_the_region_and_no_more() -> None:
    with owner() as mine, mine.machine.running():
        for index, base in ((0, 0x5C050000), (1, 0x5C0B0000)):
            vma = VmAreaStruct(0x2000, 0x3000, index * PAGES, SHARED)
            assert vfio_platform_mmap(device_of(mine), vma) == 0
            assert (vma.vm_pgoff, vma.vm_private_data) == (base >> 12, device_of(mine))


def test_page_of_a_region_is_mapped_at_its_offset() -> None:
    with owner() as mine, mine.machine.running():
        vdev = device_of(mine)
        vdev.regions[0].size = 0x2000
        vma = VmAreaStruct(0x2000, 0x3000, 1, SHARED)
        assert vfio_platform_mmap(vdev, vma) == 0
        assert vma.vm_pgoff == 0x5C051
        vdev.regions[0].size = 0x800
        assert vfio_platform_mmap(vdev, VmAreaStruct(0x2000, 0x2000, 0, SHARED)) == -errno.EINVAL


def test_region_that_may_not_be_read_or_written_is_not_mapped_so() -> None:
    with owner() as mine, mine.machine.running():
        vdev = device_of(mine)
        for flags, refused in ((4 | 1, VM_WRITE), (4 | 2, VM_READ), (1 | 2, 0)):
            vdev.regions[0].flags = flags
            assert vfio_platform_mmap(vdev, VmAreaStruct(0x2000, 0x3000, 0, VM_SHARED | refused)) == -errno.EINVAL
        vdev.regions[0].flags = 4 | 1
        assert vfio_platform_mmap(vdev, VmAreaStruct(0x2000, 0x3000, 0, VM_SHARED | VM_READ)) == 0


@pytest.mark.parametrize(("cmd", "layout", "last"), [
    (VFIO_DEVICE_GET_REGION_INFO, VfioRegionInfo, 1), (VFIO_DEVICE_GET_IRQ_INFO, VfioIrqInfo, 0),
])
def test_index_and_size_of_a_structure_are_checked(cmd: int, layout: Any, last: int) -> None:
    with owner() as mine:
        size = layout.sizeof()
        for argsz, index, rc in ((size, last, 0), (size, last + 1, -errno.EINVAL), (size - 1, last, -errno.EINVAL)):
            got, _ = mine.hypervisor.ioctl(mine.device.fd, cmd, layout(argsz=argsz, index=index).pack())
            assert got == rc, (argsz, index)


def test_eventfd_masks() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        mask, mask_ctx = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_MASK, data=mask.to_bytes(4, "little"))
        with mine.machine.running():
            eventfd_signal(mask_ctx, 1)
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 0
        mine.device.unmask()
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_MASK, data=(-1 & 0xFFFFFFFF).to_bytes(4, "little"))
        assert device_of(mine).irqs[0].mask is None


def test_masking_twice_and_by_a_zero_counts_once_and_not_at_all() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        mine.device.trigger(fd)
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_MASK, data=b"\0")
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, data=b"\0")
        assert (ctx.count, device_of(mine).irqs[0].masked) == (0, False)
        mine.device.mask()
        mine.device.mask()
        mine.device.set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)  # the handler finds it masked
        assert ctx.count == 0
        mine.device.unmask()
        mine.device.unmask()
        mine.machine.registers[0x5C050000].line.set(1)
        mine.machine.run(WAIT_NS)
        assert ctx.count == 1
        assert "Unbalanced" not in mine.machine.dmesg()


@pytest.mark.parametrize("action", [VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_ACTION_TRIGGER])
def test_an_interrupt_is_set_whole(action: int) -> None:
    with owner() as mine:
        for start, count in ((1, 1), (0, 2)):
            header = VfioIrqSet(argsz=20, flags=VFIO_IRQ_SET_DATA_NONE | action, start=start, count=count)
            rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_SET_IRQS, header.pack())
            assert rc == -errno.EINVAL


def test_another_trigger_puts_the_first_eventfd() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        again, other = mine.hypervisor.eventfd()
        held = ctx.kref
        mine.device.trigger(fd)
        assert ctx.kref == held + 1
        mine.device.trigger(again)
        assert (ctx.kref, other.kref) == (held, held + 1)
        mine.device.close()
        assert other.kref == held


def test_eventfd_of_an_interrupt_that_is_taken_is_put_again() -> None:
    with owner() as mine:
        fd, ctx = mine.hypervisor.eventfd()
        held = ctx.kref
        mine.machine.kernel.fault_inject.values["request_irq"] = -errno.EBUSY
        with pytest.raises(OSError) as error:
            mine.device.trigger(fd)
        assert error.value.errno == errno.EBUSY
        assert (ctx.kref, device_of(mine).irqs[0].trigger) == (held, None)


def test_device_is_gone_with_its_references() -> None:
    with owner() as mine:
        vdev, group = device_of(mine), device_of(mine).device.iommu_group
        before = group.kref
        assert (vdev.refcnt, vdev.name, vdev.flags & 4) == (1, "hidma", 4)
        again = mine.group.device(DEVICE)
        assert vdev.refcnt == 2
        again.close()
        mine.device.close()
        assert (vdev.refcnt, vdev.num_irqs, vdev.num_regions) == (0, 0, 0)
        mine.hypervisor.close(mine.group.fd)
        vm.release(mine.machine, DEVICE)
        assert group.kref == before - 2  # of the group of VFIO and of probe
        mine.machine.rmmod("vfio_platform")


def test_data_of_an_interrupt_that_cannot_be_read() -> None:
    with owner() as mine:
        flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER
        header = VfioIrqSet(argsz=24, flags=flags, count=1)
        rc, _ = mine.hypervisor.ioctl(mine.device.fd, VFIO_DEVICE_SET_IRQS, header.pack())
        assert rc == -errno.EFAULT


def test_open_device_holds_the_module() -> None:
    with owner() as mine:
        with pytest.raises(OSError, match="in use: it is held"):
            mine.machine.rmmod("vfio_platform")
        mine.device.close()
        mine.machine.rmmod("vfio_platform")


def test_ports_are_a_region_that_is_neither_read_nor_mapped() -> None:
    with owner() as mine, mine.machine.running():
        vdev = device_of(mine)
        pdev = vdev.opaque
        pdev.resource.append(Resource(0x1000, 0x1FFF, IORESOURCE_IO))
        mine.device.close()
        mine.device = mine.group.device(DEVICE)
        assert mine.device.info().num_regions == 3
        assert (vdev.regions[2].type, vdev.regions[2].flags) == (VFIO_PLATFORM_REGION_TYPE_PIO, 0)
        with pytest.raises(OSError) as error:
            mine.device.read(2, 0, 4)
        assert error.value.errno == errno.EINVAL


def test_group_is_put_when_vfio_refuses_the_device() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, DEVICE)
        vm.release(machine, DEVICE)
        dev = next(d for d in machine.kernel.buses["platform"].devices if d.name == DEVICE)
        held = dev.iommu_group.kref
        machine.kernel.fault_inject.values["vfio_add_group_dev"] = -errno.EBUSY
        with pytest.raises(OSError, match="EBUSY|error -16|-16"):
            vm.assign(machine, DEVICE)
        assert dev.iommu_group.kref == held


@pytest.mark.parametrize("which", [1, 2])
def test_open_without_memory_leaves_nothing_mapped(which: int) -> None:
    with owner() as mine:
        vdev = device_of(mine)
        mine.device.close()
        faults = mine.machine.kernel.fault_inject
        faults.alloc_fails = faults.allocations + which  # the regions, the interrupts
        with pytest.raises(OSError) as error:
            mine.group.device(DEVICE)
        assert error.value.errno == errno.ENOMEM
        assert (vdev.refcnt, vdev.num_regions, vdev.num_irqs) == (0, 0, 0)
        assert mine.group.device(DEVICE).info().num_regions == 2
