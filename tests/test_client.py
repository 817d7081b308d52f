# SPDX-License-Identifier: GPL-2.0-only
"""hidma.machine.client: copies, what becomes of them under every fault, waiting, callbacks, and every wrong argument."""

from __future__ import annotations

import errno
import random
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from client_rig import BIG, ENDS, Load, Pieces, counts, needs_numpy, numpy, outcome, sentence, slow_registers

from hidma import Buffer, Channel, KernelOops, Machine, Timing, Transfer, TransferError
from hidma.machine import _mode

# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_moves_the_bytes_between_buffers(machine: Machine, chan: Channel) -> None:
    src, dest = machine.alloc(5000), machine.alloc(5000)
    src.fill(random.Random(1).randbytes(5000))
    done = chan.memcpy(dest, src, 4999)
    assert done.end == "pending" and not done.done()
    assert done.wait() is done
    assert done.end == "completed" and done.done()
    assert bytes(dest) == src[:4999] + b"\0"
    assert (done.driver, done.hardware, done.called) == ("DMA_COMPLETE", "completed", 1)
    assert counts(chan) == {"completed": 1}


def test_bus_addresses_reach_any_byte(machine: Machine, chan: Channel) -> None:
    ram = machine.alloc(300)
    ram.fill(bytes(range(100)))
    chan.memcpy(ram.address + 200, ram.address + 10, 50).wait()
    assert ram[200:250] == bytes(range(10, 60))


@pytest.mark.parametrize("instant", [False, True])
def test_a_large_copy_is_whole(boot: Callable[..., Machine], instant: bool) -> None:
    machine = boot(instant=instant)
    size = (3 << 20) + 77
    src, dest = machine.alloc(size), machine.alloc(size)
    src.fill(random.Random(2).randbytes(size))
    machine.dma.request_channel().memcpy(dest, src).wait()
    assert dest.view == src.view


def test_python_buffers_are_copied_when_the_transfer_completes(chan: Channel) -> None:
    dest = bytearray(8)
    done = chan.memcpy(dest, b"hello, V14")
    assert dest == bytes(8)
    done.wait()
    assert dest == b"hello, V"
    words = array("I", [0] * 4)
    chan.memcpy(words, array("I", [1, 2, 3, 4]), 12).wait()
    assert words.tolist() == [1, 2, 3, 0]
    part = bytearray(10)
    chan.memcpy(memoryview(part)[2:6], b"abcdef").wait()
    assert part == b"\0\0abcd\0\0\0\0"


def test_python_buffers_do_not_use_up_the_memory(machine: Machine, chan: Channel) -> None:
    before = dict(machine.kernel.dma_ops.pages.used)
    for _ in range(200):
        chan.memcpy(bytearray(4096), bytes(4096)).wait()
    with pytest.raises(OSError, match="a callback"):
        chan.memcpy(bytearray(4096), bytes(4096), callback=5)  # type: ignore[arg-type]
    assert len(machine.kernel.dma_ops.pages.used) <= len(before) + 2


