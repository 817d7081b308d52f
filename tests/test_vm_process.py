# SPDX-License-Identifier: GPL-2.0-only
"""Guests in processes of their own: the same data and statuses as guests in this one, no exits, and nothing left behind however
they end. These tests drive other processes: real time passes in them, and nothing depends on how much.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import hidma
from hidma import vm
from hidma.hw.registers import (
    CTRLSTS,
    DOORBELL,
    INTCTRL,
    IRQ_CLR,
    IRQ_EN,
    IRQ_STAT,
    READ_PTR,
    RING_LEN,
    RING_LOW,
    WRITE_PTR,
)
from hidma.machine.client import TransferError

MEMORY = 4 << 20
END = 0x40000000 + MEMORY
PAGE = 4096
ROOM = 0x10000
TRCA = 0x5C050000


@pytest.fixture
def host() -> Iterator[hidma.Machine]:
    """A host with three channels given to VFIO."""
    with hidma.boot() as machine:
        for number in range(3):
            vm.assign(machine, f"hidma.{number}")
        yield machine


def jobs_of(seed: int) -> list[list[tuple[int, int, int]]]:
    """Jobs of up to 10 copies, as offsets in a source and a destination; -1 is a source where no RAM is."""
    rng = random.Random(seed)
    jobs = []
    for _ in range(6):
        job = []
        for _ in range(rng.randint(1, 10)):
            length = rng.choice([1, 3, 64, rng.randint(1, 20000)])
            job.append((rng.randrange(ROOM - length), rng.randrange(ROOM - length), length))
        jobs.append(job)
    if seed % 2:
        jobs[3] = [(0, -1, 64)]  # alone: what else V14 gives up with it depends on how far the hardware is
    return jobs


def addresses(job: list[tuple[int, int, int]], dest: int, source: int) -> list[tuple[int, int, int]]:
    """``job`` by addresses of the guest."""
    return [(dest + to, END if start < 0 else source + start, length) for to, start, length in job]


def run_here(seed: int) -> tuple[list[list[tuple[str, int]]], bytes]:
    """The jobs in a guest of this process: statuses, and the destination afterwards."""
    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        with vm.Guest(machine, memory=MEMORY, channels=["hidma.0"]) as guest:
            source, dest = guest.alloc(ROOM), guest.alloc(ROOM)
            source[:] = random.Random(seed).randbytes(ROOM)
            ends = []
            for job in jobs_of(seed):
                chan = guest.dma.request_channel()
                transfers = [chan.memcpy(*each) for each in addresses(job, dest.address, source.address)]
                for transfer in transfers:
                    try:
                        transfer.wait()
                    except TransferError:
                        assert seed % 2
                ends.append([(transfer.driver, transfer.called) for transfer in transfers])
                chan.release()
            return ends, bytes(dest)


def copy(guest: vm.GuestProcess, pattern: bytes, count: int = 1) -> None:
    """Copies in ``guest``; the data are right."""
    source, dest = guest.alloc(PAGE), guest.alloc(PAGE)
    source.view[:] = pattern * (PAGE // len(pattern))
    assert guest.copy([(dest.address, source.address, PAGE)] * count) == [("DMA_COMPLETE", 1)] * count
    assert bytes(dest) == bytes(source)


# --- the same as in this process ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_same_data_and_statuses_as_a_guest_in_this_process(host: hidma.Machine, seed: int) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        source, dest = guest.alloc(ROOM), guest.alloc(ROOM)
        source.view[:] = random.Random(seed).randbytes(ROOM)
        ends = [guest.copy(addresses(job, dest.address, source.address)) for job in jobs_of(seed)]
        assert (ends, bytes(dest)) == run_here(seed)
        assert guest.exits == 0


def test_guest_is_another_process_with_a_kernel_of_its_own(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.1"], params={"hidma": {"nr_desc_prm": "20"}}) as guest:
        assert guest.pid not in (0, os.getpid())
        assert Path(f"/proc/{guest.pid}/status").read_text().split("PPid:")[1].split()[0] == str(os.getpid())
        assert "HI-DMA engine driver registration complete" in guest.dmesg()
        assert guest.read("/sys/bus/platform/devices/c000000.hidma.1/chid") == "1\n"
        assert guest.read("/sys/module/hdma/parameters/nr_desc_prm") == "20\n"
        assert guest.hypervisor.process.mm.locked_vm == MEMORY // PAGE
        copy(guest, b"abcd", 50)


def test_no_access_is_an_exit_and_interrupts_are_counted(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        copy(guest, b"work", 2000)
        guest.run(1_000_000)
        assert guest.exits == 0
        assert 0 < guest.interrupts_forwarded <= 2000 + 10
        assert guest.unmasks == guest.interrupts_forwarded
        guest.owned[0].device.read(0, 0x28, 4)
        assert guest.exits == 1  # that was the host


def test_two_guests_in_processes_one_here_and_the_host_at_the_same_time() -> None:
    with hidma.boot() as machine:
        for number in range(3):
            vm.assign(machine, f"hidma.{number}")
        with vm.GuestProcess(machine, memory=MEMORY, channels=["hidma.0"], name="one") as one, \
                vm.GuestProcess(machine, memory=MEMORY, channels=["hidma.1"], name="two") as two, \
                vm.Guest(machine, memory=MEMORY, channels=["hidma.2"], name="three") as three:
            memory = []
            for guest, pattern in ((one, b"1111"), (two, b"2222")):
                source, dest = guest.alloc(ROOM), guest.alloc(ROOM)
                source.view[:] = pattern * (ROOM // 4)
                memory.append((source, dest))
                guest.begin([(dest.address, source.address, ROOM)] * 30)
            begun = []
            for other, pattern in ((three, b"3333"), (machine, b"hhhh")):
                chan = other.dma.request_channel()
                here, there = other.alloc(ROOM), other.alloc(ROOM)
                here[:] = pattern * (ROOM // 4)
                begun.append((pattern, there, [chan.memcpy(there.address, here.address, ROOM) for _ in range(9)]))
            assert one.finish() == two.finish() == [("DMA_COMPLETE", 1)] * 30
            for source, dest in memory:
                assert bytes(dest) == bytes(source)
            for pattern, there, transfers in begun:
                for transfer in transfers:
                    transfer.wait()
                assert bytes(there) == pattern * (ROOM // 4)
            assert one.exits == two.exits == three.exits == 0


def test_lost_interrupts_are_lost_as_in_this_process(host: hidma.Machine) -> None:
    ends = []
    host.inject("irq-lost:*@chan0")
    with vm.Guest(host, memory=MEMORY, channels=["hidma.0"]) as here:
        with here.dma.request_channel() as chan:
            transfers = [chan.memcpy(0x40100000, 0x40200000, 64) for _ in range(3)]
            for transfer in transfers:
                with pytest.raises(TransferError):
                    transfer.wait()
            ends = [(transfer.driver, transfer.called) for transfer in transfers]
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        assert guest.copy([(0x40100000, 0x40200000, 64)] * 3) == ends == [("DMA_IN_PROGRESS", 0)] * 3
        assert guest.interrupts_forwarded == 0


def test_guest_stands_still_while_nobody_runs_it(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        source = guest.alloc(PAGE)
        before = guest.dmesg()
        guest.begin([(source.address, source.address, 64)] * 1000)
        looks, done = guest.looks, host.registers[TRCA].tre_done
        host.run(1_000_000)
        assert (guest.looks, host.registers[TRCA].tre_done) == (looks, done)
        assert guest.finish() == [("DMA_COMPLETE", 1)] * 1000  # however long it had to wait, no time-out was over
        assert guest.dmesg() == before


# --- how it ends ----------------------------------------------------------------------------------------------------------


def gone(pid: int) -> bool:
    """Whether there is no such process, or soon not."""
    for _ in range(2000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("how", ["clean", "killed", "killed in the middle of a job", "dies in the middle of a job"])
def test_next_guest_finds_nothing_of_the_first(host: hidma.Machine, how: str) -> None:
    hardware = host.registers[TRCA]
    files = len(os.listdir("/proc/self/fd"))
    free = sum(room for _, room in host.kernel.dma_ops.pages.free)
    guest = vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"])
    pid, resets = guest.pid, hardware.trca.resets
    assert guest in host.guests
    secret, dest = guest.alloc(ROOM), guest.alloc(ROOM)
    secret.view[:] = b"SECRET!!" * (ROOM // 8)
    job = [(dest.address, secret.address, ROOM)] * 2000
    if how == "clean":
        guest.copy(job[:5])
        guest.shutdown()
    else:
        guest.copy(job[:5])
        done = hardware.tre_done
        if "middle" in how:
            guest.begin(job)
            while hardware.tre_done < done + 20 or not hardware.flight:
                guest.run(1_000)
            assert hardware.tre_done < done + 2000
        if how.startswith("dies"):
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(OSError, match=r"the process of the guest 'guest' was ended by signal 9 \(SIGKILL\); VFIO") as error:
                guest.finish()
            assert error.value.errno == errno.ESRCH
        else:
            guest.kill()
    assert not guest.alive and guest.pid == 0 and host.guests == []
    assert gone(pid)
    assert dict(host.devices())["hidma.0"] == "vfio-platform"
    assert host.kernel.log[-1].text == "HIDMA channel reset"
    assert hardware.trca.resets > resets
    for block in (hardware.trca, hardware.evca):
        assert [block.peek(offset) for offset in (RING_LOW, RING_LEN, READ_PTR, WRITE_PTR, DOORBELL)] == [0] * 5
        assert block.peek(CTRLSTS) >> 8 & 0xFF == 0 and not block.watched
    assert [hardware.evca.peek(offset) for offset in (IRQ_EN, IRQ_CLR, INTCTRL)] == [0] * 3
    assert hardware.evca.peek(IRQ_STAT) & ~0x8000 == 0 and not hardware.line.level
    assert b"SECRET!!" not in bytes(host.memory.view)
    assert len(os.listdir("/proc/self/fd")) == files
    assert sum(room for _, room in host.kernel.dma_ops.pages.free) == free
    before = bytes(host.memory.view)
    host.run(10_000_000)
    assert bytes(host.memory.view) == before  # nothing is on its way any more
    with pytest.raises(OSError):
        guest.run(1)
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"], modules=False) as second:
        assert bytes(second.ram) == bytes(MEMORY)
        assert second.interrupts_forwarded == 0
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as third:
        copy(third, b"next")
    vm.release(host, "hidma.0")
    chan = host.dma.request_channel()
    buffer = host.alloc(2 * PAGE)
    chan.memcpy(buffer.address, buffer.address + PAGE, PAGE).wait()  # the host has it as it was


def test_guest_that_dies_does_not_disturb_another(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"], name="one") as one, \
            vm.GuestProcess(host, memory=MEMORY, channels=["hidma.1"], name="two") as two:
        os.kill(one.pid, signal.SIGKILL)
        assert gone(one.pid)
        copy(two, b"good", 20)
        assert not one.alive and one not in host.guests
        with pytest.raises(OSError, match="the process of the guest 'one' was ended by signal 9"):
            one.dmesg()


def test_oops_of_a_guest_is_its_own(host: hidma.Machine) -> None:
    hardware = host.registers[TRCA]
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        copy(guest, b"fine")
        # after the next event WRITE_PTR says the ring's size: V14's handler never ends (row 37)
        hardware.wrong_pointer, hardware.wrong_at = 176, hardware.evres + 1
        host.inject("irq-late:1ms:*@chan0")  # until it is on the page
        with pytest.raises(hidma.KernelOops, match="soft lockup") as oops:
            copy(guest, b"more")
        assert oops.value.row == 37 and oops.value.kernel == "guest"
        assert "Internal error: Oops" in guest.dmesg()
        assert guest.alive and host.kernel.dead is None
    assert dict(host.devices())["hidma.0"] == "vfio-platform"
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as second:
        copy(second, b"next")


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"to": 2}\n', b'{"to": 2}\n[]\n', b'{"to": 2, "error": 7}\n', b"\xff\n", b"5\n"])
def test_guest_whose_words_make_no_sense_is_killed(host: hidma.Machine, said: bytes) -> None:
    guest = vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"])
    pid = guest.pid
    guest.words.feed(said)  # before it can answer
    with pytest.raises(OSError, match="said what makes no sense, and was killed"):
        guest.dmesg()
    assert not guest.alive and gone(pid)
    assert dict(host.devices())["hidma.0"] == "vfio-platform"


def test_guest_cannot_shrink_what_is_shared_nor_move_the_hosts_time(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        for pages in guest.shared:
            with pytest.raises(PermissionError):
                os.ftruncate(pages.fd, 0)
        assert guest.time is not None
        with pytest.raises(PermissionError):
            mmap.mmap(guest.time.fd, PAGE)


@pytest.mark.parametrize("seed", range(2))
def test_pages_full_of_anything_leave_the_others_alone(host: hidma.Machine, seed: int) -> None:
    rng = random.Random(seed)
    hardware = host.registers[TRCA]
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"], modules=False, name="hostile") as hostile, \
            vm.GuestProcess(host, memory=MEMORY, channels=["hidma.1"], name="good") as good:
        pages = [block.view.cast("I") for block in (hardware.trca, hardware.evca)]
        for _ in range(2000):
            rng.choice(pages)[rng.choice([rng.randrange(1024), rng.choice(range(0, 0x120, 4)) >> 2])] = rng.choice(
                [rng.getrandbits(32), rng.getrandbits(3) << 16, 32 * rng.getrandbits(4), 0x40000000])
            hostile.run(1_000)
        copy(good, b"good", 20)
        for page in pages:
            page.release()
    assert hardware.trca.peek(CTRLSTS) >> 8 & 0xFF == 0
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as second:
        copy(second, b"next")


def test_guest_does_not_outlive_the_process_of_its_host() -> None:
    program = ("import os, sys, hidma, time\nfrom hidma import vm\nm = hidma.boot()\nvm.assign(m, 'hidma.0')\n"
               "g = vm.GuestProcess(m, memory=4 << 20, channels=['hidma.0'])\nprint(g.pid, flush=True)\ntime.sleep(600)\n")
    place = os.pathsep.join([str(Path(hidma.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"PYTHONPATH": place}) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not Path(f"/proc/{pid}/status").read_text().count("zombie")
        parent.kill()
        parent.wait()
        assert gone(pid)


def test_host_that_closes_closes_its_guests() -> None:
    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        guest = vm.GuestProcess(machine, memory=MEMORY, channels=["hidma.0"])
        pid = guest.pid
    assert not guest.alive and gone(pid)
    guest.close()


# --- what cannot be ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "code", "sentence"), [
    ({"channels": ["hidma.9"]}, errno.ENODEV, "there is no device 'hidma.9' on this board"),
    ({"channels": ["hidma.5"]}, errno.ENODEV, "hidma.5 is with the driver hidma"),
    ({"channels": "hidma.0"}, errno.EINVAL, "channels are a list"),
    ({"memory": 5000}, errno.EINVAL, "1 MiB of RAM or more"),
    ({"channels": ["hidma.0"], "memlock": PAGE}, errno.ENOMEM, "cannot be mapped"),
    ({"params": {"hidma": {"nr_desc_prm": "many"}}, "channels": ["hidma.0"]}, errno.EINVAL, "module hdma could not be loaded"),
])
def test_guest_that_cannot_be(host: hidma.Machine, arguments: dict[str, object], code: int, sentence: str) -> None:
    free = sum(room for _, room in host.kernel.dma_ops.pages.free)
    files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as error:
        vm.GuestProcess(host, **({"memory": MEMORY} | arguments))  # type: ignore[arg-type]
    assert error.value.errno == code and sentence in str(error.value)
    assert sum(room for _, room in host.kernel.dma_ops.pages.free) == free
    assert len(os.listdir("/proc/self/fd")) == files
    assert host.guests == []


def test_mistakes_are_sentences(host: hidma.Machine) -> None:
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        with pytest.raises(OSError, match="a buffer has at least one byte"):
            guest.alloc(0)
        with pytest.raises(OSError, match="no 8388608 bytes in one piece are free"):
            guest.alloc(8 << 20)
        with pytest.raises(OSError, match="there is no 'nothing' in /sys"):
            guest.read("/sys/nothing")
        with pytest.raises(OSError, match="copy 1 is three numbers"):
            guest.begin([(0, 0, 1), (0, 0)])  # type: ignore[list-item]
        with pytest.raises(OSError, match="copy 0 has 64-bit addresses and 1 to 4294967295 bytes"):
            guest.begin([(0, 0, 0)])
        with pytest.raises(OSError, match="no job was begun"):
            guest.finish()
        with pytest.raises(OSError, match="time goes forward"):
            guest.run(-1)
        guest.begin([(0x40100000, 0x40200000, 64)])
        with pytest.raises(OSError, match="in the middle of a job; finish"):
            guest.dmesg()
        assert guest.finish() == [("DMA_COMPLETE", 1)]
        guest.shutdown()
        with pytest.raises(OSError, match="the guest 'guest' is off"):
            guest.dmesg()
    with vm.GuestProcess(host, memory=MEMORY) as idle, pytest.raises(OSError, match="the guest has no free DMA channel"):
        idle.copy([(0x40100000, 0x40200000, 64)])
