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
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import shared_files

import hidma
from hidma import vm
from hidma.hw.channel import Channel
from hidma.hw.registers import (
    CHIDX,
    CTRLSTS,
    DOORBELL,
    ENABLE,
    INTCTRL,
    IRQ_CLR,
    IRQ_EN,
    IRQ_STAT,
    READ_PTR,
    RESET,
    RING_LEN,
    RING_LOW,
    WRITE_PTR,
)
from hidma.machine.client import TransferError
from hidma.vm import process, shared

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


@pytest.mark.slow
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


@pytest.mark.parametrize("said", [
    b"nonsense\n", b'{"to": 2}\n', b'{"to": 2}\n[]\n', b'{"to": 2, "error": 7}\n', b"\xff\n", b"5\n", b"[" * 100000 + b"\n",
    b'{"to": 2, "error": [1e999, ""]}\n', b'{"to": 2, "done": 5}\n', b'{"to": 2, "oops": ["x", [], ""]}\n',
    b'{"to": 2, "oops": ["x", 1, []]}\n', b"1" * 5000 + b"\n"], ids=lambda said: said[:30])
def test_guest_whose_words_make_no_sense_is_killed(host: hidma.Machine, said: bytes) -> None:
    guest = vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"])
    pid = guest.pid
    guest.words.feed(said)  # before it can answer
    with pytest.raises(OSError, match="said what makes no sense, and was killed"):
        guest.dmesg()
    assert not guest.alive and gone(pid)
    assert dict(host.devices())["hidma.0"] == "vfio-platform"


@pytest.mark.parametrize("said", ['"x"', "0", "1073741823", str(END), "1e300"])
def test_address_that_is_none_is_no_memory(host: hidma.Machine, said: str) -> None:
    guest = vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"])
    guest.words.feed(b'{"to": 2, "done": %s}\n' % said.encode())
    with pytest.raises(OSError, match="said what makes no sense, and was killed"):
        guest.alloc(PAGE)


@pytest.mark.parametrize("said", ["[[1]]", "[5]", '[["DMA_COMPLETE", "x"]]', "{}"])
def test_statuses_that_are_none_are_refused(host: hidma.Machine, said: str) -> None:
    guest = vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"])
    guest.begin([(0x40000000, 0x40001000, 64)])
    guest.words.feed(b'{"to": 2, "done": %s}\n' % said.encode())
    with pytest.raises(OSError, match="said what makes no sense, and was killed"):
        guest.finish()
    assert not guest.alive and guest.job == 0


def test_guest_that_never_stops_talking_is_not_listened_to_for_ever(host: hidma.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST", 1 << 16)
    monkeypatch.setattr(shared, "LONGEST", 1 << 16)
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as guest:
        assert guest.link is not None
        guest.link.close()
        guest.link, theirs = socket.socketpair()
        guest.link.setblocking(False)
        theirs.setblocking(False)
        with theirs:
            for _ in range(100):
                with suppress(BlockingIOError):
                    theirs.send(b"x" * 65536)
                guest.run(1_000)
            assert len(guest.words.unread) <= 3 << 16
            with pytest.raises(OSError, match="said what makes no sense"):
                guest.dmesg()


class Doomed(vm.GuestProcess):
    """A guest whose process gets a signal when the host listens to it for the time ``moment``."""

    moment, fatal, listened = 0, signal.SIGKILL, 0

    def _talk(self) -> int:
        self.listened += 1
        if self.listened == self.moment and self.process is not None:
            os.kill(self.process.pid, self.fatal)
        return super()._talk()


FATAL = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT, signal.SIGRTMIN + 5)