@needs_numpy
def test_numpy_arrays_of_every_shape_are_copied(chan: Channel) -> None:
    src = numpy.arange(60, dtype=numpy.float64).reshape(3, 4, 5)
    dest = numpy.zeros((3, 4, 5))
    chan.memcpy(dest, src).wait()
    assert (dest == src).all()
    chan.memcpy(dest, src.T.copy(order="F")).wait()
    assert (dest.ravel() == src.T.ravel()).all(), "in the order of its elements, not of its memory"
    every = numpy.zeros(20, dtype=numpy.float64)
    chan.memcpy(every, src.ravel()[::3]).wait()
    assert (every == src.ravel()[::3]).all()
    tail = numpy.zeros((4, 6), dtype=numpy.uint8)
    chan.memcpy(tail[2:], bytes(range(12))).wait()
    assert tail.tolist() == [[0] * 6, [0] * 6, [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


@needs_numpy
def test_a_buffer_is_an_array_without_a_copy(machine: Machine, chan: Channel) -> None:
    buffer = machine.alloc(16)
    seen = numpy.asarray(buffer)
    chan.memcpy(buffer, bytes(range(16))).wait()
    assert seen.tolist() == list(range(16))
    seen[3] = 99
    assert buffer[3] == 99
    assert numpy.asarray(buffer, dtype=numpy.uint16).tolist()[3] == 99
    buffer.free()
    machine.close()
    assert seen[3] == 99, "an array outlives its machine"


@needs_numpy
def test_numpy_integers_are_addresses(machine: Machine, chan: Channel) -> None:
    src, dest = machine.alloc(64), machine.alloc(64)
    src.fill(b"x" * 64)
    chan.memcpy(numpy.uint64(dest.address), numpy.uint64(src.address), numpy.int32(64)).wait()
    assert bytes(dest) == b"x" * 64


def test_buffers_are_read_written_filled_and_freed(machine: Machine) -> None:
    buffer = machine.alloc(100)
    assert len(buffer) == 100 == len(buffer.view) and buffer.address % 4096 == 0
    buffer[1:4] = b"abc"
    buffer[0] = 7
    assert buffer[:5] == b"\x07abc\0" and bytes(buffer)[:2] == b"\x07a"
    buffer.fill(b"xyz")
    assert buffer[:4] == b"xyzc"
    assert repr(buffer) == f"<Buffer of 100 bytes at 0x{buffer.address:x}>"
    address = buffer.address
    buffer.free()
    buffer.free()
    assert repr(buffer) == f"<Buffer of 100 bytes at 0x{address:x}, freed>"
    assert sentence(lambda: buffer[0], errno.EINVAL) == f"the buffer at 0x{address:x} was freed; alloc() gives another one"
    assert machine.alloc(100).address == address


def test_a_buffer_in_use_is_not_freed(machine: Machine, chan: Channel) -> None:
    src, dest, other = machine.alloc(BIG), machine.alloc(BIG), machine.alloc(64)
    done = chan.memcpy(dest, src)
    for buffer in (src, dest):
        assert sentence(buffer.free, errno.EBUSY) == (
            f"the buffer at 0x{buffer.address:x} is in use by transfer 2 on dma0chan0; wait for it, or terminate it")
    other.free()
    done.wait()
    src.free()
    batch = chan.memcpy_batch([dest.address] * 2, [dest.address + 4096] * 2, [64, 64])
    assert "is in use by a batch on dma0chan0" in sentence(dest.free, errno.EBUSY)
    batch.wait()
    dest.free()


# --- wrong arguments --------------------------------------------------------------------------------------------------


class Unbuffered:
    pass


BUFFER = "is a Buffer, a bus address or an object with a buffer (bytes, bytearray, a numpy array), not"
WRONG_COPIES = [
    (("abc", 0x80000000, 3), {}, f"the destination {BUFFER} str"),
    ((0x80000000, Unbuffered(), 3), {}, f"the source {BUFFER} Unbuffered"),
    ((None, 0x80000000, 3), {}, f"the destination {BUFFER} NoneType"),
    ((True, 0x80000000, 3), {}, f"the destination {BUFFER} bool"),
    ((1.5, 0x80000000, 3), {}, f"the destination {BUFFER} float"),
    ((b"abc", 0x80000000, 3), {}, "the destination is read-only; a bytearray or an array can be written"),
    ((bytearray(3), b""), {}, "the source is empty; a copy has at least 1 byte"),
    ((bytearray(), b"abc"), {}, "the destination is empty; a copy has at least 1 byte"),
    ((memoryview(bytearray(9))[::2], b"abc"), {},
     "the destination is not contiguous in memory; copy into a contiguous array and assign that"),
    ((-1, 0x80000000, 3), {}, "the destination is a bus address of 64 bits, not -1"),
    ((0x80000000, 1 << 64, 3), {}, "the source is a bus address of 64 bits, not 18446744073709551616"),
    ((0x80000000, 0x80001000), {}, "a copy between two bus addresses needs a length"),
    ((0x80000000, 0x80001000, 0), {}, "a copy has 1 to 4294967295 bytes, not 0"),
    ((0x80000000, 0x80001000, -5), {}, "a copy has 1 to 4294967295 bytes, not -5"),
    ((0x80000000, 0x80001000, 1 << 32), {}, "a copy has 1 to 4294967295 bytes, not 4294967296"),
    ((0x80000000, 0x80001000, 4.0), {}, "the length of a copy is a whole number, not 4.0"),
    ((0x80000000, 0x80001000, True), {}, "the length of a copy is a whole number, not True"),
    ((0x80000000, 0x80001000, "4"), {}, "the length of a copy is a whole number, not '4'"),
    ((bytearray(4), b"abcdef", 5), {}, "a copy of 5 bytes does not fit: the destination has 4"),
    ((bytearray(9), b"abcdef", 8), {}, "a copy of 8 bytes does not fit: the source has 6"),
    ((0x80000000, 0x80001000, 4), {"callback": 3}, "a callback is called with the transfer, and 3 cannot be called"),
]


@pytest.mark.parametrize(("args", "options", "said"), WRONG_COPIES)
def test_a_wrong_copy_gets_a_sentence_and_costs_nothing(
        chan: Channel, args: tuple[Any, ...], options: dict[str, Any], said: str) -> None:
    assert sentence(lambda: chan.memcpy(*args, **options), errno.EINVAL) == said
    assert counts(chan) == {}
    for _ in range(64):
        chan.memcpy(0x80100000, 0x80200000, 64)
    assert len(chan.open) == 64, "no descriptor was lost"


@needs_numpy
def test_arrays_that_cannot_be_copied_get_a_sentence(chan: Channel) -> None:
    assert sentence(lambda: chan.memcpy(numpy.array([None, "x"]), b"abc"), errno.EINVAL) == (
        "the destination holds Python objects or pointers, and those cannot be copied")
    assert sentence(lambda: chan.memcpy(numpy.zeros((4, 4))[:, 1], bytes(64)), errno.EINVAL) == (
        "the destination is not contiguous in memory; copy into a contiguous array and assign that")
    assert sentence(lambda: chan.memcpy(numpy.zeros((4, 4), order="F"), bytes(64)), errno.EINVAL) == (
        "the destination is not contiguous in memory; copy into a contiguous array and assign that")


def test_the_buffer_of_another_machine_gets_a_sentence(boot: Callable[..., Machine], chan: Channel) -> None:
    foreign = boot("guest").alloc(64)
    assert sentence(lambda: chan.memcpy(foreign, b"abc"), errno.EINVAL) == (
        "the destination is a buffer of another machine; dma0chan0 reaches its own machine's only")


@pytest.mark.parametrize(("size", "said"), [
    (0, "a buffer has at least one byte and a whole number of them, not 0"),
    (-1, "a buffer has at least one byte and a whole number of them, not -1"),
    (1.5, "a buffer has at least one byte and a whole number of them, not 1.5"),
    (True, "a buffer has at least one byte and a whole number of them, not True"),
    (None, "a buffer has at least one byte and a whole number of them, not None")])
def test_a_wrong_size_of_a_buffer_gets_a_sentence(machine: Machine, size: Any, said: str) -> None:
    assert sentence(lambda: machine.alloc(size), errno.EINVAL) == said


def test_more_memory_than_there_is_gets_a_sentence(machine: Machine, chan: Channel) -> None:
    said = "no 300000000 bytes in one piece are free in the 256 MiB of RAM; free a buffer first"
    assert sentence(lambda: machine.alloc(300000000), errno.ENOMEM) == said
    assert sentence(lambda: chan.memcpy(0x80000000, bytes(300000000)), errno.ENOMEM) == said
    assert counts(chan) == {}


@pytest.mark.parametrize(("data", "code", "said"), [
    (bytes(101), errno.EINVAL, "101 bytes do not fit into a buffer of 100"),
    (7, errno.EINVAL, f"what the buffer is filled with {BUFFER} int"),
    (b"", errno.EINVAL, "what the buffer is filled with is empty; a copy has at least 1 byte")])
def test_wrong_contents_of_a_buffer_get_a_sentence(machine: Machine, data: Any, code: int, said: str) -> None:
    assert sentence(lambda: machine.alloc(100).fill(data), code) == said


@pytest.mark.parametrize(("timeout", "said"), [
    (-1, "a time-out is from 0 to 1000000000 seconds, not -1"),
    (float("nan"), "a time-out is from 0 to 1000000000 seconds, not nan"),
    (float("inf"), "a time-out is from 0 to 1000000000 seconds, not inf"),
    ("1", "a time-out is a number of seconds, not '1'"),
    (True, "a time-out is a number of seconds, not True")])
def test_a_wrong_time_out_gets_a_sentence(chan: Channel, timeout: Any, said: str) -> None:
    done = chan.memcpy(0x80100000, 0x80200000, 64)
    assert sentence(lambda: done.wait(timeout), errno.EINVAL) == said
    done.wait()


@pytest.mark.parametrize(("cookie", "said"), [
    (0, "a cookie is a number from 1 to 2147483647, not 0"),
    (1 << 31, "a cookie is a number from 1 to 2147483647, not 2147483648"),
    ("2", "a cookie is a whole number, not '2'")])
def test_a_wrong_cookie_gets_a_sentence(chan: Channel, cookie: Any, said: str) -> None:
    assert sentence(lambda: chan.status(cookie), errno.EINVAL) == said


def test_status_is_what_the_driver_says(chan: Channel) -> None:
    first, second = chan.memcpy(0x80100000, 0x80200000, BIG), chan.memcpy(0x80100000, 0x80200000, 64)
    assert chan.status(second.cookie) == "DMA_IN_PROGRESS"
    chan.pause()
    assert chan.status(second.cookie) in ("DMA_PAUSED", "DMA_IN_PROGRESS")
    chan.resume()
    second.wait()
    assert chan.status(first.cookie) == chan.status(second.cookie) == "DMA_COMPLETE"


# --- requesting and releasing -----------------------------------------------------------------------------------------


def test_channels_are_requested_by_order_and_by_name(machine: Machine) -> None:
    assert machine.dma.names() == [f"dma{n}chan0" for n in range(6)]
    third = machine.dma.request_channel("dma2chan0")
    assert third.name == "dma2chan0" and repr(third) == "<Channel dma2chan0 of host>"
    assert [machine.dma.request_channel().name for _ in range(5)] == [f"dma{n}chan0" for n in (0, 1, 3, 4, 5)]
    assert sentence(machine.dma.request_channel, errno.EBUSY) == "every channel is in use; release one first"
    assert sentence(lambda: machine.dma.request_channel("dma2chan0"), errno.EBUSY) == (
        "dma2chan0 is in use; release one first")
    third.release()
    assert machine.dma.request_channel().name == "dma2chan0"


@pytest.mark.parametrize(("name", "code", "said"), [
    ("dma6chan0", errno.ENODEV, "there is no channel 'dma6chan0'; there are dma0chan0, dma1chan0, dma2chan0, dma3chan0, "
                                "dma4chan0, dma5chan0"),
    ("", errno.ENODEV, "there is no channel ''; there are dma0chan0, dma1chan0, dma2chan0, dma3chan0, dma4chan0, "
                       "dma5chan0"),
    (3, errno.EINVAL, "the name of a channel is text such as 'dma0chan0', not 3")])
def test_a_wrong_channel_gets_a_sentence(machine: Machine, name: Any, code: int, said: str) -> None:
    assert sentence(lambda: machine.dma.request_channel(name), code) == said


def test_a_released_channel_says_so(machine: Machine, chan: Channel) -> None:
    with chan as same:
        assert same is chan
        done = chan.memcpy(0x80100000, 0x80200000, 64).wait()
    assert chan.released and repr(chan) == "<Channel dma0chan0 of host, released>"
    chan.release()
    said = "dma0chan0 was released; request_channel() gives a channel again"
    for act in (lambda: chan.memcpy(0x80100000, 0x80200000, 64), lambda: chan.memcpy_batch([], [], []), chan.pause,
                chan.resume, chan.terminate_all, lambda: chan.status(2)):
        assert sentence(act, errno.ENODEV) == said
    assert done.wait() is done and counts(chan) == {"completed": 1}
    assert machine.ledger["completed"] == 1


def test_a_channel_whose_driver_was_unbound_says_so(machine: Machine, chan: Channel) -> None:
    machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = "hidma.0"
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
        "dma0chan0 is gone: V14's driver was unbound from hidma.0")


def test_all_descriptors_in_use_get_a_sentence(chan: Channel) -> None:
    load = Load(chan, 1)
    for _ in range(63):
        chan.memcpy(0x80100000, 0x80200000, 64)
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENOMEM) == (
        "dma0chan0 has no descriptor free: 64 of 64 are in use; wait for a transfer, or give the channel a larger "
        "desc-count")
    load.transfers[0].wait()
    chan.memcpy(0x80100000, 0x80200000, 64).wait()
    assert counts(chan)["completed"] >= 2


