# SPDX-License-Identifier: GPL-2.0-only
"""Guests: machines of their own on the host's channels, without an exit, beside each other and the host, and however they end."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

import hidma
from hidma import firmware, vm
from hidma.hw.line import Line
from hidma.hw.registers import CTRLSTS, IRQ_EN, IRQ_STAT, READ_PTR, RING_LEN, RING_LOW, WRITE_PTR
from hidma.linux import io, sched
from hidma.linux.interrupt import free_irq, request_irq
from hidma.machine import _mode

MEMORY = 4 << 20
PAGE = 4096


@pytest.fixture
def host() -> Iterator[hidma.Machine]:
    """A host with three channels given to VFIO."""
    with hidma.boot() as machine:
        for number in range(3):
            vm.assign(machine, f"hidma.{number}")
        yield machine


def copy(machine: hidma.Machine, pattern: bytes, count: int = 1) -> None:
    """Copies on the first free channel of ``machine``; the data are right."""
    chan = machine.dma.request_channel()
    source, dest = machine.alloc(PAGE), machine.alloc(PAGE)
    source[:] = pattern * (PAGE // len(pattern))
    for _ in range(count):
        chan.memcpy(dest, source, PAGE).wait()
    assert bytes(dest[:]) == bytes(source[:])
    chan.release()


# --- what a guest is ------------------------------------------------------------------------------------------------------


def test_guest_copies_on_its_channel(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        assert dict(guest.devices())["c000000.hidma.0"] == "hidma"
        copy(guest, b"abcd")
        assert guest.kernel is not host.kernel
        assert "HI-DMA engine driver registration complete" in guest.dmesg()
        assert guest.sysfs["/sys/bus/platform/devices/c000000.hidma.0/chid"] == "0\n"


def test_channel_of_an_acpi_host_goes_to_a_guest_with_a_device_tree() -> None:
    with hidma.boot("acpi") as machine:
        machine.modprobe("QCOM8061")
        vm.assign(machine, "QCOM8061:00")
        with vm.Guest(machine, memory=MEMORY, channels=["QCOM8061:00"]) as guest:
            copy(guest, b"acpi")
            assert guest.exits == 0
        assert machine.kernel.log[-1].text == "HIDMA channel reset"


def test_tree_is_what_qemu_generates(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.1", "hidma.0"], cpus=2) as guest:
        tree = firmware.parse(guest.blob)
        bus = tree.node("/platform-bus@c000000")
        assert bus is not None
        assert bus.compatible == ("qemu,platform", "simple-bus")
        assert [node.name for node in bus.children] == ["hidma.1@0", "hidma.0@2000"]
        for node in bus.children:
            assert sorted(node.properties) == ["compatible", "interrupts", "reg"]
            assert node.compatible == ("qcom,hidma-1.0",)
        assert bus.children[0].cells("reg") == [0, 0x1000, 0x1000, 0x1000]
        assert [node.cells("interrupts") for node in bus.children] == [[0, 112, 4], [0, 113, 4]]
        memory = tree.node("/memory@40000000")
        assert memory is not None and memory.cells("reg") == [0, 0x40000000, 0, MEMORY]
        assert len(guest.kernel.cpus) == 2
        # the first channel of the tree is the second one of the core: chid says so
        assert guest.sysfs["/sys/bus/platform/devices/c000000.hidma.1/chid"] == "1\n"


def test_guest_has_only_its_memory(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        assert (guest.memory.base, guest.memory.size) == (0x40000000, MEMORY)
        assert guest.hypervisor.process.mm.locked_vm == MEMORY // PAGE
        chan = guest.dma.request_channel()
        source = guest.alloc(PAGE)
        with pytest.raises(OSError) as error:
            chan.memcpy(0x40000000 + MEMORY, source.address, PAGE).wait()
        assert error.value.errno == errno.EIO
        stream = host.registers[0x5C050000].stream
        assert stream.faults == 1


def test_guest_without_channels_is_a_machine_all_the_same(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY) as guest:
        assert "Linux version" in guest.dmesg()
        with pytest.raises(OSError):
            guest.dma.request_channel()


def test_guest_takes_parameters_of_the_driver(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], params={"hidma": {"nr_desc_prm": "20"}}) as guest:
        assert guest.sysfs["/sys/module/hdma/parameters/nr_desc_prm"] == "20\n"
        chan = guest.dma.request_channel()
        buffer = guest.alloc(PAGE)
        transfers = [chan.memcpy(buffer.address, buffer.address, 64) for _ in range(20)]
        for transfer in transfers:
            transfer.wait()


# --- nothing traps --------------------------------------------------------------------------------------------------------


def run_transfers(guest: vm.Guest, count: int) -> None:
    """``count`` copies of 64 bytes, ten at a time."""
    chan = guest.dma.request_channel()
    source, dest = guest.alloc(PAGE), guest.alloc(PAGE)
    for _ in range(count // 10):
        batch = [chan.memcpy(dest.address, source.address, 64) for _ in range(10)]
        for transfer in batch:
            transfer.wait()
    assert guest.ledger["completed"] == count


def check_no_exits(host: hidma.Machine, count: int) -> None:
    """A run of ``count`` copies without an exit; interrupts are forwarded and unmasked."""
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        before = guest.interrupts_forwarded
        run_transfers(guest, count)
        assert guest.exits == 0
        forwarded = guest.interrupts_forwarded - before
        assert 0 < forwarded <= count
        guest.run(1_000_000)
        assert guest.unmasks == guest.interrupts_forwarded
        taken = sum(guest.kernel.gic.descs[144].counts.values())
        assert taken == guest.interrupts_forwarded


def test_no_access_of_a_guest_is_an_exit(host: hidma.Machine) -> None:
    check_no_exits(host, 2_000)


@pytest.mark.slow
def test_a_hundred_thousand_transfers_without_an_exit(host: hidma.Machine) -> None:
    check_no_exits(host, 100_000 if _mode.compiled() else 10_000)


def test_pages_that_are_not_mapped_make_exits(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], trap=True) as guest:
        run_transfers(guest, 100)
        assert guest.exits > 100


def test_access_of_somebody_else_is_counted_as_an_exit(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        guest.owned[0].device.read(0, 0x28, 4)
        assert guest.exits == 1


def test_interrupt_that_nobody_takes_stays_up_until_somebody_does(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], modules=False) as guest:
        line = host.registers[0x5C050000].line
        line.set(1)
        host.run(100_000)
        assert guest.interrupts_forwarded == 1 and guest.unmasks == 0
        seen = []

        def handler(irq: int, dev: object) -> int:
            seen.append(irq)
            line.set(0)
            return 1

        with guest.running():
            request_irq(144, handler, 0, "late", object())
        guest.run(100_000)
        assert seen == [144]
        assert guest.unmasks == 1


def test_interrupt_whose_driver_went_comes_to_the_next_one(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], modules=False) as guest:
        line = host.registers[0x5C050000].line
        seen: list[str] = []

        def first(irq: int, dev: object) -> int:
            seen.append("first")
            return 1

        def second(irq: int, dev: object) -> int:
            seen.append("second")
            line.set(0)
            return 1

        with guest.running():
            assert request_irq(144, first, 0, "first", first) == 0
            flags = sched.local_irq_save()
            line.set(1)
            sched.spend(100_000)
            assert guest.interrupts_forwarded == 1
            free_irq(144, first)
            sched.local_irq_restore(flags)
            guest.settle()
            assert request_irq(144, second, 0, "second", second) == 0
        guest.run(1_000_000)
        assert seen == ["second"]
        assert guest.unmasks == 1


def test_interrupt_has_not_ended_while_its_handler_runs_on_another_cpu(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], modules=False, cpus=2) as guest:
        line = host.registers[0x5C050000].line
        other = Line(150, "other")
        guest.kernel.gic.wire(150, other)
        unmasks: list[int] = []

        def slow(irq: int, dev: object) -> int:
            line.set(0)
            for _ in range(100):
                other.pulse()
                sched.spend(1000)
            unmasks.append(guest.unmasks)
            return 1

        with guest.running():
            assert request_irq(144, slow, 0, "slow", slow) == 0
            assert request_irq(150, lambda irq, dev: 1, 0, "other", other) == 0
        line.set(1)
        guest.run(1_000_000)
        assert guest.kernel.gic.descs[150].counts
        assert unmasks == [0]
        assert guest.unmasks == 1


# --- several at once ------------------------------------------------------------------------------------------------------


def test_two_guests_and_the_host_work_at_the_same_time(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], name="one") as one, \
            vm.Guest(host, memory=MEMORY, channels=["hidma.1"], name="two") as two:
        begun = []
        for machine, pattern in ((one, b"1111"), (two, b"2222"), (host, b"hhhh")):
            chan = machine.dma.request_channel()
            source, dest = machine.alloc(0x10000), machine.alloc(8 * 0x10000)
            source[:] = pattern * (0x10000 // 4)
            transfers = [chan.memcpy(dest.address + 0x10000 * i, source.address, 0x10000) for i in range(8)]
            begun.append((machine, pattern, dest, transfers))
        start = host.now
        for _, pattern, dest, transfers in begun:
            for transfer in transfers:
                transfer.wait()
            assert bytes(dest[:]) == pattern * (8 * 0x10000 // 4)
        # three times 512 KiB at 12.8 bytes per ns: they shared the bus, nobody waited for the others to end
        assert host.now - start < 400_000


def test_host_sets_weight_and_priority_of_a_guest_by_chid(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], name="one") as one, \
            vm.Guest(host, memory=MEMORY, channels=["hidma.1"], name="two") as two:
        base = "/sys/devices/platform/f9984000.hidma-mgmt/chanops/chan"
        ids = [guest.sysfs[f"/sys/bus/platform/devices/c000000.hidma.{n}/chid"].strip() for n, guest in enumerate((one, two))]
        assert ids == ["0", "1"]
        host.sysfs[f"{base}{ids[0]}/weight"] = "15"
        host.sysfs[f"{base}{ids[1]}/weight"] = "5"
        bursts: list[tuple[int, str, int]] = []
        host.watch(lambda event: bursts.append((event[8], event[1], event[5])) if event[0] == "burst" else None)
        work = []
        for guest in (one, two):
            chan = guest.dma.request_channel()
            buffer = guest.alloc(0x100000)
            work += [chan.memcpy(buffer.address, buffer.address + 0x80000, 0x80000) for _ in range(9)]
        for transfer in work:
            transfer.wait()
        host.watch(None)
        names = sorted({name for _, name, _ in bursts})
        assert len(names) == 2
        spans = [[time for time, name, _ in bursts if name == each] for each in names]
        both = max(span[0] for span in spans), min(span[-1] for span in spans)
        moved = [sum(size for time, name, size in bursts if name == each and both[0] <= time <= both[1]) for each in names]
        assert moved[0] / moved[1] == pytest.approx(3, rel=0.1)


# --- how it ends ----------------------------------------------------------------------------------------------------------


def traces_of(hardware: hidma.hw.channel.Channel) -> list[int]:
    """What a channel would still know of its last owner."""
    return [block.peek(offset) for block in (hardware.trca, hardware.evca)
            for offset in (RING_LOW, RING_LEN, READ_PTR, WRITE_PTR, IRQ_EN)] + [hardware.evca.peek(IRQ_STAT) & ~0x8000]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["clean", "killed", "in the middle of a transfer", "stopped by an Oops"])
def test_next_guest_finds_nothing_of_the_first(host: hidma.Machine, how: str) -> None:
    hardware = host.registers[0x5C050000]
    guest = vm.Guest(host, memory=MEMORY, channels=["hidma.0"])
    chan = guest.dma.request_channel()
    secret = guest.alloc(0x10000)
    secret[:] = b"SECRET!!" * (0x10000 // 8)
    for _ in range(8):
        chan.memcpy(secret.address, secret.address, 0x10000)
    if how == "clean":
        guest.run(10_000_000)
        chan.release()
        guest.shutdown()
    elif how == "killed":
        guest.run(10_000_000)
        guest.kill()
    elif how == "in the middle of a transfer":
        guest.kill()
    else:
        with pytest.raises(hidma.KernelOops), guest.calling():
            io.readl(16)
        guest.kill()
    assert dict(host.devices())["hidma.0"] == "vfio-platform"
    assert host.kernel.log[-1].text == "HIDMA channel reset"
    assert traces_of(hardware) == [0] * 11
    assert hardware.trca.peek(CTRLSTS) >> 8 & 0xFF == hardware.evca.peek(CTRLSTS) >> 8 & 0xFF == 0
    assert not hardware.line.level
    before = bytes(host.memory.view)
    host.run(10_000_000)
    assert bytes(host.memory.view) == before  # nothing is on its way any more
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"], modules=False) as second:
        assert b"SECRET!!" not in bytes(second.ram)
        assert second.interrupts_forwarded == 0
        second.modprobe("hidma")
        copy(second, b"next")
        assert second.interrupts_forwarded > 0


def test_guest_that_ends_gives_memory_and_pins_back(host: hidma.Machine) -> None:
    free = sum(room for _, room in host.kernel.dma_ops.pages.free)
    threads = len(host.kernel.threads)
    guest = vm.Guest(host, memory=MEMORY, channels=["hidma.0"])
    assert guest in host.guests
    guest.close()
    guest.close()
    assert host.guests == []
    assert sum(room for _, room in host.kernel.dma_ops.pages.free) == free
    assert len(host.kernel.threads) == threads
    assert guest.hypervisor.process.mm.locked_vm == 0


def test_oops_of_a_guest_leaves_the_others_alone(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as one, \
            vm.Guest(host, memory=MEMORY, channels=["hidma.1"]) as two:
        with pytest.raises(hidma.KernelOops), one.calling():
            io.readl(16)
        assert one.kernel.dead is not None and two.kernel.dead is None and host.kernel.dead is None
        copy(two, b"good")
        copy(host, b"host")


def test_host_that_closes_closes_its_guests() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        guest = vm.Guest(machine, memory=MEMORY, channels=["hidma.0"])
    assert guest.closed


def test_channel_comes_back_to_the_host(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        copy(guest, b"away")
        with pytest.raises(OSError) as error:
            vm.release(host, "hidma.0")
        assert error.value.errno == errno.EDEADLK
    vm.release(host, "hidma.0")
    copy(host, b"back")


def test_stuck_channel_of_a_dead_guest_reaches_nothing() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        guest = vm.Guest(machine, memory=MEMORY, channels=["hidma.0"])
        chan = guest.dma.request_channel()
        buffer = guest.alloc(0x10000)
        for _ in range(8):
            chan.memcpy(buffer.address, buffer.address, 0x10000)
        machine.inject("reset-stuck:trca@chan0")
        guest.kill()
        before = bytes(machine.memory.view)
        machine.run(10_000_000)
        assert bytes(machine.memory.view) == before


# --- what cannot be ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "code", "sentence"), [
    ({"channels": ["hidma.9"]}, errno.ENODEV, "there is no device 'hidma.9' on this board; there are psci"),
    ({"channels": ["hidma.5"]}, errno.ENODEV, "hidma.5 is with the driver hidma"),
    ({"channels": "hidma.0"}, errno.EINVAL, "channels are a list"),
    ({"channels": ["hidma.0", "hidma.0"]}, errno.EINVAL, "different devices"),
    ({"memory": 5000}, errno.EINVAL, "1 MiB of RAM or more"),
    ({"memory": MEMORY + 1}, errno.EINVAL, "in pages of 4096"),
    ({"memory": True}, errno.EINVAL, "1 MiB of RAM or more"),
    ({"memory": 1 << 30}, errno.ENOMEM, "the host has no 1073741824 bytes in one piece free"),
    ({"channels": ["hidma.0"], "memlock": PAGE}, errno.ENOMEM, "cannot be mapped"),
])
def test_guest_that_cannot_be(host: hidma.Machine, arguments: dict[str, object], code: int, sentence: str) -> None:
    free = sum(room for _, room in host.kernel.dma_ops.pages.free)
    with pytest.raises(OSError) as error:
        vm.Guest(host, **({"memory": MEMORY} | arguments))  # type: ignore[arg-type]
    assert error.value.errno == code and sentence in str(error.value)
    assert sum(room for _, room in host.kernel.dma_ops.pages.free) == free
    assert host.guests == []
    copy(host, b"fine")


def test_channel_of_another_guest_is_busy(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        with pytest.raises(OSError) as error:
            vm.Guest(host, memory=MEMORY, channels=["hidma.0"], name="thief")
        assert error.value.errno == errno.EBUSY
        copy(guest, b"mine")


def test_guests_have_no_guests(host: hidma.Machine) -> None:
    with vm.Guest(host, memory=MEMORY) as guest, pytest.raises(OSError, match="guests of guests"):
        vm.Guest(guest, memory=MEMORY)
