# SPDX-License-Identifier: GPL-2.0-only
"""The public face: a board boots, bytes are moved, and every accepted transfer has its end in the ledger."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import hidma
from hidma import ll
from hidma.channel import lldev_of
from hidma.machine.ledger import COMPLETED, PENDING

WEIGHT = "/sys/devices/platform/f9984000.hidma-mgmt/chanops/chan0/weight"
ENDS = {"completed", "failed", "terminated", "lost by V14"}


def test_the_example_of_the_architecture_runs() -> None:
    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        dest, src = machine.alloc(4096), machine.alloc(4096)
        src.fill(bytes(range(256)) * 16)
        done = chan.memcpy(dest, src, 4096)
        done.wait()
        machine.sysfs[WEIGHT] = "15"
        assert bytes(dest) == bytes(src)
        assert machine.sysfs[WEIGHT] == "15\n"
        assert "HI-DMA engine driver registration complete" in machine.dmesg()


def test_numpy_arrays_and_buffers_are_copied() -> None:
    with hidma.boot() as machine, machine.dma.request_channel() as chan:
        source = np.arange(1000, dtype=np.uint32)
        target = np.zeros_like(source)
        chan.memcpy(target, source).wait()
        assert np.array_equal(source, target)
        text = bytearray(5)
        chan.memcpy(text, b"hello").wait()
        assert text == b"hello"


def test_a_batch_has_one_completion_and_every_piece_is_counted() -> None:
    with hidma.boot() as machine, machine.dma.request_channel() as chan:
        src, dest = machine.alloc(65536), machine.alloc(65536)
        src.fill(np.random.default_rng(1).integers(0, 256, 65536, dtype=np.uint8))
        at = np.arange(512, dtype=np.uint64) * 128
        chan.memcpy_batch(at + dest.address, at + src.address, np.full(512, 128, dtype=np.uint64)).wait()
        assert bytes(dest) == bytes(src)
        assert chan.ledger[COMPLETED] == 512 and chan.ledger[PENDING] == 0


@pytest.mark.parametrize("fault", [
    "read-burst:1", "write-burst:2", "tre-fetch:1", "evre-write:1", "irq-lost:1", "irq-late:5us", "irq-dup", "irq-spurious:1",
    "evre:code=4,info=9", "evre:code=5", "write-ptr:81", "reset-stuck:trca", "enable-stuck:evca", "suspend-stuck:trca",
    "disable-stuck:evca"])
@pytest.mark.parametrize("count", [1, 5])
def test_every_accepted_transfer_ends_under_every_fault(fault: str, count: int) -> None:
    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        machine.inject(fault)
        src, dest = machine.alloc(4096), machine.alloc(4096)
        accepted = []
        for _ in range(count):
            try:
                accepted.append(chan.memcpy(dest, src))
            except OSError as error:
                assert str(error)
        for transfer in accepted:
            try:
                transfer.wait()
            except OSError as error:
                assert chan.name in str(error)
        ends = [t.end.split(" (row")[0] for t in accepted]
        assert set(ends) <= ENDS, ends
        assert chan.ledger[PENDING] == 0
        assert sum(n for end, n in chan.ledger.items() if end != PENDING) >= len(accepted)


def test_a_failed_transfer_carries_what_the_driver_said_and_what_the_hardware_did() -> None:
    with hidma.boot(faults="read-burst:1") as machine:
        chan = machine.dma.request_channel()
        transfer = chan.memcpy(machine.alloc(64), machine.alloc(64))
        with pytest.raises(OSError, match="failed"):
            transfer.wait()
        assert transfer.driver == "DMA_COMPLETE"  # V14 row 18
        assert "could not be read" in transfer.hardware
        chan.memcpy(machine.alloc(64), machine.alloc(64)).wait()  # the channel has recovered


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda m, c: m.alloc(0), "buffer"),
    (lambda m, c: m.alloc(1 << 40), "free"),
    (lambda m, c: c.memcpy(1, 2), "length"),
    (lambda m, c: c.memcpy(m.alloc(8), m.alloc(8), 9), "8"),
    (lambda m, c: c.memcpy(m.alloc(8), m.alloc(8), 0), "bytes"),
    (lambda m, c: c.memcpy(b"read-only", b"abc"), "read-only"),
    (lambda m, c: c.memcpy(-1, 0, 8), "64 bits"),
    (lambda m, c: c.memcpy_batch([1, 2], [1], [1]), "lengths"),
    (lambda m, c: m.dma.request_channel("dma9chan0"), "dma9chan0"),
    (lambda m, c: m.inject("nonsense"), "nonsense"),
    (lambda m, c: m.modprobe("nosuch"), "nosuch"),
    (lambda m, c: m.sysfs["/sys/nosuch"], "/sys/nosuch"),
])
def test_bad_input_gets_a_sentence_and_an_errno_and_the_channel_stays_usable(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        with pytest.raises(OSError, match=sentence) as info:
            call(machine, chan)
        assert info.value.errno
        chan.memcpy(machine.alloc(64), machine.alloc(64)).wait()


def test_firmware_that_describes_no_machine_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.dtb"
    bad.write_bytes(b"not a blob")
    with pytest.raises(OSError, match="bad.dtb"):
        hidma.boot(bad)
    with pytest.raises(OSError):
        hidma.boot(tmp_path / "missing.dtb")


def test_a_board_whose_nodes_bear_another_name_boots_without_a_channel_and_says_why() -> None:
    with hidma.boot("binding-example") as machine:
        assert machine.dma.names() == []
        assert any("hidma" in note for note in machine.notes)
        with pytest.raises(OSError, match="hidma"):
            machine.dma.request_channel()


def test_two_machines_run_side_by_side() -> None:
    with hidma.boot() as one, hidma.boot("guest") as two:
        for machine in (one, two, one):
            with machine.dma.request_channel() as chan:
                dest, src = machine.alloc(64), machine.alloc(64)
                src.fill(b"x" * 64)
                chan.memcpy(dest, src).wait()
                assert bytes(dest) == b"x" * 64


def test_the_same_program_gives_the_same_trace() -> None:
    def run() -> list[object]:
        events: list[object] = []
        with hidma.boot(trace=events.append) as machine, machine.dma.request_channel() as chan:
            for _ in range(20):
                chan.memcpy(machine.alloc(100), machine.alloc(100)).wait()
        return [repr(e) for e in events]

    first, second = run(), run()
    assert len(first) > 1000
    assert first == second


class ShortLog(list):  # type: ignore[type-arg]
    """A log that does not become long: a loop that fills it ends, and the test with it."""

    def append(self, line: object) -> None:
        assert len(self) < 100_000, f"the log runs away: {line}"
        super().append(line)


def test_a_loop_that_says_several_lines_round_and_round_takes_as_long_as_the_console() -> None:
    """A channel given back in the middle of a batch is out of step (rows 36, 12, 6). When it is then suspended with a
    transfer before it, the handler spins for 500 ms (row 1) and says at every turn which slots of the ring are empty.
    """
    with hidma.boot(cpus=2) as machine:
        machine.kernel.log = ShortLog()
        chan = machine.dma.request_channel()
        src, dest = machine.alloc(64 * 400), machine.alloc(64 * 400)
        chan.memcpy_batch([dest.address + 64 * i for i in range(400)], [src.address + 64 * i for i in range(400)], [64] * 400)
        chan.release()
        chan = machine.dma.request_channel()
        last = [chan.memcpy(dest, src, 4096) for _ in range(3)][-1]
        chan.pause()
        with pytest.raises(OSError, match="paused"):
            last.wait()
        texts = [line.text.removeprefix("hidma hidma.0: ") for line in machine.kernel.log]
        empty = [text for text in texts if text.startswith("tre_index ") and text.endswith("and tre out of sync")]
        assert len(set(empty)) > 1
        # a thousand lines at once, then as many as a console writes in half a second
        assert 5_000 < len(empty) < 7_500
        assert texts[-1].startswith("ISR timeout ")
        assert 500_000_000 < machine.now < 520_000_000
        assert machine.kernel.dead is None


def test_the_console_is_waited_for_by_who_repeats_more_than_it_has_written() -> None:
    with hidma.boot(cpus=2) as machine, machine.running():
        def took(texts: list[str]) -> int:
            before = machine.clock.now
            for text in texts:
                machine.kernel.printk(4, text)
            return machine.clock.now - before

        assert took([f"line {i}" for i in range(5000)]) == 0
        machine.run(1_000_000_000)
        for different in (1, 2, 300):
            assert took([f"line {i % different}" for i in range(different + 1000)]) == 0
            assert took([f"line {i % different}" for i in range(50)]) == 50 * 100_000
            assert took([f"another {i}" for i in range(50)]) == 0
            machine.run(1_000_000_000)
        # as fast as it writes: never
        for _ in range(5000):
            assert took(["again"]) == 0
            machine.run(100_000)


def test_a_null_pointer_that_the_port_follows_is_an_oops() -> None:
    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        lldev = lldev_of(chan._chan)
        with machine.running():
            assert ll.hidma_ll_uninit(lldev) == 0
        with pytest.raises(hidma.KernelOops, match="NULL pointer dereference"), machine.running():
            ll.hidma_ll_queue_request(lldev, 0)
        assert "Internal error: Oops: Unable to handle kernel NULL pointer dereference" in machine.dmesg()
        with pytest.raises(hidma.KernelOops):
            chan.memcpy(machine.alloc(64), b"x" * 64)


def test_a_closed_machine_is_gone_even_if_an_oops_ended_the_port_in_the_middle_of_a_list() -> None:
    """Row 36: a BUG_ON() in hidma_process_completed(), whose local list is not empty then."""
    with hidma.boot(cpus=2) as other:
        machine = hidma.boot(cpus=2)
        gone = weakref.ref(machine)
        chan = machine.dma.request_channel()
        src, dest = machine.alloc(64 * 700), machine.alloc(64 * 700)
        chan.memcpy_batch([dest.address + 64 * i for i in range(700)], [src.address + 64 * i for i in range(700)], [64] * 700)
        chan.release()
        chan = machine.dma.request_channel()
        for _ in range(3):
            chan.memcpy(dest, src, 4096)
        with pytest.raises(hidma.KernelOops, match="DMA_MIN_COOKIE"):
            machine.run(100_000_000)
        assert machine.kernel.dead is not None and machine.kernel.dead.row == 36
        machine.close()
        # the CPU that ran last is known until another one runs
        other.run(1000)
        del machine, chan, src, dest
        gc.collect()
        assert gone() is None
        with other.dma.request_channel() as chan:
            chan.memcpy(other.alloc(64), b"x" * 64).wait()


@pytest.mark.parametrize("mistake", [IndexError, AttributeError, TypeError])
def test_a_mistake_of_the_caller_does_not_stop_the_kernel(mistake: type[Exception]) -> None:
    with hidma.boot() as machine:
        with pytest.raises(mistake), machine.running():
            raise mistake("'NoneType' object is the caller's")
        assert machine.kernel.dead is None
        machine.dma.request_channel().memcpy(machine.alloc(64), b"x" * 64).wait()


def test_a_machine_may_be_closed_while_a_callback_stands_in_the_middle_of_it() -> None:
    machine = hidma.boot()
    chan = machine.dma.request_channel()

    def callback(transfer: hidma.Transfer) -> None:
        chan.memcpy(0x80100000, 0x80200000, 65536)

    for _ in range(20):
        with suppress(OSError):
            chan.memcpy(0x80100000, 0x80200000, 64, callback)
            machine.run(150)
    machine.close()
    assert machine.closed and chan.ledger["pending"] == 0