# --- the end of a transfer --------------------------------------------------------------------------------------------

# Fault; end when it is alone; ends of five in flight, of which the first is long.
LOST_1 = "lost by V14 (row 1)"
LOST_2 = "lost by V14 (row 2)"
LOST_37 = "lost by V14 (row 37)"
OK = "completed"
FATE: list[tuple[str, str, list[str]]] = [
    ("burst:3", "failed", ["failed"] * 5),
    ("read-burst:1", "failed", ["failed"] * 5),
    ("write-burst:1", "failed", ["failed"] * 5),
    ("evre-write:1", "failed", ["failed"] * 5),
    # the error comes while the handler is at work, and is acknowledged like an end of block
    ("evre-write:3", OK, [OK, OK, LOST_2, LOST_2, LOST_2]),
    ("tre-fetch:3", OK, [OK, OK, LOST_2, LOST_2, LOST_2]),
    ("irq-lost", "failed", [OK] * 5),
    ("irq-lost:1+", "failed", ["failed"] * 5),
    ("irq-late:2us", OK, [OK] * 5),
    ("irq-late:3s", OK, [OK] * 5),
    ("irq-dup", OK, [OK] * 5),
    ("irq-spurious:*", OK, [OK] * 5),
    ("evre:code=4,info=9", "failed", ["failed", OK, OK, OK, OK]),
    ("evre:code=5", "failed", ["failed", OK, OK, OK, OK]),
    ("evre:code=0:5", OK, [OK, OK, OK, OK, "failed"]),
    ("evre:code=8:*", "failed", ["failed"] * 5),
    ("write-ptr:16", OK, [OK] * 5),
    ("write-ptr:81", LOST_1, [OK] * 5),
    ("write-ptr:81:1+", LOST_1, [LOST_1] * 5),
    ("write-ptr:1056", LOST_1, [OK] * 5),
    # what does not happen to a channel that only copies
    ("reset-stuck:trca", OK, [OK] * 5),
    ("reset-stuck:evca", OK, [OK] * 5),
    ("enable-stuck:trca", OK, [OK] * 5),
    ("enable-stuck:evca", OK, [OK] * 5),
    ("suspend-stuck:trca", OK, [OK] * 5),
    ("suspend-stuck:evca", OK, [OK] * 5),
    ("disable-stuck:trca", OK, [OK] * 5),
    ("disable-stuck:evca", OK, [OK] * 5),
    # an error, and a recovery that does not work
    ("read-burst;irq-lost", "failed", ["failed"] * 5),
    ("read-burst;reset-stuck:trca", "failed", ["failed"] * 5),
    ("read-burst;reset-stuck:evca", "failed", ["failed"] * 5),
    ("read-burst;enable-stuck:trca", "failed", ["failed"] * 5),
    ("read-burst;enable-stuck:evca", "failed", ["failed"] * 5),
]


