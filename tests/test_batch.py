# SPDX-License-Identifier: GPL-2.0-only
"""hidma.machine.batch: many copies at once, what becomes of each under every fault, interruptions, and every wrong argument."""

from __future__ import annotations

import ctypes
import errno
import signal
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from client_rig import BIG, Pieces, counts, needs_numpy, numpy, outcome, sentence, slow_registers

from hidma import Channel, KernelOops, Machine, Transfer, TransferError
from hidma.linux.dmaengine import dma_async_issue_pending, dmaengine_prep_dma_memcpy, dmaengine_submit
from hidma.machine.batch import Batch


@pytest.mark.parametrize("count", [1, 5, 64, 65, 1000])
@pytest.mark.parametrize("instant", [False, True])
def test_a_batch_copies_all_its_pieces(boot: Callable[..., Machine], count: int, instant: bool) -> None:
    machine = boot(instant=instant)
    chan = machine.dma.request_channel()
    pieces = Pieces(machine, count)
    batch = chan.memcpy_batch(*pieces.args)
    assert batch.wait() is batch and batch.done()
    assert (batch.total, batch.accepted, batch.end, batch.ends, batch.failures) == (
        count, count, "completed", {"completed": count}, [])
    assert pieces.arrived() == list(range(count))
    assert counts(chan) == {"completed": count}
    assert repr(batch) == f"<Batch of {count} on dma0chan0: {count} completed>"


def test_an_empty_batch_is_done(chan: Channel) -> None:
    batch = chan.memcpy_batch([], array("Q"), ())
    assert batch.wait().end == "completed" and batch.total == 0 and counts(chan) == {}


def test_a_batch_takes_lists_arrays_and_buffers(machine: Machine, chan: Channel) -> None:
    a, b = machine.alloc(64), machine.alloc(64)
    a.fill(b"z" * 64)
    chan.memcpy_batch([b, b.address], (a, a.address + 1), [64, 4]).wait()
    assert bytes(b) == b"z" * 64


@needs_numpy
@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint32", ">u8"])
def test_a_batch_takes_numpy_arrays(machine: Machine, chan: Channel, dtype: str) -> None:
    pieces = Pieces(machine, 100)
    arrays = [numpy.array(a, dtype=dtype) for a in pieces.args]
    for array_ in arrays:
        array_.setflags(write=False)
    chan.memcpy_batch(*arrays).wait()
    assert len(pieces.arrived()) == 100
    both = numpy.repeat(arrays[0], 2)[::2]
    chan.memcpy_batch(both, arrays[1], arrays[2]).wait()


WRONG_BATCHES: list[tuple[tuple[Any, Any, Any], str]] = [
    (([1], [1, 2], [1]), "dests, srcs and lengths are equally long, not 1, 2 and 1"),
    (([1, 2], [1, 2], [64, 0]), "lengths[1]: a copy has 1 to 4294967295 bytes, not 0"),
    (([1, 2], [1, 2], [1 << 32, 1]), "lengths[0]: a copy has 1 to 4294967295 bytes, not 4294967296"),
    (([1, -2], [1, 2], [1, 1]), "dests[1] is a number of 64 bits, not -2"),
    (([1, 2], [1, 1 << 64], [1, 1]), "srcs[1] is a number of 64 bits, not 18446744073709551616"),
    (([1, 2.5], [1, 1], [1, 1]), "dests[1] is a whole number, not 2.5"),
    (([1, 2], [1, None], [1, 1]), "srcs[1] is a whole number, not None"),
    ((5, [1], [1]), "dests is a list of numbers, not int"),
    (([1], [1], 64), "lengths is a list of numbers, not int"),
    (([1], "a", [1]), "srcs[0] is a whole number, not 'a'"),
    ((memoryview(bytes(16)).cast("Q", (1, 2)), [1], [1]), "dests is a list of numbers, not an array of 2 dimensions"),
]


@pytest.mark.parametrize(("args", "said"), WRONG_BATCHES)
def test_a_wrong_batch_gets_a_sentence_and_nothing_of_it_is_accepted(
        chan: Channel, args: tuple[Any, Any, Any], said: str) -> None:
    assert sentence(lambda: chan.memcpy_batch(*args), errno.EINVAL) == said
    assert counts(chan) == {} and not chan.open