@pytest.mark.slow
def test_guests_killed_at_random_moments_leave_nothing(host: hidma.Machine) -> None:
    """While they start, boot, compute or copy: HIDMA_KILLS of them, 10 by default."""
    rng = random.Random(1)
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.1"], name="good") as good:
        copy(good, b"warm")
        free = sum(room for _, room in host.kernel.dma_ops.pages.free)
        files, names = len(os.listdir("/proc/self/fd")), shared_files()
        died = 0
        for number in range(int(os.environ.get("HIDMA_KILLS", 10))):
            # half of them while they boot
            Doomed.moment = rng.randint(1, 40) if number % 2 else rng.randint(40, 4000)
            Doomed.fatal = rng.choice(FATAL)
            guest = pid = None
            try:
                guest = Doomed(host, memory=MEMORY, channels=["hidma.0"], name=f"doomed {number}")
                pid = guest.pid
                memory = guest.alloc(ROOM)
                job = [(memory.address, memory.address + ROOM // 2, ROOM // 2)] * 20
                while guest.listened < Doomed.moment:
                    guest.copy(job)
                guest.run(1_000_000)
                for _ in range(400):
                    guest.copy(job)  # until the signal has come
            except OSError as error:
                assert error.errno == errno.ESRCH and "was ended by signal" in str(error), error
                died += 1
            finally:
                if guest is not None:
                    guest.close()
            assert pid is None or gone(pid)
            assert host.guests == [good] and dict(host.devices())["hidma.0"] == "vfio-platform"
            assert sum(room for _, room in host.kernel.dma_ops.pages.free) == free
            assert len(os.listdir("/proc/self/fd")) == files and shared_files() == names
        assert died == number + 1
        copy(good, b"good", 20)
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"]) as last:
        copy(last, b"last")


def attack(hardware: Channel, ram: memoryview, seed: int) -> int:
    """A process that writes into the rings and the registers that a hostile guest shares with its host, while the host reads them:
    what was good when it was looked at is bad a moment later. Returns its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        shared.die_with(os.getppid())
        overwrite(hardware, ram, seed)
    finally:
        os._exit(1)


def overwrite(hardware: Channel, ram: memoryview, seed: int) -> None:
    """What it does, for ever."""
    rng = random.Random(seed)
    trca, evca = (block.view.cast("I") for block in (hardware.trca, hardware.evca))
    words = ram.cast("I")
    good = [3 | trca[CHIDX >> 2] << 8 | 1 << 16, 64, 0x40020000, 0, 0x40030000, 0, 0, 0]
    bad = [0xFFFFFFFF, 0xFFFFFFF0, 0x80000000, 0x7FFF, 0x5C050000, 0xFFFFFFFF, 0x40000000 + MEMORY - 8, 3]
    for page, base in ((trca, 0x40000000), (evca, 0x40010000)):
        page[RING_LOW >> 2], page[RING_LEN >> 2] = base, 0x400
    while True:
        for slot in range(32):
            words[slot * 8 : slot * 8 + 8] = memoryview(array("I", good))
        trca[CTRLSTS >> 2] = evca[CTRLSTS >> 2] = rng.choice([RESET, ENABLE, ENABLE]) << 16
        for _ in range(200):
            trca[DOORBELL >> 2] = rng.randrange(33) * 32
            evca[DOORBELL >> 2] = rng.randrange(65) * 16
            at = rng.randrange(256)
            words[at] = rng.choice(bad)
            words[at] = good[at % 8]
            if rng.random() < 0.05:
                page = rng.choice([trca, evca])
                where = rng.choice([RING_LOW, RING_LEN, READ_PTR, WRITE_PTR, IRQ_CLR, IRQ_STAT, IRQ_EN, INTCTRL])
                page[where >> 2] = rng.choice(bad)
                page[RING_LEN >> 2], page[RING_LOW >> 2] = 0x400, 0x40000000 if page is trca else 0x40010000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_words_that_change_while_the_host_reads_them_reach_nothing(host: hidma.Machine, seed: int) -> None:
    """Two guests are hostile at once; HIDMA_ATTACK milliseconds of the host's time, 20 by default."""
    pattern = bytes(range(256)) * 256
    mine = [host.alloc(len(pattern)) for _ in range(16)]
    for buffer in mine:
        buffer[:] = pattern
    names = shared_files()
    channels = [host.registers[TRCA], host.registers[TRCA + 0x10000]]
    with vm.GuestProcess(host, memory=MEMORY, channels=["hidma.0"], modules=False, name="one") as one, \
            vm.GuestProcess(host, memory=MEMORY, channels=["hidma.1"], modules=False, name="two") as two, \
            vm.GuestProcess(host, memory=MEMORY, channels=["hidma.2"], name="good") as good:
        secret = good.alloc(ROOM)
        secret.view[:] = pattern[:ROOM]
        attackers = [attack(hardware, guest.ram, seed * 2 + number)
                     for number, (hardware, guest) in enumerate(zip(channels, (one, two), strict=True))]
        try:
            for _ in range(int(os.environ.get("HIDMA_ATTACK", 20)) * 10):
                one.run(100_000)
            assert all(hardware.sequence > 100 for hardware in channels)
            copy(good, b"good", 20)
        finally:
            for pid in attackers:
                os.kill(pid, signal.SIGKILL)
                assert os.waitpid(pid, 0)[1] == signal.SIGKILL  # it had not ended by itself
        assert one.alive and two.alive
        assert bytes(secret) == pattern[:ROOM]
    assert all(bytes(buffer) == pattern for buffer in mine)
    assert host.kernel.dead is None and shared_files() == names
    for number in range(2):
        with vm.GuestProcess(host, memory=MEMORY, channels=[f"hidma.{number}"]) as second:
            copy(second, b"next")


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


HOST = """
import hidma
from hidma import vm
class Loud(vm.GuestProcess):
    def _talk(self):
        print(".", flush=True)
        return super()._talk()
m = hidma.boot()
for name in ("hidma.0", "hidma.1"):
    vm.assign(m, name)
while True:
    with Loud(m, memory=4 << 20, channels=["hidma.0"]) as one, Loud(m, memory=4 << 20, channels=["hidma.1"]) as two:
        for guest in (one, two):
            guest.begin([(0x40100000, 0x40200000, 4096)] * 50)
        one.finish(), two.finish()
"""


@pytest.mark.slow
def test_host_killed_at_random_moments_leaves_nothing() -> None:
    """While its guests start, boot or copy: HIDMA_KILLS / 5 hosts, 2 by default."""
    rng = random.Random(2)
    place = os.pathsep.join([str(Path(hidma.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    names = shared_files()
    for _ in range(int(os.environ.get("HIDMA_KILLS", 10)) // 5):
        mark = f"HIDMA_MARK={rng.getrandbits(64)}-{os.getpid()}"
        with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE,
                              env=os.environ | {"PYTHONPATH": place} | dict([mark.split("=")])) as parent:
            assert parent.stdout is not None
            for _ in range(rng.randint(1, 2000)):
                assert parent.stdout.readline() == b".\n"
            parent.kill()
        left = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark.encode() in (path / "environ").read_bytes() and not gone(int(path.name)):
                    left.append(path.name)
        assert not left and shared_files() == names


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


def test_a_signal_while_a_process_is_asked_after_leaves_no_lock_taken() -> None:
    """Even if the handler raises at the moment at which Popen.poll() has taken its lock."""
    class Lock:
        def acquire(self, blocking: bool = True) -> bool:
            raise KeyboardInterrupt

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        lock, child._waitpid_lock = child._waitpid_lock, Lock()  # type: ignore[attr-defined]
        assert not process.has_ended(child)
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.has_ended(child)
        child._waitpid_lock = lock  # type: ignore[attr-defined]
        assert child.wait() == 0
        assert process.has_ended(child)