@pytest.mark.parametrize(("fault", "alone", "five"), FATE, ids=[row[0] for row in FATE])
def test_every_transfer_ends_under_every_fault(
        boot: Callable[..., Machine], fault: str, alone: str, five: list[str]) -> None:
    for ends in ([alone], five):
        machine = boot()
        chan = machine.dma.request_channel()
        other = machine.dma.request_channel()
        machine.inject(";".join(f"{part}@chan0" for part in fault.split(";")))
        load = Load(chan, len(ends))
        beside = Load(other, 2)
        slow_registers(machine)
        assert load.ends() == ends
        assert beside.ends() == [OK, OK], "channels do not disturb each other"
        assert counts(chan) == {end: ends.count(end) for end in ends}
        machine.close()


def test_an_oops_is_raised_with_its_row_and_the_ledger_tells_the_rest(boot: Callable[..., Machine]) -> None:
    machine = boot()
    chan, other = machine.dma.request_channel(), machine.dma.request_channel()
    before = chan.memcpy(0x80100000, 0x80200000, 64).wait()
    length = chan._lldev.evre_ring_size
    machine.inject(f"write-ptr:{length}@chan0")
    load, beside = Load(chan, 1), Load(other, 1)
    with pytest.raises(KernelOops, match="soft lockup") as caught:
        load.transfers[0].wait()
    assert caught.value.row == 37 and caught.value.backtrace[0] == "hidma_handle_tre_completion"
    assert "V14: this is row 37 of docs/quirks" in machine.dmesg()
    assert load.transfers[0].end == "lost by V14 (row 37)" and load.transfers[0].row == 37
    assert load.transfers[0].hardware == "completed; the kernel stopped"
    assert beside.transfers[0].end == "lost by V14 (row 37)", "the kernel stopped for all of them"
    assert before.wait().end == "completed"
    assert counts(chan) == {"completed": 1, "lost by V14 (row 37)": 1}
    assert counts(other) == {"lost by V14 (row 37)": 1}
    assert machine.ledger["lost by V14 (row 37)"] == 2
    for act in (lambda: chan.memcpy(0x80100000, 0x80200000, 64), chan.terminate_all, load.transfers[0].wait,
                beside.transfers[0].wait, lambda: machine.run(1), machine.dma.request_channel):
        with pytest.raises(KernelOops) as again:
            act()
        assert again.value.backtrace is caught.value.backtrace
    with chan:
        pass


def test_an_event_of_five_reads_as_complete_to_v14(machine: Machine, chan: Channel) -> None:
    machine.inject("evre:code=5,info=3")
    called: list[Transfer] = []
    transfer = chan.memcpy(0x80100000, 0x80200000, 64, called.append)
    assert outcome(transfer) == ("transfer 2 on dma0chan0 failed: the driver says DMA_COMPLETE, the hardware completed: "
                                 "its event says code 5, info 3 (injected)")
    assert called == [transfer] and transfer.called == 1, "row 14"


def test_a_failed_transfer_reads_as_complete_to_v14_and_says_both(machine: Machine, chan: Channel) -> None:
    machine.inject("read-burst:2")
    called: list[Transfer] = []
    transfer = chan.memcpy(0x80100000, 0x80200000, 4096, called.append)
    assert outcome(transfer) == (
        "transfer 2 on dma0chan0 failed: the driver says DMA_COMPLETE, the hardware failed: burst at 0x80200400 could not "
        "be read (injected), after 1024 of 4096 bytes")
    assert called == [] and transfer.called == 0, "row 17"
    assert chan.status(transfer.cookie) == "DMA_COMPLETE", "row 18"
    assert "error 0x400, resetting..." in machine.dmesg()
    assert repr(transfer) == ("<Transfer 2 of dma0chan0: 4096 bytes, failed; driver DMA_COMPLETE, hardware failed: burst at "
                              "0x80200400 could not be read (injected), after 1024 of 4096 bytes>")
    chan.memcpy(0x80100000, 0x80200000, 64).wait()


