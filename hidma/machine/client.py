# SPDX-License-Identifier: GPL-2.0-only
"""The DMA client of the public face: channels, transfers, and the ledger of what became of each.

V14 tells its client less than the hardware knows: a transfer that failed reads as complete, and some are never heard
of again. A finished transfer here carries both: what the driver said and what the hardware did. It stands for no C
file: it is a client of the DMA engine as dmatest is one; for the ledger it looks into the driver's books and the
hardware's.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

from greenlet import GreenletExit  # type: ignore[import-untyped,unused-ignore]

from hidma.channel import lldev_of
from hidma.hw.channel import Channel as HwChannel
from hidma.hw.channel import Outcome
from hidma.hw.registers import ERROR, IN_RESET, STATES, STOPPED, SUSPENDED, TRE_SIZE
from hidma.linux import sched
from hidma.linux.dmaengine import (
    DMA_COMPLETE,
    DMA_IN_PROGRESS,
    DMA_MEMCPY,
    DMA_STATUS_NAMES,
    DmaAsyncTxDescriptor,
    DmaChan,
    dma_async_is_complete,
    dma_async_is_tx_complete,
    dma_async_issue_pending,
    dma_device_list,
    dma_release_channel,
    dma_request_channel,
    dmaengine_pause,
    dmaengine_prep_dma_memcpy,
    dmaengine_resume,
    dmaengine_submit,
    dmaengine_terminate_all,
)
from hidma.linux.errno import EBUSY, ECANCELED, EDEADLK, EINVAL, EIO, ENODEV, ENOMEM, ETIMEDOUT
from hidma.linux.kthread import WaitQueueHead, wait_event_timeout, wake_up
from hidma.linux.list import list_for_each_entry
from hidma.machine.batch import Batch, has_descriptor, takes
from hidma.machine.buffer import MAX_ADDRESS, Buffer, Host, bytes_of, u64, whole
from hidma.machine.ledger import (
    CODE_COMPLETE,
    COMPLETED,
    FAILED,
    FLAGS,
    LOST,
    MAX_LENGTH,
    NEVER_ANNOUNCED,
    PENDING,
    TERMINATED,
    UNDER_WAY,
    named,
    text_of,
)

if TYPE_CHECKING:
    from hidma.machine.ledger import Verdict

MAX_SECONDS = 1e9

# How long the caller sleeps before it looks again: a transfer that fails wakes nobody (row 17).
NAP_NS = 1000
LONGEST_NAP_NS = 1000000
MAX_NAP_NS = 1000000000

STATE_NAMES = {value: name for value, name, _ in STATES}


class TransferError(OSError):
    """A transfer that did not do what it was asked for; ``transfer`` (a Transfer or a Batch) says what became of it."""

    def __init__(self, errno: int, sentence: str, transfer: Transfer | Batch) -> None:
        super().__init__(errno, sentence)
        self.transfer = transfer


class Transfer:
    """One accepted copy.

    :ivar dest: bus address, u64
    :ivar src: bus address, u64
    :ivar length: bytes, u32
    :ivar cookie: the driver's cookie
    :ivar row: the row of docs/quirks, for a transfer that V14 lost
    :ivar driver: what the driver says: ``DMA_COMPLETE``, ``DMA_IN_PROGRESS`` or ``DMA_PAUSED``
    :ivar called: how often the driver has called back
    :ivar hardware: what the hardware did, with its reason
    """

    def __init__(self, channel: Channel, dest: int, src: int, length: int,
                 callback: Callable[[Transfer], Any] | None) -> None:
        self.channel = channel
        self.dest = dest
        self.src = src
        self.length = length
        self.callback = callback
        self.cookie = -1
        self.called = 0
        self.calling = False
        self.row: int | None = None
        self.driver = "DMA_IN_PROGRESS"
        self.hardware = "waiting"
        self.error: BaseException | None = None
        self.desc: Any = None
        self.sequence = -1
        self.epoch = 0
        self.terminating = False
        self.given_up = False
        self.bounce: list[tuple[Buffer, memoryview | None]] = []
        self._mdesc: Any = None
        self._end = PENDING
        self._oops = False

    @property
    def end(self) -> str:
        """How it ended: ``pending`` as long as it has not, ``completed``, ``failed``, ``terminated``, or
        ``lost by V14 (row n)``.
        """
        return named(self._end, self.row)

    def _done(self) -> None:
        """The driver calls back."""
        self.called += 1
        if self.called > 1:
            return  # V14: row 41
        channel = self.channel
        mdesc = self._mdesc if self.desc is None else self.desc
        if mdesc.desc.cookie:
            self.terminating = True  # the driver has not completed it, it gives it up (row 20)
        elif self.given_up:
            channel._reopen(self)  # V14 has found it after all
        self._settle()
        if self.callback is not None:
            self.calling = True
            try:
                self.callback(self)
            except (sched.KernelOops, GreenletExit):
                raise
            except Exception as error:  # the client's own mistake must not tear the driver down; wait() raises it
                self.error = error
            except BaseException as error:  # KeyboardInterrupt and the like: for whoever runs the machine
                channel._machine.interrupt(error)
            finally:
                self.calling = False
        wake_up(channel.waiters)

    def wait(self, timeout: float | None = None) -> Transfer:
        """Let the machine run until this transfer has ended, and its callback has returned.

        It returns, or raises, when nothing can happen any more that could end it, or when the time is over.

        :param timeout: virtual seconds to wait at most; None: as long as anything can still happen
        :returns: the transfer itself, completed
        :raises TransferError: it failed (EIO), was terminated (ECANCELED), was lost by V14 (EIO), or is not done yet
            (ETIMEDOUT: the time is over, or the channel is paused)
        :raises KernelOops: the kernel stopped before it ended
        :raises OSError: EDEADLK in a callback, EINVAL for a time-out that is none
        :raises Exception: what the callback has raised
        """
        self.channel._wait(self._returned, timeout)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self._end == COMPLETED:
            return self
        raise self.channel._complaint(self)

    def done(self) -> bool:
        """Whether it has ended, as far as can be known without letting time pass."""
        return self._end != PENDING or self.channel._look_now(self._settle)

    def _settle(self) -> bool:
        """Look at the driver and the hardware; whether the transfer has ended."""
        if self._end != PENDING:
            return True
        if self.cookie < 0:
            return False  # its callback comes before dmaengine_submit() has returned
        channel = self.channel
        status = dma_async_is_tx_complete(channel._chan, self.cookie)
        return self._judge(status)

    def _returned(self) -> bool:
        """Whether it has ended and nobody is in its callback but the caller."""
        return self._settle() and not (self.calling and not sched.in_interrupt(sched.running_cpu()))

    def _judge(self, status: int) -> bool:
        channel = self.channel
        if status == DMA_COMPLETE and self.desc.desc.cookie == self.cookie:
            status = DMA_IN_PROGRESS  # V14 has passed it over: later cookies are complete, this descriptor never was
        self.driver = DMA_STATUS_NAMES[status]
        if status != DMA_COMPLETE and not self.terminating:
            return False
        outcome = channel._outcome(self.sequence, self.epoch)
        self.hardware = text_of(outcome)
        if self.terminating:
            self._finish(TERMINATED)
        elif not self.called and channel._calls_back(self.desc):
            return False  # the cookie completes first (row 17): the client's callback is under way
        elif outcome.end == "completed":
            self._finish(COMPLETED if outcome.code == CODE_COMPLETE else FAILED)
        elif outcome.end in UNDER_WAY and not channel._at_rest():
            return False  # the driver was too early: the hardware will tell
        else:
            self.hardware = channel._standstill(outcome)
            self._finish(FAILED)
        return True

    def _give_up(self, verdict: Verdict) -> None:
        """No more will come: ``verdict`` says how it ended."""
        channel = self.channel
        end, self.row, self.hardware = verdict(self.cookie, channel._outcome(self.sequence, self.epoch))
        self.given_up = True
        channel._given_up[self] = None
        self._finish(end)

    def _finish(self, end: str) -> None:
        self._end = end
        self._mdesc, self.desc = self.desc, None
        channel = self.channel
        if end == COMPLETED:
            for buffer, target in self.bounce:
                if target is not None:
                    target[:] = buffer.view
        if self.bounce:
            channel._retired.append(self)
        channel._ended(self)

    def __repr__(self) -> str:
        return (f"<Transfer {self.cookie} of {self.channel.name}: {self.length} bytes, {self.end}; "
                f"driver {self.driver}, hardware {self.hardware}>")


def _transfer_done(transfer: ref[Transfer]) -> None:
    """The callback of a descriptor. The kernel holds no transfer: a machine that nobody holds any more can go."""
    there = transfer()
    if there is not None:
        there._done()


class Channel:
    """A DMA channel that was requested; use it as a context manager, or :meth:`release` it.

    :ivar name: ``dma0chan0``
    :ivar released: whether it was given back
    """

    def __init__(self, machine: Host, chan: DmaChan, hw: HwChannel) -> None:
        self._machine = machine
        self._chan = chan
        self._hw = hw
        self._lldev = lldev_of(chan)
        self._irq = machine.kernel.gic.descs.get(chan.container.dmadev.irq)
        self._ledger: Counter[str] = Counter({PENDING: 0, COMPLETED: 0, FAILED: 0, TERMINATED: 0})
        self._retired: list[Transfer] = []
        self.name = chan.name
        self.waiters = WaitQueueHead()
        self.open: dict[Transfer | Batch, None] = {}
        self._given_up: dict[Transfer, None] = {}  # V14 may call back for them after all
        self.released = False

    @property
    def ledger(self) -> Counter[str]:
        """How many accepted transfers (copies of batches counted singly) ended how, as far as it is known now.

        Keys are ``pending``, ``completed``, ``failed``, ``terminated`` and, where it happened, ``lost by V14 (row n)``.
        """
        if self.open:
            self._look_now(self._settle_all)
        return self._ledger

    # --- copies -----------------------------------------------------------------------------------------------

    def memcpy(self, dest: Any, src: Any, length: int | None = None,
               callback: Callable[[Transfer], Any] | None = None) -> Transfer:
        """Copy ``length`` bytes from ``src`` to ``dest``.

        :param dest: a :class:`Buffer`, a bus address (u64), or a writable buffer that is contiguous in memory (a
            bytearray, a numpy array; it is filled when the transfer completes)
        :param src: a :class:`Buffer`, a bus address (u64), or any buffer (its bytes are taken now)
        :param length: bytes, 1 to 4294967295; that of the shorter buffer when it is left out
        :param callback: called with the transfer when the driver says that it is done, or gives it up; V14 does not
            call it for a transfer that failed (row 17). It runs in the driver's tasklet: it may submit, but not wait
        :returns: the accepted transfer, in the ledger until it has ended
        :raises OSError: EINVAL (no such copy), ENOMEM (no descriptor or memory free), ENODEV (the channel takes
            nothing: it was released, is paused, is being set up after an error, or is dead)
        :raises KernelOops: the kernel stopped
        """
        self._check()
        if callback is not None and not callable(callback):
            raise OSError(EINVAL, f"a callback is called with the transfer, and {callback!r} cannot be called")
        to, to_size = self._place(dest, "the destination", True)
        at, at_size = self._place(src, "the source", False)
        room = min(to_size, at_size)
        if length is None:
            if room > MAX_LENGTH:
                raise OSError(EINVAL, "a copy between two bus addresses needs a length")
            length = room
        else:
            length = whole(length, "the length of a copy")
        if not 1 <= length <= MAX_LENGTH:
            raise OSError(EINVAL, f"a copy has 1 to {MAX_LENGTH} bytes, not {length}")
        if length > room:
            which = "destination" if to_size < at_size else "source"
            raise OSError(EINVAL, f"a copy of {length} bytes does not fit: the {which} has {room}")
        with self._machine.calling():
            bounce: list[tuple[Buffer, memoryview | None]] = []
            try:
                to_address = self._bus_address(to, length, True, bounce)
                at_address = self._bus_address(at, length, False, bounce)
                transfer = self._submit(to_address, at_address, length, callback, bounce)
            except OSError:
                for buffer, _ in bounce:
                    buffer.free()
                raise
            dma_async_issue_pending(self._chan)
            self._machine.settle()
        return transfer

    def _place(self, thing: Any, what: str, writable: bool) -> tuple[Any, int]:
        """What ``dest`` or ``src`` is: a Buffer, a number, or a view of bytes; and how many bytes it has."""
        if isinstance(thing, Buffer):
            if thing._machine is not self._machine:
                raise OSError(EINVAL, f"{what} is a buffer of another machine; {self.name} reaches its own machine's "
                                      "only")
            return thing, len(thing.view)
        if not isinstance(thing, (bytes, bytearray, memoryview, bool)):
            try:
                address = operator.index(thing)
            except TypeError:
                pass
            else:
                if not 0 <= address <= MAX_ADDRESS:
                    raise OSError(EINVAL, f"{what} is a bus address of 64 bits, not {address}")
                return address, MAX_LENGTH + 1
        view = bytes_of(thing, what, writable)
        return view, len(view)

    def _bus_address(self, place: Any, length: int, writable: bool,
                     bounce: list[tuple[Buffer, memoryview | None]]) -> int:
        if isinstance(place, Buffer):
            return place.address
        if isinstance(place, int):
            return place
        self._drain()
        buffer = self._machine.alloc(length)
        if not writable:
            buffer.view[:] = place[:length]
        bounce.append((buffer, place[:length] if writable else None))
        return buffer.address

    def _submit(self, dest: int, src: int, length: int, callback: Callable[[Transfer], Any] | None,
                bounce: list[tuple[Buffer, memoryview | None]]) -> Transfer:
        if not self._takes():
            raise OSError(ENODEV, f"{self.name} takes no transfer: {self._why_not()}")
        chan = self._chan
        tx = dmaengine_prep_dma_memcpy(chan, dest, src, length, FLAGS)
        if tx is None:
            raise OSError(ENOMEM, f"{self.name} has no descriptor free: {self._where_descriptors()}")
        transfer = Transfer(self, dest, src, length, callback)
        transfer.bounce = bounce
        transfer.desc = tx.container
        tx.callback = _transfer_done
        tx.callback_param = ref(transfer)  # V14 leaves both in the descriptor (row 46)
        before = len(self._hw.epochs)
        cookie = dmaengine_submit(tx)
        if cookie < 0:
            tx.callback = None
            raise OSError(-cookie, f"{self.name} takes no transfer: {self._why_not()}")
        transfer.cookie = cookie
        transfer.sequence, transfer.epoch = self._numbers(tx, 1, before)[-1][1:]
        self.open[transfer] = None
        self._ledger[PENDING] += 1
        return transfer

    def memcpy_batch(self, dests: Sequence[int], srcs: Sequence[int], lengths: Sequence[int]) -> Batch:
        """Copy many pieces with one completion.

        When there are more pieces than descriptors, the machine runs until all pieces are submitted. A piece that fails
        does not stop the others; when the channel does not recover, what was accepted until then is accounted for, and
        ``error.transfer`` is the batch.

        :param dests: bus addresses, u64: a numpy array, an ``array('Q')`` or a list
        :param srcs: the same
        :param lengths: bytes of each, 1 to 4294967295
        :returns: the batch
        :raises OSError: EINVAL (no such copies; none was accepted)
        :raises TransferError: ENODEV (the channel takes no more), ENOMEM (it gives no descriptor back)
        :raises KernelOops: the kernel stopped
        """
        self._check()
        to, at, sizes = (u64(a, what) for a, what in ((dests, "dests"), (srcs, "srcs"), (lengths, "lengths")))
        batch = Batch(self, to, at, sizes)
        with self._machine.calling():
            batch._submit()
        return batch

    def _make_room(self, batch: Batch, refused: int) -> None:
        """Let the machine run until V14 takes more of ``batch``; ``refused``: it has taken no more, though it had descriptors.

        :raises TransferError: it never will
        """
        if sched.in_interrupt(sched.running_cpu()):
            self._refuse(batch, EDEADLK, f"{self.name} takes no more copies now, and a callback cannot wait")
        if not self._takes() or refused:
            # while V14 recovers from an error nothing is taken; afterwards the rest is
            if not self._until(self._takes, None) and not self._machine.interrupted():
                self._refuse(batch, ENODEV, f"{self.name} takes no transfer: {self._why_not()}")
        elif not self._until(lambda: bool(has_descriptor(self._chan.container)), None) and not self._machine.interrupted():
            self._refuse(batch, ENOMEM, f"{self.name} has no descriptor free: {self._where_descriptors()}")

    def _refuse(self, batch: Batch, error: int, why: str) -> None:
        raise TransferError(error, f"{why}; {batch.accepted} of {batch.total} copies were accepted", batch)

    # --- state ------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Pause the channel: what is being moved completes, the rest waits; a paused channel takes no transfers.

        :raises OSError: ENODEV (released), ETIMEDOUT (the hardware does not pause; V14 takes the channel for paused)
        """
        self._check()
        with self._machine.calling():
            rc = dmaengine_pause(self._chan)
            self._machine.settle()
        if rc or not self._hw.trca.state == self._hw.evca.state == SUSPENDED and not self._stopped():
            raise OSError(-rc or ETIMEDOUT, f"{self.name} does not pause: {self._states()}; V14 takes it for paused, "
                                            "and resume() takes that back")

    def resume(self) -> None:
        """Go on after :meth:`pause`.

        :raises OSError: ENODEV (released), ETIMEDOUT (the hardware does not go on; the channel stays paused)
        """
        self._check()
        with self._machine.calling():
            rc = dmaengine_resume(self._chan)
            self._machine.settle()
        if rc:
            raise OSError(-rc, f"{self.name} does not resume: {self._states()}")

    def terminate_all(self) -> None:
        """Give up every transfer of the channel and set its hardware up anew.

        :raises OSError: ENODEV (released), ETIMEDOUT (the hardware does not stop: what was pending is lost, row 40; or
            it does not start again)
        """
        self._check()
        with self._machine.calling():
            rc = self._terminate()
        if rc:
            raise OSError(-rc, f"{self.name} could not be terminated: {self._states()}; {self._hope('it may work')}")

    def _terminate(self) -> int:
        items = list(self.open)
        there = self._descriptors()
        rc = dmaengine_terminate_all(self._chan)
        self._sweep(items, self._descriptors() < there)
        return rc

    def _sweep(self, items: list[Transfer | Batch], gone: bool) -> None:
        """V14 has given up ``items``; ``gone``: and did not give them back (row 40)."""
        if not sched.in_interrupt(sched.running_cpu()):
            self._machine.settle()
            self._until(self._at_rest, None)
        row = 40 if gone else None
        for item in items:
            if item._settle():
                if isinstance(item, Transfer):
                    item.hardware = text_of(self._outcome(item.sequence, item.epoch))
            else:
                item._give_up(lambda cookie, outcome: (LOST if gone else TERMINATED, row, text_of(outcome)))
        self._drain()

    def status(self, cookie: int) -> str:
        """What the driver says about ``cookie``: ``DMA_COMPLETE``, ``DMA_IN_PROGRESS``, ``DMA_PAUSED``.

        :raises OSError: EINVAL (no cookie), ENODEV (released)
        """
        self._check()
        number = whole(cookie, "a cookie")
        if not 1 <= number <= 0x7FFFFFFF:
            raise OSError(EINVAL, f"a cookie is a number from 1 to 2147483647, not {number}")
        with self._machine.calling():
            return DMA_STATUS_NAMES[dma_async_is_tx_complete(self._chan, number)]

    def release(self, terminate: bool = True) -> None:
        """Give the channel back; a second time does nothing.

        :param terminate: terminate what is in flight before, as a client must; without it V14 frees descriptors that
            are in use (row 36)
        :raises KernelOops: the kernel stopped
        :raises OSError: EDEADLK in a callback
        """
        if self.released:
            return
        with self._machine.calling():
            self._may_wait("release()")
            self._machine.settle()
            if terminate and (any(True for _ in self._lists()) or not self._at_rest()) and self._terminate() and self._hw.waiting:
                self._terminate()  # the hardware would go on with what V14 has forgotten
            items = list(self.open)
            called = [item.counter.called for item in items if isinstance(item, Batch)]
            self.released = True
            dma_release_channel(self._chan)
            back = [item.counter.called for item in items if isinstance(item, Batch)]
            self._sweep(items, back == called)
            self._machine.settle()
        self._machine.dma.released(self)

    def _check(self) -> None:
        if self.released:
            raise OSError(ENODEV, f"{self.name} was released; request_channel() gives a channel again")
        self._machine.check_open()
        if self._chan.device.dev.driver is None:
            raise OSError(ENODEV, f"{self.name} is gone: V14's driver was unbound from {self._chan.device.dev.name}")

    def _takes(self) -> bool:
        """Whether V14 takes a transfer now, and the hardware will do it."""
        return bool(takes(self._hw))

    def _states(self) -> str:
        said = []
        for what, block in (("transfer", self._hw.trca), ("event", self._hw.evca)):
            text = STATE_NAMES.get(block.state, str(block.state))
            if block.pending >= 0:
                text += f" and hangs on its way to {STATE_NAMES.get(block.pending, str(block.pending))}"
            elif block.dead and block.state not in (ERROR, IN_RESET):
                text += ", but an error stopped it"
            said.append(f"its {what} channel is {text}")
        return ", ".join(said)

    def _hope(self, again: str = "terminate_all() sets it up") -> str:
        """Whether terminate_all() could set a dead channel up again: V14 suspends it for that."""
        blocks = (self._hw.trca, self._hw.evca)
        if any(block.dead or block.state in (ERROR, IN_RESET) for block in blocks):
            return "only unloading and loading the module hidma sets it up again"
        return f"{again} again"

    def _stopped(self) -> bool:
        """Whether the manager has taken the channel away."""
        return not self._hw.runs or STOPPED in (self._hw.trca.state, self._hw.evca.state)

    def _paused(self) -> bool:
        return bool(self._chan.container.paused) and not self._hw.may_continue

    def _why_not(self) -> str:
        if self._stopped():
            return "the management block has stopped it"
        if self._paused():
            return "it is paused; resume() lets it go on"
        if not self._at_rest():
            return "V14 is setting it up again after an error; run the machine for a while and try again"
        return f"it is dead, {self._states()}; {self._hope()}"

    def _where_descriptors(self) -> str:
        mchan = self._chan.container
        total = mchan.dmadev.nr_descriptors
        refused = sum(1 for _ in list_for_each_entry(mchan.prepared))
        gone = total - self._descriptors()
        said = [f"{total - refused - gone} of {total} are in use"]
        if refused:
            said.append(f"{refused} belong to transfers that V14 refused (terminate_all() gives them back)")
        if gone:
            said.append(f"{gone} were lost by V14 (row 40)")
        if self._paused() or self._stopped() or not self._takes():
            hint = self._why_not()
        elif self._at_rest():
            hint = "nothing moves any more, terminate_all() gives them back"
        else:
            hint = "wait for a transfer, or give the channel a larger desc-count"
        return ", ".join(said) + f"; {hint}"

    def _lists(self) -> Iterator[Any]:
        mchan = self._chan.container
        for head in (mchan.active, mchan.prepared, mchan.completed):
            yield from list_for_each_entry(head)

    def _descriptors(self) -> int:
        """How many descriptors V14 still knows of."""
        return sum(1 for _ in self._lists()) + sum(1 for _ in list_for_each_entry(self._chan.container.free))

    def _holds_any(self, low: int, high: int) -> bool:
        """Whether V14 has a descriptor whose cookie is from ``low`` to below ``high``."""
        return any(low <= mdesc.desc.cookie < high for mdesc in self._lists())

    # --- the ledger -------------------------------------------------------------------------------------------

    def _number(self, slot: int) -> int:
        """The number that the hardware gives, or gave, to the TRE that V14 has put into ``slot`` of the ring."""
        hw = self._hw
        length = self._lldev.tre_ring_size
        offset = slot * TRE_SIZE
        ahead = (offset - hw.tre_end) % length
        if ahead < (self._lldev.tre_write_offset - hw.tre_end) % length:
            return hw.accepted + ahead // TRE_SIZE
        return hw.sequence_at(offset)

    def _numbers(self, tx: DmaAsyncTxDescriptor, count: int, before: int) -> list[tuple[int, int, int]]:
        """Numbers of the ``count`` TREs that end with that of ``tx``, submitted since there were ``before`` resets:
        (how many, number of the first or -1, resets).
        """
        lldev = self._lldev
        tre = lldev.trepool[tx.container.tre_ch]
        slot = tre.tre_index
        resets = len(self._hw.epochs)
        if resets == before:
            return [(count, self._number(slot) - count + 1, resets)]
        # V14 has recovered from an error meanwhile: what was in the ring before never got a doorbell
        fresh = min(count, slot + 1) if lldev.pending_tre_list[slot] is tre else 0
        parts = [(count - fresh, -1, before)] if fresh < count else []
        if fresh:
            parts.append((fresh, self._number(slot) - fresh + 1, resets))
        return parts

    def _outcome(self, sequence: int, epoch: int) -> Outcome:
        """What the hardware did with a TRE that was submitted when there had been ``epoch`` resets."""
        epochs = self._hw.epochs
        if sequence < 0 or len(epochs) > epoch and sequence >= epochs[epoch]:
            return NEVER_ANNOUNCED
        return self._hw.outcome(sequence)

    def _odd_in(self, first: int, count: int, epoch: int) -> list[tuple[int, int, Outcome]]:
        """(number of the first, how many, outcome) of the TREs of a range that are not simply completed."""
        hw = self._hw
        end = first + count
        limit = end
        odd = []
        if len(hw.epochs) > epoch and hw.epochs[epoch] < end:
            limit = max(first, hw.epochs[epoch])
            odd.append((limit, end - limit, NEVER_ANNOUNCED))
        place = bisect_right(hw.history, first, key=lambda entry: entry[0]) - 1
        for start, number, outcome in hw.history[max(place, 0):]:
            low, high = max(start, first), min(start + number, limit)
            if start >= limit:
                break
            if low < high:
                odd.append((low, high - low, outcome))
        begun = hw.sequence if hw.stage == 0 else hw.sequence - 1
        some = (*range(max(first, begun), limit), *range(first, min(limit, hw.forgotten)))
        return odd + [(sequence, 1, hw.outcome(sequence)) for sequence in some]

    def _ended(self, transfer: Transfer) -> None:
        self.open.pop(transfer, None)
        self._ledger[PENDING] -= 1
        self._ledger[transfer.end] += 1

    def _count(self, end: str, number: int) -> None:
        self._ledger[PENDING] -= number
        self._ledger[end] += number

    def _forget(self, batch: Batch) -> None:
        self.open.pop(batch, None)

    def _reopen(self, transfer: Transfer) -> None:
        """V14 calls back for a transfer that nobody expected anything of."""
        self._ledger[transfer.end] -= 1
        self._ledger[PENDING] += 1
        self._given_up.pop(transfer, None)
        self._retired = [other for other in self._retired if other is not transfer]
        self.open[transfer] = None
        transfer.row = None
        transfer.given_up = False
        transfer.desc = transfer._mdesc
        transfer._end = PENDING

    def _drain(self) -> None:
        """Free the copies of buffers that the hardware has no more business with."""
        kept = []
        for transfer in self._retired:
            outcome = self._outcome(transfer.sequence, transfer.epoch)
            late = transfer.given_up and self._holds_any(transfer.cookie, transfer.cookie + 1)
            if late or outcome.end in UNDER_WAY:
                kept.append(transfer)
                continue
            bounce, transfer.bounce = transfer.bounce, []
            for buffer, _ in bounce:
                buffer.free()
        self._retired = kept

    def _settle_all(self) -> bool:
        for item in list(self.open):
            item._settle()
        if self.open and self._at_rest():
            self._give_up()
        return not self.open

    def _give_up(self) -> None:
        """Nothing can happen any more by itself: what is still open stays so if the client can go on with it, and has
        ended otherwise.
        """
        if self._stopped() or self._paused():
            return
        for item in list(self.open):
            if not item._settle():
                item._give_up(self._verdict)

    def _verdict(self, cookie: int, outcome: Outcome) -> tuple[str, int | None, str]:
        """How a transfer ended that V14 has not completed and never will."""
        hw = self._hw
        text = text_of(outcome)
        mdesc = next((mdesc for mdesc in self._lists() if mdesc.desc.cookie == cookie), None)
        if mdesc is None:
            return LOST, 40, text
        if self._lldev.trepool is None:  # hidma_ll_uninit() has freed it
            return FAILED, None, f"{text}; V14's driver was unbound from {self._chan.device.dev.name}"
        tre = self._lldev.trepool[mdesc.tre_ch]
        if outcome.end == "completed":
            if hw.swallowed:
                return FAILED, None, f"{text}; its interrupt was lost"
            if not tre.queued:
                return LOST, 47, text
            return LOST, 1 if self._lldev.pending_tre_list[tre.tre_index] is tre else 6, text
        if outcome.end == "dropped":
            return LOST, 12, text
        if hw.trca.dead and not hw.swallowed:
            return LOST, 2, self._standstill(outcome)
        return FAILED, None, self._standstill(outcome)

    def _standstill(self, outcome: Outcome) -> str:
        """What the hardware did with a TRE that it will not go on with."""
        text = text_of(outcome)
        if outcome.end not in UNDER_WAY and outcome.end != "failed":
            return text
        if self._hw.swallowed:
            text += "; its interrupt was lost"
        elif outcome.end == "moving" and self._hw.full():
            return f"{text}; there is no room in the event ring"
        return f"{text}; {self._states()}" if outcome.end != "failed" else text

    def _close_books(self, verdict: Verdict, oops: bool) -> None:
        """The machine is off, or its kernel has stopped: what became of everything open?"""
        chan = self._chan
        for item in list(self.open):
            if isinstance(item, Transfer):
                status = dma_async_is_complete(item.cookie, chan.completed_cookie, chan.cookie)
                if item._judge(status):
                    continue
            item._oops = oops
            item._give_up(verdict)

    # --- waiting ----------------------------------------------------------------------------------------------

    def _at_rest(self) -> bool:
        """Whether nothing is under way on the channel: in the hardware, on its line, in handler and tasklets."""
        hw = self._hw
        if hw.queued or hw.level and not hw.swallowed and not hw.line.level:
            return False
        irq = self._irq
        if irq is not None and (irq.pending or irq.in_progress) or self._machine.forwarding():
            return False
        task = self._lldev.task
        issue = self._chan.container.dmadev.task
        return not (task.state or task.running or issue.state or issue.running)

    def _calls_back(self, mdesc: Any) -> bool:
        """Whether V14 is about to call back for a descriptor whose cookie is complete."""
        machine = self._machine
        if not self._lldev.task.running or machine.closed or machine.kernel.dead is not None:
            return False
        return bool(self._lldev.tx_status_list[mdesc.tre_ch].err_code & CODE_COMPLETE)

    def _may_wait(self, what: str) -> None:
        if sched.in_interrupt(sched.running_cpu()):
            raise OSError(EDEADLK, f"{what} was called in a callback, which runs in the driver's tasklet and cannot "
                                   "wait; call it outside")

    def _until(self, ready: Callable[[], bool], deadline: int | None) -> bool:
        """Sleep until ``ready()``; False when it will never be, when ``deadline`` (ns) is over or somebody
        interrupts.
        """
        machine = self._machine
        clock = machine.clock
        nap = NAP_NS
        while not ready():
            if self._at_rest() or machine.interrupted():
                return ready()
            now = clock.now
            if deadline is not None and now >= deadline:
                return False
            time = nap
            if machine.quiet():
                time = max(time, min(clock.next_event() - now, MAX_NAP_NS))
            if deadline is not None:
                time = min(time, deadline - now)
            if wait_event_timeout(self.waiters, ready, time) < 0:
                return ready()
            nap = min(2 * nap, LONGEST_NAP_NS)
        return True

    def _wait(self, settled: Callable[[], bool], timeout: float | None) -> None:
        if timeout is not None:
            if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
                raise OSError(EINVAL, f"a time-out is a number of seconds, not {timeout!r}")
            if not 0 <= timeout <= MAX_SECONDS:
                raise OSError(EINVAL, f"a time-out is from 0 to {MAX_SECONDS:.0f} seconds, not {timeout}")
        machine = self._machine
        if machine.closed or machine.kernel.dead is not None:
            return
        with machine.calling():
            if settled():
                return
            self._may_wait("wait()")
            machine.settle()
            deadline = None if timeout is None else machine.clock.now + int(timeout * 1e9)
            if not self._until(settled, deadline) and self._at_rest():
                self._give_up()

    def _look_now(self, settled: Callable[[], bool]) -> bool:
        """``settled()``, with what happens at this moment; no time passes."""
        machine = self._machine
        if machine.closed or machine.kernel.dead is not None:
            return True
        with machine.calling():
            machine.settle()
            return settled()

    def _complaint(self, item: Transfer | Batch) -> Exception:
        dead = self._machine.kernel.dead
        if item._oops and dead is not None:
            return self._machine.kernel.fault()
        end = item.end
        if isinstance(item, Transfer):
            what = f"transfer {item.cookie} on {self.name}"
            detail = f"the driver says {item.driver}, the hardware {item.hardware}"
        else:
            what = f"the batch of {item.total} on {self.name}"
            details = [", ".join(f"{count} {kind}" for kind, count in item.ends.items() if count)]
            if item.failures:
                details.append(f"the first is copy {item.failures[0][0]}, {item.failures[0][1]}")
            if item.accepted < item.total:
                details.append(f"{item.total - item.accepted} were not accepted")
            detail = "; ".join(filter(None, details))
        if end == PENDING:
            if self._stopped():
                hint = "the management block has stopped the channel"
            elif self._paused():
                hint = "the channel is paused, resume() lets it go on"
            else:
                hint = "the time is over, wait longer"
            return TransferError(ETIMEDOUT, f"{what} is not done: {hint}", item)
        if end == TERMINATED:
            return TransferError(ECANCELED, f"{what} was terminated: {detail}", item)
        if end.startswith(LOST):
            return TransferError(EIO, f"{what} was {end}: {detail}", item)
        return TransferError(EIO, f"{what} failed: {detail}", item)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        if self._machine.kernel.dead is None and not self._machine.closed:
            self.release()

    def __repr__(self) -> str:
        return f"<Channel {self.name} of {self._machine.kernel.name}{', released' if self.released else ''}>"