@pytest.mark.parametrize(("fault", "ends"), [
    ("read-burst:30", {"completed": 29, "failed": 1}),
    ("evre:code=4:7-9", {"completed": 197, "failed": 3}),
    ("evre:code=5:1", {"completed": 199, "failed": 1}),
    ("irq-dup:1-20", {"completed": 200}),
    ("irq-spurious:*", {"completed": 200}),
    ("irq-late:1ms:1-3", {"completed": 200}),
])
def test_every_piece_of_a_batch_is_accounted_for(
        boot: Callable[..., Machine], fault: str, ends: dict[str, int]) -> None:
    # an error of the hardware is there when the handler looks for it: it recovers (row 2 is for the other case)
    machine = boot(instant="burst" in fault)
    chan = machine.dma.request_channel()
    machine.inject(fault)
    pieces = Pieces(machine, 200)
    batch = chan.memcpy_batch(*pieces.args)
    said = outcome(batch)
    assert batch.accepted == 200 == sum(batch.ends.values())
    assert counts(chan) == {end: count for end, count in batch.ends.items() if count}
    for end, count in ends.items():
        assert batch.ends[end] >= count
    arrived = set(pieces.arrived())
    failed = {number for number, _ in batch.failures}
    assert len(failed) == min(100, 200 - batch.ends["completed"])
    assert set(range(200)) - failed <= arrived
    if failed:
        first = min(failed)
        assert said.startswith("the batch of 200 on dma0chan0 failed: ")
        assert f"; the first is copy {first}, failed: " in said
    if "burst" in fault:
        assert min(failed) == 29 and 29 not in arrived, "counted over the whole batch"
        assert batch.failures[0][1] == (
            f"failed: failed: burst at 0x{pieces.src.address + 29 * 64:x} could not be read (injected), after 0 of 64 bytes")


def test_a_batch_goes_on_after_v14_has_recovered(boot: Callable[..., Machine]) -> None:
    machine = boot(instant=True)
    chan = machine.dma.request_channel()
    machine.inject("read-burst:10;read-burst:100;tre-fetch:150")
    pieces = Pieces(machine, 1000)
    batch = chan.memcpy_batch(*pieces.args)
    outcome(batch)
    assert batch.accepted == 1000 == batch.ends["completed"] + batch.ends["failed"]
    assert machine.dmesg().count("resetting...") == 3
    assert set(range(1000)) - set(pieces.arrived()) <= {number for number, _ in batch.failures} or len(batch.failures) == 100
    assert batch.ends["completed"] > 800
    chan.memcpy(0x80100000, 0x80200000, 64).wait()


def test_a_batch_of_which_v14_overlooks_an_error_is_lost(machine: Machine, chan: Channel) -> None:
    machine.inject("read-burst:30")
    slow_registers(machine)
    pieces = Pieces(machine, 200)
    with pytest.raises(TransferError) as caught:
        chan.memcpy_batch(*pieces.args)
    batch = caught.value.transfer
    assert str(caught.value.strerror).startswith("dma0chan0 takes no transfer: it is dead")
    said = outcome(batch)
    assert {end: count for end, count in batch.ends.items() if count} == counts(chan) == {
        "completed": 29, "lost by V14 (row 2)": batch.accepted - 29}
    assert f"{200 - batch.accepted} were not accepted" in said
    assert pieces.arrived() == list(range(29))


def test_a_batch_whose_channel_dies_tells_how_much_was_accepted(boot: Callable[..., Machine]) -> None:
    machine = boot(instant=True)
    chan = machine.dma.request_channel()
    machine.inject("read-burst:100;reset-stuck:trca")
    pieces = Pieces(machine, 1000)
    with pytest.raises(TransferError) as caught:
        chan.memcpy_batch(*pieces.args)
    batch = caught.value.transfer
    assert caught.value.errno == errno.ENODEV
    assert str(caught.value.strerror) == (
        "dma0chan0 takes no transfer: it is dead, its transfer channel is IN_RESET, its event channel is ERROR; only "
        f"unloading and loading the module hidma sets it up again; {batch.accepted} of 1000 copies were accepted")
    assert 64 <= batch.accepted < 1000
    assert outcome(batch).endswith(f"{1000 - batch.accepted} were not accepted")
    assert sum(batch.ends.values()) == batch.accepted and batch.ends["completed"] >= 99
    assert counts(chan) == dict(batch.ends)


def test_a_batch_of_which_nothing_was_accepted_says_that_alone(chan: Channel) -> None:
    chan.pause()
    with pytest.raises(TransferError, match="it is paused; .* 0 of 3 copies were accepted") as caught:
        chan.memcpy_batch([0x80100000] * 3, [0x80200000] * 3, [64] * 3)
    assert outcome(caught.value.transfer) == "the batch of 3 on dma0chan0 failed: 3 were not accepted"