def test_memory_that_is_not_there_fails_the_transfer(chan: Channel) -> None:
    assert outcome(chan.memcpy(0x80100000, 0x1000, 64)).endswith(
        "the hardware failed: burst at 0x1000 could not be read, after 0 of 64 bytes")
    assert outcome(chan.memcpy((1 << 64) - 64, 0x80100000, 64)).endswith(
        "the hardware failed: burst at 0xffffffffffffffc0 could not be written, after 0 of 64 bytes")


def test_a_lost_interrupt_is_found_and_made_up_for_by_the_next_one(machine: Machine, chan: Channel) -> None:
    machine.inject("irq-lost")
    dest = bytearray(4)
    called: list[str] = []
    transfer = chan.memcpy(dest, b"data", callback=lambda t: called.append(t.end))
    assert outcome(transfer) == ("transfer 2 on dma0chan0 failed: the driver says DMA_IN_PROGRESS, the hardware completed; "
                                 "its interrupt was lost")
    assert counts(chan) == {"failed": 1} and dest == bytes(4)
    chan.memcpy(0x80100000, 0x80200000, 64).wait()
    assert transfer.end == "completed" and transfer.wait() is transfer, "V14 has found it after all"
    assert called == ["completed"] and dest == b"data"
    assert counts(chan) == {"completed": 2}


def test_what_the_fifo_drops_is_lost(machine: Machine, chan: Channel) -> None:
    from hidma.linux.kfifo import kfifo_alloc

    with machine.running():
        assert kfifo_alloc(chan._lldev.handoff_fifo, 2) == 0
    load = Load(chan, 5)
    ends = load.ends()
    assert ends[:2] == ["completed"] * 2 and "lost by V14 (row 47)" in ends
    assert set(ends) == {"completed", "lost by V14 (row 47)"}
    lost = load.transfers[ends.index("lost by V14 (row 47)")]
    assert str(lost.row) in outcome(lost) and "was lost by V14 (row 47): the driver says DMA_IN_PROGRESS" in outcome(lost)


def test_the_same_faults_on_several_channels(boot: Callable[..., Machine]) -> None:
    machine = boot()
    chans = [machine.dma.request_channel() for _ in range(6)]
    machine.inject("read-burst:1@chan0;irq-lost:1+@chan1;evre:code=4:2@chan2;write-ptr:81:1+@chan3;irq-late:1ms@chan4")
    loads = [Load(chan, 3) for chan in chans]
    ends = [load.ends() for load in loads]
    assert ends == [["failed"] * 3, ["failed"] * 3, [OK, "failed", OK], [LOST_1] * 3, [OK] * 3, [OK] * 3]
    assert machine.ledger == {"pending": 0, "failed": 7, "completed": 8, "terminated": 0, LOST_1: 3}


# --- a dead channel ---------------------------------------------------------------------------------------------------

DEAD = [
    ("reset-stuck:trca", "its transfer channel is IN_RESET, its event channel is ERROR", False),
    ("reset-stuck:evca", "its transfer channel is DISABLED, its event channel is IN_RESET", False),
    ("enable-stuck:trca", "its transfer channel is DISABLED, its event channel is ENABLED", True),
    ("enable-stuck:evca", "its transfer channel is DISABLED, its event channel is DISABLED", True),
]


@pytest.mark.parametrize(("fault", "states", "hope"), DEAD, ids=[row[0] for row in DEAD])
def test_a_recovery_that_fails_leaves_a_dead_channel_that_says_so(
        machine: Machine, chan: Channel, fault: str, states: str, hope: bool) -> None:
    plan = machine.inject(f"read-burst:1;{fault}")
    Load(chan, 2).ends()
    assert "channel reinitialize failed after error" in machine.dmesg()
    way = "terminate_all() sets it up again" if hope else "only unloading and loading the module hidma sets it up again"
    for _ in range(70):
        assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
            f"dma0chan0 takes no transfer: it is dead, {states}; {way}")
    assert "dma0chan0 could not be terminated: " in sentence(chan.terminate_all, errno.ETIMEDOUT)
    machine.heal(plan)
    if hope:
        chan.terminate_all()
    else:
        assert "could not be terminated" in sentence(chan.terminate_all, errno.ETIMEDOUT)
        chan.release()
        machine.rmmod("hidma")
        machine.modprobe("hidma")
        chan = machine.dma.request_channel()
    assert Load(chan, 5).ends() == ["completed"] * 5


def test_a_channel_in_recovery_refuses_and_comes_back(machine: Machine, chan: Channel) -> None:
    machine.inject("read-burst:1")
    transfer = chan.memcpy(0x80100000, 0x80200000, 64)
    machine.run(1000)
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
        "dma0chan0 takes no transfer: V14 is setting it up again after an error; run the machine for a while and try "
        "again")
    machine.run(5_000_000)
    chan.memcpy(0x80100000, 0x80200000, 64).wait()
    assert transfer.end == "failed" or outcome(transfer)
    assert counts(chan) == {"completed": 1, "failed": 1}


# --- pause, resume, terminate, release --------------------------------------------------------------------------------


def test_a_paused_channel_keeps_its_transfers_and_refuses_others(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 3)
    chan.pause()
    slow_registers(machine)
    now = machine.now
    assert outcome(load.transfers[2]) == ("transfer 4 on dma0chan0 is not done: the channel is paused, resume() lets it go "
                                          "on")
    assert load.transfers[2].end == "pending" and counts(chan)["pending"] == 2
    assert machine.now - now < 1_000_000_000
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
        "dma0chan0 takes no transfer: it is paused; resume() lets it go on")
    chan.pause()
    chan.resume()
    assert load.ends() == ["completed"] * 3
    chan.resume()


