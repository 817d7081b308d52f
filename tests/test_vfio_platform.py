# SPDX-License-Identifier: GPL-2.0-only
"""VFIO platform on a booted machine: what the recorded runs leave out (interrupts, the binder, what goes wrong)."""

from __future__ import annotations

import errno

import pytest
from vfio_rig import DEVICE, owner

import hidma
from hidma import vm
from hidma.linux.eventfd import eventfd_signal
from hidma.linux.kmod import set_modprobe
from hidma.linux.vfio import (
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_SET_IRQS,
    VFIO_IRQ_INFO_AUTOMASKED,
    VFIO_IRQ_INFO_EVENTFD,
    VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_NONE,
    VfioIrqSet,
)

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