def test_a_batch_that_gets_no_descriptors_back_tells_so(machine: Machine, chan: Channel) -> None:
    machine.inject("irq-lost:1+")
    pieces = Pieces(machine, 100)
    with pytest.raises(TransferError) as caught:
        chan.memcpy_batch(*pieces.args)
    assert caught.value.errno == errno.ENOMEM
    assert str(caught.value.strerror) == (
        "dma0chan0 has no descriptor free: 64 of 64 are in use; nothing moves any more, terminate_all() gives them back; "
        "64 of 100 copies were accepted")
    batch = caught.value.transfer
    assert "64 failed; the first is copy 0, failed: completed; its interrupt was lost; 36 were not accepted" in outcome(batch)
    chan.terminate_all()
    assert counts(chan) == {"failed": 64}


@pytest.mark.parametrize("act", ["terminate", "release", "pause", "stuck"])
def test_a_batch_in_flight_is_given_up_piece_by_piece(machine: Machine, chan: Channel, act: str) -> None:
    pieces = Pieces(machine, 50, 4096)
    batch = chan.memcpy_batch(*pieces.args)
    machine.run(5_000)
    if act == "pause":
        chan.pause()
        slow_registers(machine)
        assert "is not done: the channel is paused" in outcome(batch)
        assert batch.end == "pending" and counts(chan) == {"pending": 50}
        chan.resume()
        assert outcome(batch) == ""
        return
    if act == "stuck":
        machine.inject("suspend-stuck:trca")
        slow_registers(machine, 500)
        with pytest.raises(KernelOops) as oops:  # the rest completes
            chan.terminate_all()
        assert oops.value.row == 40
        assert batch.end == "lost by V14 (row 40)" and batch.ends["terminated"] == 0
        assert batch.accepted == 50 == sum(batch.ends.values())
        return
    chan.terminate_all() if act == "terminate" else chan.release()
    assert batch.end == "terminated" and batch.ends["terminated"] > 10
    assert batch.accepted == 50 == sum(batch.ends.values())
    assert set(range(batch.ends["completed"])) <= set(pieces.arrived())
    assert outcome(batch).startswith(f"the batch of 50 on dma0chan0 was {batch.end}: ")


def test_an_oops_in_a_batch_leaves_it_accounted_for(machine: Machine, chan: Channel) -> None:
    machine.inject("write-ptr:1040:200+")
    pieces = Pieces(machine, 1000)
    with pytest.raises(KernelOops):
        chan.memcpy_batch(*pieces.args)
    ended = counts(chan)
    assert ended["lost by V14 (row 37)"] > 0 and ended["completed"] > 100 and "pending" not in ended


def test_single_copies_and_callbacks_that_submit_may_come_between_the_pieces(boot: Callable[..., Machine]) -> None:
    machine = boot(cpus=1)
    chan = machine.dma.request_channel()
    made: list[Transfer] = []

    def again(transfer: Transfer) -> None:
        if len(made) < 40:
            with suppress(OSError):  # no descriptor: the chain ends
                made.append(chan.memcpy(0x80100000, 0x80200000, 64, again))

    for _ in range(4):
        made.append(chan.memcpy(0x80100000, 0x80200000, 64, again))
    machine.inject("evre:code=4:100-110")
    pieces = Pieces(machine, 500)
    batch = chan.memcpy_batch(*pieces.args)
    outcome(batch)
    for transfer in made:
        outcome(transfer)
    assert pieces.arrived() == list(range(500))
    bad = batch.ends["failed"] + sum(t.end == "failed" for t in made)
    assert bad == 11 and batch.ends["completed"] + batch.ends["failed"] == 500
    assert sum(counts(chan).values()) == 500 + len(made)


@pytest.mark.parametrize("instant", [False, True])
def test_a_copy_of_somebody_else_between_the_pieces_is_not_counted_as_one(
        boot: Callable[..., Machine], instant: bool) -> None:
    """Copies that callbacks submit take cookies and numbers in the middle of the batch: a first run shows which, in a second
    run these fail and no piece does.
    """
    def run(faults: str) -> tuple[list[Transfer], Batch]:
        machine = boot(cpus=1, instant=instant)
        chan = machine.dma.request_channel()
        if faults:
            machine.inject(faults)
        made: list[Transfer] = []

        def one_more(_: object) -> None:
            with suppress(OSError):  # the first one finds no descriptor that is free
                made.append(chan.memcpy(0x80100000, 0x80200000, 64))

        for _ in range(6):
            in_its_first_round(machine, chan, one_more)
        batch = chan.memcpy_batch(*Pieces(machine, 300).args)
        for item in (batch, *made):
            outcome(item)
        return made, batch

    made, batch = run("")
    assert len(made) >= 4
    assert all(60 < transfer.cookie < 300 for transfer in made), "in the middle of the batch"
    numbers = [transfer.sequence for transfer in made]
    made, batch = run(";".join(f"evre:code=4:{number + 1}" for number in numbers))
    assert [transfer.sequence for transfer in made] == numbers
    assert {transfer.end for transfer in made} == {"failed"}
    assert batch.failures == [] and batch.ends == {"completed": 300}