def test_a_channel_that_the_manager_stops_waits_for_it(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 3)
    management = machine.cores[0].management
    management.write32(0x400, 0)
    slow_registers(machine)
    assert outcome(load.transfers[2]) == ("transfer 4 on dma0chan0 is not done: the management block has stopped the "
                                          "channel")
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
        "dma0chan0 takes no transfer: the management block has stopped it")
    assert load.transfers[2].end == "pending"


def test_terminating_ends_what_is_in_flight(machine: Machine, chan: Channel) -> None:
    transfers = [chan.memcpy(0x80100000, 0x80200000, BIG) for _ in range(4)]
    chan.terminate_all()
    assert [t.end for t in transfers] == ["terminated"] * 4
    assert counts(chan) == {"terminated": 4}
    assert [t.called for t in transfers[1:]] == [1, 1, 1], "row 20"
    assert transfers[0].called in (1, 2), "row 41: its completion may have been in the FIFO"
    with pytest.raises(TransferError) as caught:
        transfers[3].wait()
    assert caught.value.errno == errno.ECANCELED
    assert str(caught.value.strerror) == (
        "transfer 5 on dma0chan0 was terminated: the driver says DMA_IN_PROGRESS, the hardware dropped: RESET of TRCA "
        "before it was fetched")
    assert Load(chan, 2).ends() == ["completed"] * 2


def test_terminating_a_paused_or_an_idle_channel(machine: Machine, chan: Channel) -> None:
    chan.terminate_all()
    load = Load(chan, 3)
    chan.pause()
    chan.terminate_all()
    assert set(load.ends()) <= {"completed", "terminated"} and "terminated" in load.ends()
    assert Load(chan, 2).ends() == ["completed"] * 2, "row 42: the hardware goes on, though V14 calls it paused"


@pytest.mark.parametrize("block", ["trca", "evca"])
def test_a_completion_after_a_termination_that_failed_stops_the_kernel(machine: Machine, chan: Channel, block: str) -> None:
    machine.inject(f"suspend-stuck:{block}")
    load = Load(chan, 4)
    slow_registers(machine, 500)
    with pytest.raises(KernelOops) as oops:
        chan.terminate_all()
    assert oops.value.row == 40 and oops.value.backtrace[0] == "hidma_callback"
    assert "channel did not pause" in machine.dmesg() and "V14: this is row 40 of docs/quirks" in machine.dmesg()
    assert {transfer.end for transfer in load.transfers} <= {"completed", "lost by V14 (row 40)"}
    assert load.transfers[3].end == "lost by V14 (row 40)"
    assert sum(counts(chan).values()) == 4


@pytest.mark.parametrize("block", ["trca", "evca"])
def test_a_termination_that_fails_loses_the_transfers(machine: Machine, chan: Channel, block: str) -> None:
    plan = machine.inject(f"suspend-stuck:{block}")
    silent = machine.inject("irq-lost:*@chan0")
    load = Load(chan, 4)
    said = sentence(chan.terminate_all, errno.ETIMEDOUT)
    assert said.startswith("dma0chan0 could not be terminated: its transfer channel is ")
    assert said.endswith("; it may work again")
    assert "channel did not pause" in machine.dmesg()
    ends = load.ends()
    assert ends[1:] == ["lost by V14 (row 40)"] * 3 and ends[0] in ("completed", "lost by V14 (row 40)")
    assert "was lost by V14 (row 40): the driver says DMA_IN_PROGRESS, the hardware waiting" in outcome(load.transfers[3])
    machine.heal(plan)
    machine.heal(silent)
    chan.terminate_all()
    assert chan._descriptors() < 64, "V14 has lost them for ever"
    assert Load(chan, 3).ends() == ["completed"] * 3
    assert counts(chan)["lost by V14 (row 40)"] >= 3
    chan.release()
    assert sentence(lambda: machine.dma.request_channel("dma0chan0"), errno.ENOMEM) == (
        "V14 has no descriptors for dma0chan0: those of its last user were lost (row 40); unload and load the module hidma")
    machine.rmmod("hidma")
    machine.modprobe("hidma")
    assert Load(machine.dma.request_channel("dma0chan0"), 3).ends() == ["completed"] * 3


def test_a_stuck_pause_says_so_and_resume_takes_it_back(machine: Machine, chan: Channel) -> None:
    machine.inject("suspend-stuck:trca")
    load = Load(chan, 3)
    said = sentence(chan.pause, errno.ETIMEDOUT)
    assert said == ("dma0chan0 does not pause: its transfer channel is ENABLED and hangs on its way to SUSPENDED, its event "
                    "channel is ENABLED; V14 takes it for paused, and resume() takes that back")
    chan.resume()
    assert load.ends() == ["completed"] * 3


def test_a_stuck_resume_says_so(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 3)
    chan.pause()
    slow_registers(machine)
    plan = machine.inject("enable-stuck:trca")
    assert sentence(chan.resume, errno.ETIMEDOUT) == (
        "dma0chan0 does not resume: its transfer channel is SUSPENDED, its event channel is ENABLED")
    assert "is not done: the channel is paused" in outcome(load.transfers[2])
    machine.heal(plan)
    chan.resume()
    assert load.ends() == ["completed"] * 3


def test_what_hangs_behind_a_stuck_suspend_ends_as_failed(machine: Machine, chan: Channel) -> None:
    machine.inject("suspend-stuck:trca")
    with pytest.raises(OSError, match="could not be terminated"):
        chan.terminate_all()
    transfer = chan.memcpy(0x80100000, 0x80200000, 64)
    assert outcome(transfer) == (
        "transfer 2 on dma0chan0 failed: the driver says DMA_IN_PROGRESS, the hardware waiting; its transfer channel is "
        "ENABLED and hangs on its way to SUSPENDED, its event channel is ENABLED")


def test_releasing_terminates_what_is_in_flight(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 4)
    chan.release()
    assert [t.end for t in load.transfers] == ["terminated"] * 4
    machine.run(10_000_000)
    again = machine.dma.request_channel()
    assert again.name == "dma0chan0" and Load(again, 3).ends() == ["completed"] * 3
    assert machine.ledger == {"pending": 0, "completed": 3, "failed": 0, "terminated": 4}