class Dma:
    """The DMA engine as a client sees it."""

    def __init__(self, machine: Host) -> None:
        self._machine = machine
        self.requested: dict[Channel, None] = {}
        self.past: Counter[str] = Counter()

    def names(self) -> list[str]:
        """The channels that are there: ``dma0chan0``, ..."""
        with self._machine.calling():
            return [chan.name for chan in self._channels()]

    def _channels(self) -> Iterator[DmaChan]:
        for device in dma_device_list():
            yield from list_for_each_entry(device.channels)

    def request_channel(self, name: str | None = None) -> Channel:
        """A channel for the caller alone: the first free one, or the one called ``name``.

        :raises OSError: ENODEV (there is none, and why), EBUSY (it is in use), ENOMEM (V14 has no descriptors for it)
        :raises KernelOops: the kernel stopped
        """
        if name is not None and not isinstance(name, str):
            raise OSError(EINVAL, f"the name of a channel is text such as 'dma0chan0', not {name!r}")
        with self._machine.calling():
            chan = dma_request_channel(1 << DMA_MEMCPY, lambda c, _: name is None or c.name == name)
            there = {c.name: c.client_count for c in self._channels()}
        if chan is None:
            if not there:
                raise OSError(ENODEV, f"there is no DMA channel: {self._machine.why_no_channel()}")
            if name is not None and name not in there:
                are = "is" if len(there) == 1 else "are"
                raise OSError(ENODEV, f"there is no channel {name!r}; there {are} {', '.join(there)}")
            free = [n for n, users in there.items() if not users and name in (None, n)]
            if free:
                raise OSError(ENOMEM, f"V14 has no descriptors for {free[0]}: those of its last user were lost (row "
                                      "40); unload and load the module hidma")
            who = f"{name} is" if name is not None else "every channel is"
            raise OSError(EBUSY, f"{who} in use; release one first")
        hw = self._machine.hw_channels[chan.container.dmadev.trca_resource.start]
        channel = Channel(self._machine, chan, hw)
        self.requested[channel] = None
        return channel

    def released(self, channel: Channel) -> None:
        """``channel`` was given back; its ledger is kept in the machine's."""
        if channel in self.requested:
            del self.requested[channel]
            self.past.update(channel._ledger)

    def kernel_died(self) -> None:
        """The kernel has stopped."""
        dead = self._machine.kernel.dead
        assert dead is not None
        end, row = LOST if dead.row is not None else FAILED, dead.row
        for channel in self.requested:
            channel._close_books(lambda _, outcome: (end, row, f"{text_of(outcome)}; the kernel stopped"), oops=True)

    def powered_off(self) -> None:
        """The machine is closed."""
        for channel in self.requested:
            channel._close_books(lambda _, outcome: (TERMINATED, None, f"{text_of(outcome)}; the machine was closed"), oops=False)

    def user_of(self, address: int, size: int) -> str | None:
        """The open transfer that uses the ``size`` bytes of RAM at ``address``, in words; None when none does."""
        end = address + size
        for channel in self.requested:
            for item in channel.open:
                if isinstance(item, Transfer):
                    spans = ((item.dest, item.length), (item.src, item.length))
                    if any(start < end and address < start + length for start, length in spans):
                        if not any(buffer.address == address for buffer, _ in item.bounce):
                            return f"transfer {item.cookie} on {channel.name}"
                elif item._uses(address, end):
                    return f"a batch on {channel.name}"
        return None