def test_a_batch_uses_no_byte_beyond_its_pieces(machine: Machine, chan: Channel) -> None:
    below, used, above = (machine.alloc(4096) for _ in range(3))
    assert below.address + 4096 == used.address and used.address + 4096 == above.address
    batch = chan.memcpy_batch([used.address] * 2, [used.address + 4096 - 64] * 2, [64] * 2)
    below.free()
    above.free()
    assert "is in use by a batch on dma0chan0" in sentence(used.free, errno.EBUSY)
    batch.wait()
    used.free()


# --- in the middle of it ----------------------------------------------------------------------------------------------


def in_its_first_round(machine: Machine, chan: Channel, callback: Any) -> None:
    """Let a copy be submitted that the doorbell of the next batch's first round starts (row 15)."""
    with machine.running():
        tx = dmaengine_prep_dma_memcpy(chan._chan, 0x80100000, 0x80200000, 64, 3)
        assert tx is not None
        tx.callback = callback
        tx.callback_param = None
        dmaengine_submit(tx)


def test_an_interruption_is_noticed_between_rounds(boot: Callable[..., Machine]) -> None:
    machine = boot(instant=True, cpus=1)
    chan = machine.dma.request_channel()
    # no line of Python runs for it: the batch itself has to let Python look for signals
    in_its_first_round(machine, chan, ctypes.pythonapi.PyErr_SetInterrupt)
    # who runs the tests in the background may have told them to ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            chan.memcpy_batch(*Pieces(machine, 1000).args)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert counts(chan) == {"completed": 63}
    assert chan.memcpy_batch(*Pieces(machine, 1000).args).wait().end == "completed"


def test_an_interruption_in_a_callback_stops_the_rounds(boot: Callable[..., Machine]) -> None:
    machine = boot(cpus=1)
    chan = machine.dma.request_channel()

    def interrupt(_: Transfer) -> None:
        raise KeyboardInterrupt

    chan.memcpy(0x80100000, 0x80200000, 64, interrupt)
    with pytest.raises(KeyboardInterrupt):
        chan.memcpy_batch(*Pieces(machine, 1000).args)
    ended = counts(chan)
    assert 63 <= sum(ended.values()) < 200
    machine.run(1_000_000)
    assert counts(chan) == {"completed": sum(ended.values())}


def test_the_ledger_knows_of_a_batch_while_it_is_submitted(boot: Callable[..., Machine]) -> None:
    machine = boot(cpus=1)
    chan = machine.dma.request_channel()
    seen: list[tuple[int, int]] = []

    def look(_: Transfer) -> None:
        known = sum(chan.ledger.values())
        seen.append((known, sum(item.accepted if isinstance(item, Batch) else 1 for item in chan.open)))

    long = chan.memcpy(0x80100000, 0x80300000, 16 * BIG, look)
    ledger = chan.ledger
    batch = chan.memcpy_batch(*Pieces(machine, 500).args)
    assert sum(ledger.values()) == 501
    batch.wait()
    assert outcome(long) == ""
    assert seen == [(64, 63)], "the first one has ended, the first round of the batch has not"
    assert counts(chan) == {"completed": 501}


def test_a_batch_lets_go_of_its_arrays(machine: Machine, chan: Channel) -> None:
    pieces = Pieces(machine, 100)
    chan.memcpy_batch(*pieces.args).wait()
    for numbers in pieces.args:
        numbers.append(1)  # nobody looks into its buffer any more


@pytest.mark.parametrize("data", [None, "text", 5])
def test_who_puts_another_thing_into_a_descriptor_of_a_batch_gets_an_error(
        boot: Callable[..., Machine], data: Any) -> None:
    machine = boot(instant=True, cpus=1)
    chan = machine.dma.request_channel()
    chan.memcpy_batch(*Pieces(machine, 64).args).wait()
    with pytest.raises(TypeError, match="counts on a BatchCounter"), machine.running():
        tx = dmaengine_prep_dma_memcpy(chan._chan, 0x80100000, 0x80200000, 64, 3)
        assert tx is not None and tx.callback is not None, "V14 leaves it there (row 46)"
        tx.callback_param = data
        dmaengine_submit(tx)
        dma_async_issue_pending(chan._chan)


def test_a_buffer_that_a_batch_reads_or_writes_is_not_freed(machine: Machine, chan: Channel) -> None:
    src, dest = machine.alloc(4096), machine.alloc(4096)
    batch = chan.memcpy_batch([dest.address] * 3, [src.address] * 3, [4096] * 3)
    for buffer in (src, dest):
        assert sentence(buffer.free, errno.EBUSY).endswith("is in use by a batch on dma0chan0; wait for it, or terminate it")
    batch.wait()
    src.free()
    dest.free()