def test_releasing_as_v14_alone_does_it_stops_the_kernel(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 4)
    with pytest.raises(KernelOops) as caught:
        chan.release(terminate=False)
        machine.run(10_000_000)
    assert caught.value.row == 36
    assert [t.end for t in load.transfers] == ["terminated"] * 4
    assert counts(chan) == {"terminated": 4}


def test_closing_the_machine_ends_what_is_pending(machine: Machine, chan: Channel) -> None:
    load = Load(chan, 3)
    batch = chan.memcpy_batch([0x80100000] * 3, [0x80200000] * 3, [64] * 3)
    machine.close()
    assert [t.end for t in load.transfers] == ["terminated"] * 3 and batch.end == "terminated"
    assert load.transfers[1].hardware == "waiting; the machine was closed"
    assert counts(chan) == {"terminated": 6}
    assert "was terminated" in outcome(load.transfers[1])
    assert sentence(lambda: chan.memcpy(0x80100000, 0x80200000, 64), errno.ENODEV) == (
        "this machine is closed; boot another one")


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_time_out_is_virtual_and_leaves_the_transfer(machine: Machine, chan: Channel) -> None:
    transfer = chan.memcpy(0x80100000, 0x80800000, 4 << 20)
    now = machine.now
    assert outcome(transfer, 20e-6) == "transfer 2 on dma0chan0 is not done: the time is over, wait longer"
    assert machine.now == now + 20_000
    assert transfer.wait(1.0) is transfer
    assert machine.now - now < 1_000_000
    assert outcome(chan.memcpy(0x80100000, 0x80800000, BIG), 0).endswith("wait longer")


def test_a_wait_ends_when_nothing_can_happen_any_more(machine: Machine, chan: Channel) -> None:
    machine.inject("irq-lost:1+")
    now = machine.now
    assert "its interrupt was lost" in outcome(chan.memcpy(0x80100000, 0x80200000, 64), 3600)
    assert machine.now - now < 1_000_000, "it does not wait for the device to suspend, nor for the time-out"


def test_a_late_interrupt_is_waited_for(machine: Machine, chan: Channel) -> None:
    machine.inject("irq-late:100s")
    now = machine.now
    chan.memcpy(0x80100000, 0x80200000, 64).wait()
    assert 100_000_000_000 < machine.now - now < 100_001_000_000


def test_the_ledger_knows_without_a_wait(
        boot: Callable[..., Machine], machine: Machine, chan: Channel) -> None:
    machine.inject("irq-lost:1+;evre:code=4:2")
    load = Load(chan, 3)
    assert counts(chan) == {"pending": 3}
    machine.run(1_000_000)
    assert counts(chan) == {"failed": 3}
    assert [t.end for t in load.transfers] == ["failed"] * 3
    machine = boot()
    load = Load(machine.dma.request_channel(), 3)
    machine.run(1_000_000)
    assert counts(load.chan) == {"completed": 3}


def test_done_takes_no_time(machine: Machine, chan: Channel) -> None:
    transfer = chan.memcpy(0x80100000, 0x80200000, 64)
    now = machine.now
    assert not transfer.done() and machine.now == now
    machine.run(100_000)
    assert transfer.done() and transfer.end == "completed"


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_a_callback_sees_the_end_and_its_data(machine: Machine, chan: Channel) -> None:
    seen: list[tuple[str, bytes]] = []
    dest = bytearray(4)
    chan.memcpy(dest, b"done", callback=lambda t: seen.append((t.end, bytes(dest)))).wait()
    assert seen == [("completed", b"done")]
    ends: list[str] = []
    Load(chan, 1)
    chan.memcpy(0x80100000, 0x80200000, 64, lambda t: ends.append(t.end))
    chan.terminate_all()
    machine.run(1_000_000)
    assert ends == ["terminated"], "once, though V14 may call twice (row 41)"


def test_a_callback_that_raises_does_not_harm_the_driver(machine: Machine, chan: Channel) -> None:
    def wrong(transfer: Transfer) -> None:
        raise RuntimeError("mine")

    transfers = [chan.memcpy(0x80100000, 0x80200000, 64, wrong) for _ in range(3)]
    for transfer in transfers:
        with pytest.raises(RuntimeError, match="mine"):
            transfer.wait()
        assert transfer.wait().end == "completed"
    assert counts(chan) == {"completed": 3}


def test_a_callback_may_submit(machine: Machine, chan: Channel) -> None:
    chain: list[Transfer] = []
    src = machine.alloc(64)
    src.fill(b"y" * 64)
    dests = [machine.alloc(64) for _ in range(150)]

    def go_on(transfer: Transfer) -> None:
        if len(chain) < len(dests):
            chain.append(chan.memcpy(dests[len(chain)], src, callback=go_on))

    chan.memcpy(0x80100000, 0x80200000, 64, go_on).wait()
    machine.run(10_000_000)
    assert [t.end for t in chain] == ["completed"] * 150
    assert all(bytes(dest) == b"y" * 64 for dest in dests)
    assert counts(chan) == {"completed": 151}


def test_a_callback_on_another_channel_and_on_the_cpu_of_the_caller(boot: Callable[..., Machine]) -> None:
    machine = boot(cpus=1)
    first, second = machine.dma.request_channel(), machine.dma.request_channel()
    made: list[Transfer] = []
    first.memcpy(0x80100000, 0x80200000, 64, lambda t: made.append(second.memcpy(0x80110000, 0x80200000, BIG))).wait()
    assert made[0].wait().end == "completed"


WAITS: list[tuple[str, Callable[[Machine, Channel, Transfer], object]]] = [
    ("wait()", lambda machine, chan, transfer: transfer.wait()),
    ("run()", lambda machine, chan, transfer: machine.run(1000)),
    ("release()", lambda machine, chan, transfer: chan.release()),
]


@pytest.mark.parametrize(("what", "act"), WAITS, ids=[row[0] for row in WAITS])
@pytest.mark.parametrize("cpus", [1, 8])
def test_a_callback_cannot_wait(boot: Callable[..., Machine], cpus: int, what: str,
                                act: Callable[[Machine, Channel, Transfer], object]) -> None:
    machine = boot(cpus=cpus)
    chan = machine.dma.request_channel()
    later: list[Transfer] = []

    def callback(transfer: Transfer) -> None:
        later.append(chan.memcpy(0x80100000, 0x80200000, BIG))
        act(machine, chan, later[0])

    first = chan.memcpy(0x80100000, 0x80200000, 64, callback)
    assert sentence(first.wait, errno.EDEADLK) == (
        f"{what} was called in a callback, which runs in the driver's tasklet and cannot wait; call it outside")
    assert later[0].wait().end == "completed"


def test_a_callback_may_wait_for_what_has_ended_and_terminate_the_rest(machine: Machine, chan: Channel) -> None:
    said: list[str] = []

    def callback(transfer: Transfer) -> None:
        said.append(transfer.wait().end)
        chan.terminate_all()

    first = chan.memcpy(0x80100000, 0x80200000, 64, callback)
    rest = [chan.memcpy(0x80100000, 0x80200000, BIG) for _ in range(3)]
    first.wait()
    assert said == ["completed"] and {outcome(t) and t.end for t in rest} == {"terminated"}
    assert Load(chan, 2).ends() == ["completed"] * 2


# --- everything at once -----------------------------------------------------------------------------------------------

CHAOS = (
    "burst", "read-burst", "write-burst", "tre-fetch", "evre-write", "reset-stuck:trca", "reset-stuck:evca",
    "enable-stuck:trca", "enable-stuck:evca", "suspend-stuck:trca", "suspend-stuck:evca", "irq-lost", "irq-late:2us",
    "irq-late:3ms", "irq-dup", "irq-spurious", "write-ptr:80", "write-ptr:16", "write-ptr:1040", "evre:code=4,info=9",
    "evre:code=5", "evre:code=0",
)


class Chaos:
    """A client that does anything at any time, under any faults."""

    def __init__(self, machine: Machine, dice: random.Random) -> None:
        self.machine = machine
        self.dice = dice
        self.chans: list[Channel] = []
        self.known: list[Channel] = []
        self.single: list[tuple[Transfer, Buffer, Buffer]] = []
        self.batches: list[Any] = []

    def step(self) -> None:
        dice, machine = self.dice, self.machine
        act = dice.random()
        if not self.chans or (act < 0.08 and len(self.chans) < 3):
            self.chans.append(machine.dma.request_channel())
            self.known.append(self.chans[-1])
            return
        chan = dice.choice(self.chans)
        if act < 0.5:
            size = dice.choice([64, 64, 4096, 65536, 1 << 20])
            src, dest = machine.alloc(size), machine.alloc(size)
            src.fill(bytes([dice.randrange(1, 256)]) * size)
            self.single.append((chan.memcpy(dest, src), dest, src))
        elif act < 0.56:
            pieces = Pieces(machine, dice.choice([1, 5, 70, 150]))
            try:
                self.batches.append(chan.memcpy_batch(*pieces.args))
            except TransferError as error:
                self.batches.append(error.transfer)
                raise
        elif act < 0.62:
            chan.pause()
        elif act < 0.70:
            chan.resume()
        elif act < 0.76:
            chan.terminate_all()
        elif act < 0.80:
            chan.release()
            self.chans.remove(chan)
        elif act < 0.90 and self.single:
            dice.choice(self.single)[0].wait(dice.choice([None, 1e-6, 1.0]))
        else:
            machine.run(dice.choice([100, 1000, 100_000, 5_000_000]))


@pytest.mark.parametrize("seed", range(40) if _mode.compiled() else range(1, 9))
def test_whatever_happens_every_transfer_ends_and_what_completed_is_there(
        boot: Callable[..., Machine], seed: int) -> None:
    dice = random.Random(seed)
    machine = boot(seed=seed, instant=dice.random() < 0.3, cpus=dice.choice([None, 1, 2]))
    for _ in range(dice.choice([0, 1, 1, 2, 3])):
        machine.inject(dice.choice(CHAOS) + dice.choice(["", f":{dice.randint(1, 12)}", f":{dice.randint(1, 9)}+"]))
    chaos = Chaos(machine, dice)
    items: list[Any] = []
    try:
        for _ in range(dice.randint(3, 20)):
            try:
                chaos.step()
            except OSError as error:
                assert error.strerror and "\n" not in error.strerror
        items = [transfer for transfer, _, _ in chaos.single] + chaos.batches
        for item in items:
            outcome(item)
            assert item.end != "pending" or item.channel._paused()
    except KernelOops as oops:
        assert oops.backtrace is machine.kernel.dead.backtrace
    machine.close()
    for chan in chaos.known:
        assert chan.ledger["pending"] == 0
        assert all(end == "pending" or end in ENDS or end.startswith("lost by V14 (row ") for end in chan.ledger)
    for transfer, dest, src in chaos.single:
        assert transfer.end in ENDS or transfer.end.startswith("lost by V14 (row ")
        if transfer.end == "completed":
            assert dest.view == src.view
    for batch in chaos.batches:
        assert sum(batch.ends.values()) == batch.accepted
    if machine.kernel.dead is None:
        accepted = len(chaos.single) + sum(batch.accepted for batch in chaos.batches)
        assert sum(machine.ledger.values()) == accepted


def test_slow_hardware_is_waited_for(boot: Callable[..., Machine]) -> None:
    machine = boot(timing=Timing(tre_ns=50_000_000, burst_ns=1000, bytes_per_ns=0.001))
    chan = machine.dma.request_channel()
    assert Load(chan, 3).ends() == ["completed"] * 3
    assert machine.now > 200_000_000
