# SPDX-License-Identifier: GPL-2.0-only
"""The DMA client of the public face: channels, transfers, and the ledger of what became of each.

V14 tells its client less than the hardware knows: a transfer that failed reads as complete, and some are never heard of
again. A finished transfer here carries both: what the driver said and what the hardware did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hidma.channel import lldev_of
from hidma.hw.channel import Channel as HwChannel
from hidma.linux import sched
from hidma.linux.dmaengine import (
    DMA_COMPLETE,
    DMA_MEMCPY,
    DMA_STATUS_NAMES,
    DmaChan,
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
from hidma.linux.errno import EBUSY, EINVAL, EIO, ENODEV, ENOMEM, ETIMEDOUT, errname
from hidma.linux.kthread import WaitQueueHead, wait_event_timeout, wake_up
from hidma.linux.list import list_for_each_entry
from hidma.linux.types import function

if TYPE_CHECKING:
    from hidma.machine import Machine

PENDING = "pending"
COMPLETED = "completed"
FAILED = "failed"
TERMINATED = "terminated"
LOST = "lost by V14"

FLAGS = 3  # DMA_PREP_INTERRUPT | DMA_CTRL_ACK
TRE_BYTES = 32
MAX_LENGTH = 0xFFFFFFFF


class TransferError(OSError):
    """A transfer that did not do what it was asked for; ``transfer`` says what became of it."""

    def __init__(self, errno: int, sentence: str, transfer: Any) -> None:
        super().__init__(errno, sentence)
        self.transfer = transfer


class Buffer:
    """RAM of a machine that channels can reach.

    :ivar address: bus address of the first byte
    :ivar size: bytes
    :ivar view: the bytes, as a writable memoryview (``numpy.asarray(buffer)`` works too)
    """

    def __init__(self, machine: Machine, address: int, size: int) -> None:
        self._machine = machine
        self.address = address
        self.size = size
        self.view = machine.memory.slice(address, size)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> Any:
        part = self.view[key]
        return bytes(part) if isinstance(part, memoryview) else part

    def __setitem__(self, key: Any, value: Any) -> None:
        self.view[key] = value

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"shape": (self.size,), "typestr": "|u1", "data": self.view, "version": 3}

    def fill(self, data: Any) -> None:
        """Copy the bytes of ``data`` (any buffer) to the beginning."""
        source = memoryview(data).cast("B")
        if len(source) > self.size:
            raise OSError(EINVAL, f"{len(source)} bytes do not fit into a buffer of {self.size}")
        self.view[: len(source)] = source

    def free(self) -> None:
        """Give the memory back; the buffer is of no use afterwards."""
        self.view.release()
        self._machine.kernel.dma_ops.pages.release(self.address)


class Transfer:
    """One accepted copy.

    :ivar cookie: the driver's cookie
    :ivar end: ``pending``, ``completed``, ``failed``, ``terminated`` or ``lost by V14``
    :ivar row: the row of docs/quirks, for a transfer that V14 lost
    :ivar driver: what the driver says (``DMA_COMPLETE``, ...), and whether it called back (``called``)
    :ivar hardware: what the hardware did, with its reason
    """

    def __init__(self, channel: Channel, dest: int, src: int, length: int,
                 callback: Callable[[Transfer], Any] | None) -> None:
        self.channel = channel
        self.dest = dest
        self.src = src
        self.length = length
        self.callback = callback
        self.cookie = 0
        self.called = 0
        self.row: int | None = None
        self.end = PENDING
        self.driver = "DMA_IN_PROGRESS"
        self.hardware = "waiting"
        self.error: BaseException | None = None
        self.desc: Any = None
        self.sequence = -1
        self.epoch = 0
        self.terminating = False
        self.bounce: list[tuple[Buffer, memoryview | None]] = []

    def _done(self, _: Any) -> None:
        """The driver's callback."""
        self.called += 1
        if self.channel.terminating:
            self.terminating = True
        if self.callback is not None and self.called == 1:
            try:
                self.callback(self)
            except sched.KernelOops:
                raise
            except BaseException as error:  # the client's own mistake must not tear the driver down; wait() raises it
                self.error = error
        wake_up(self.channel.waiters)

    def wait(self, timeout: float | None = None) -> Transfer:
        """Let the machine run until this transfer has ended.

        :param timeout: virtual seconds to wait at most; None: as long as anything can still happen
        :returns: the transfer itself
        :raises TransferError: it failed (EIO), was terminated (ECANCELED), was lost by V14 (EIO), or is not done yet when
            the time is over (ETIMEDOUT)
        :raises KernelOops: the kernel stopped
        """
        self.channel._wait(lambda: self.end != PENDING or self._settle(), timeout)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self.end == COMPLETED:
            return self
        raise self.channel._complain(self)

    def done(self) -> bool:
        """Whether it has ended, as far as can be known without letting time pass."""
        with self.channel._machine.running():
            return self._settle()

    def _settle(self) -> bool:
        """Look at the driver and the hardware; whether the transfer has ended."""
        if self.end != PENDING:
            return True
        status = dma_async_is_tx_complete(self.channel._chan, self.cookie)
        self.driver = DMA_STATUS_NAMES[status]
        outcome = self.channel._outcome(self.sequence, self.epoch)
        self.hardware = outcome.end + (f": {outcome.cause}" if outcome.cause else "")
        if self.terminating:
            self._finish(TERMINATED)
        elif status == DMA_COMPLETE:
            self._finish(COMPLETED if outcome.end == "completed" and outcome.code & 1 else FAILED)
        return self.end != PENDING

    def _finish(self, end: str) -> None:
        self.end = end
        self.desc = None
        for buffer, target in self.bounce:
            if target is not None and end == COMPLETED:
                target[:] = buffer.view
            buffer.free()
        self.bounce = []
        self.channel._ended(self)

    def __repr__(self) -> str:
        row = f" (row {self.row})" if self.row is not None else ""
        return (f"<Transfer {self.cookie} of {self.channel.name}: {self.length} bytes, {self.end}{row}; "
                f"driver {self.driver}, hardware {self.hardware}>")


class BatchCounter:
    """What the callbacks of a batch count."""

    def __init__(self) -> None:
        self.called = 0
        self.wanted = 0


def batch_done(data: Any) -> int:
    """The callback of every descriptor of a batch."""
    counter = data
    counter.called += 1
    return 0


def queue_batch(chan: DmaChan, counter: BatchCounter, dests: Any, srcs: Any, lengths: Any, first: int, count: int) -> int:
    """Prepare and submit copies ``first`` to ``count``, as long as the driver has descriptors.

    Returns how many were accepted; a negative errno when the very first was refused.
    """
    done = function(batch_done)
    i = first
    while i < count:
        tx = dmaengine_prep_dma_memcpy(chan, dests[i], srcs[i], lengths[i], FLAGS)
        if tx is None:
            break
        tx.callback = done
        tx.callback_param = counter
        cookie = dmaengine_submit(tx)
        if cookie < 0:
            if i == first:
                return cookie
            break
        i += 1
    return i - first


class Batch:
    """Many copies with one completion.

    :ivar total: how many copies
    :ivar ends: how many ended how
    """

    def __init__(self, channel: Channel, total: int) -> None:
        self.channel = channel
        self.total = total
        self.counter = BatchCounter()
        self.parts: list[tuple[int, int, int, int]] = []  # last cookie, first sequence, count, epoch
        self.ends: Counter[str] = Counter()
        self.accepted = 0
        self.open_parts = 0
        self.failures: list[tuple[int, str]] = []

    @property
    def end(self) -> str:
        """How the batch as a whole ended: the worst of its copies."""
        if sum(self.ends.values()) < self.accepted:
            return PENDING
        for end in (LOST, TERMINATED, FAILED):
            if self.ends[end]:
                return end
        return COMPLETED

    def _settle(self) -> bool:
        chan = self.channel._chan
        while self.open_parts < len(self.parts):
            cookie, first, count, epoch = self.parts[self.open_parts]
            if dma_async_is_tx_complete(chan, cookie) != DMA_COMPLETE:
                return False
            self._judge(first, count, epoch)
            self.open_parts += 1
        return True

    def _judge(self, first: int, count: int, epoch: int) -> None:
        bad = self.channel._bad_in(first, count, epoch)
        for sequence, text in bad[:100]:
            self.failures.append((sequence - first, text))
        self.ends[FAILED] += len(bad)
        self.ends[COMPLETED] += count - len(bad)
        self.channel.ledger[FAILED] += len(bad)
        self.channel.ledger[COMPLETED] += count - len(bad)
        self.channel.ledger[PENDING] -= count

    def _give_up(self, end: str) -> None:
        for _, _, count, _ in self.parts[self.open_parts:]:
            self.ends[end] += count
            self.channel.ledger[end] += count
            self.channel.ledger[PENDING] -= count
        self.open_parts = len(self.parts)

    def wait(self, timeout: float | None = None) -> Batch:
        """Let the machine run until all copies have ended; as :meth:`Transfer.wait`."""
        self.channel._wait(self._settle, timeout)
        if self.end == COMPLETED:
            return self
        raise self.channel._complain(self)

    def __repr__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.items() if count)
        return f"<Batch of {self.total} on {self.channel.name}: {ends or PENDING}>"


class Channel:
    """A DMA channel that was requested; use it as a context manager, or :meth:`release` it.

    :ivar name: ``dma0chan0``
    :ivar ledger: how many accepted transfers ended how
    """

    def __init__(self, machine: Machine, chan: DmaChan, hw: HwChannel) -> None:
        self._machine = machine
        self._chan = chan
        self._hw = hw
        self._lldev = lldev_of(chan)
        self.name = chan.name
        self.waiters = WaitQueueHead()
        self.open: list[Transfer | Batch] = []
        self.ledger: Counter[str] = Counter({PENDING: 0, COMPLETED: 0, FAILED: 0, TERMINATED: 0, LOST: 0})
        self.terminating = False
        self.released = False

    # --- copies -----------------------------------------------------------------------------------------------

    def memcpy(self, dest: Any, src: Any, length: int | None = None,
               callback: Callable[[Transfer], Any] | None = None) -> Transfer:
        """Copy ``length`` bytes from ``src`` to ``dest``.

        :param dest: a :class:`Buffer`, a bus address (u64), or any writable buffer (filled when :meth:`Transfer.wait` returns)
        :param src: a :class:`Buffer`, a bus address (u64), or any buffer
        :param length: bytes, 1 to 4294967295; that of the shorter buffer when it is left out
        :param callback: called with the transfer when the driver says that it is done
        :returns: the accepted transfer, in the ledger until it has ended
        :raises OSError: EINVAL (no such copy), ENOMEM (no descriptor or memory free), ENODEV (the channel is dead)
        """
        self._check()
        sizes = [len(memoryview(x).cast("B")) if not isinstance(x, Buffer) else x.size
                 for x in (dest, src) if not isinstance(x, int)]
        if length is None:
            if not sizes:
                raise OSError(EINVAL, "a copy between two bus addresses needs a length")
            length = min(sizes)
        if not isinstance(length, int) or not 1 <= length <= MAX_LENGTH:
            raise OSError(EINVAL, f"a copy has 1 to {MAX_LENGTH} bytes, not {length!r}")
        if sizes and length > min(sizes):
            raise OSError(EINVAL, f"{length} bytes do not fit: the smaller buffer has {min(sizes)}")
        bounce: list[tuple[Buffer, memoryview | None]] = []
        try:
            dest_address = self._address(dest, length, True, bounce)
            src_address = self._address(src, length, False, bounce)
            with self._machine.running():
                transfer = self._submit(dest_address, src_address, length, callback)
                transfer.bounce = bounce
                dma_async_issue_pending(self._chan)
                self._machine.settle()
        except OSError:
            for buffer, _ in bounce:
                buffer.free()
            raise
        return transfer

    def _address(self, thing: Any, length: int, writable: bool, bounce: list[tuple[Buffer, memoryview | None]]) -> int:
        if isinstance(thing, Buffer):
            return thing.address
        if isinstance(thing, int):
            if not 0 <= thing < 1 << 64:
                raise OSError(EINVAL, f"a bus address is a number of 64 bits, not {thing}")
            return thing
        view = memoryview(thing).cast("B")
        if writable and view.readonly:
            raise OSError(EINVAL, "the destination is a read-only buffer; a bytearray or an array can be written")
        buffer = self._machine.alloc(length)
        if not writable:
            buffer.view[:] = view[:length]
        bounce.append((buffer, view[:length] if writable else None))
        return buffer.address

    def _submit(self, dest: int, src: int, length: int, callback: Callable[[Transfer], Any] | None) -> Transfer:
        chan = self._chan
        tx = dmaengine_prep_dma_memcpy(chan, dest, src, length, FLAGS)
        if tx is None:
            raise OSError(ENOMEM, f"{self.name} has no descriptor free ({chan.container.dmadev.nr_descriptors} in use); "
                                  "wait for a transfer first, or give the channel a larger desc-count")
        transfer = Transfer(self, dest, src, length, callback)
        tx.callback = transfer._done
        tx.callback_param = None
        tre_ch = tx.container.tre_ch
        transfer.sequence, transfer.epoch = self._next_sequence()
        cookie = dmaengine_submit(tx)
        if cookie < 0:
            # V14 leaves the descriptor on its list of prepared ones; terminate_all gives it back
            raise OSError(-cookie, f"{self.name} takes no transfer: {self._why_dead()} ({errname(cookie)})")
        transfer.cookie = cookie
        transfer.desc = tx.container
        del tre_ch
        self.open.append(transfer)
        self.ledger[PENDING] += 1
        return transfer

    def memcpy_batch(self, dests: Sequence[int], srcs: Sequence[int], lengths: Sequence[int]) -> Batch:
        """Copy many pieces with one completion.

        :param dests: bus addresses, u64 (a numpy array of uint64, an ``array('Q')``, or a list)
        :param srcs: the same
        :param lengths: bytes of each, 1 to 4294967295
        :returns: the batch; when there are more pieces than descriptors, all but the last of them are done already
        :raises OSError: EINVAL (lists of different lengths, a piece that is no copy), ENODEV (the channel is dead)
        """
        self._check()
        arrays = [_u64(a, what) for a, what in ((dests, "dests"), (srcs, "srcs"), (lengths, "lengths"))]
        count = len(arrays[0])
        if not len(arrays[1]) == len(arrays[2]) == count:
            raise OSError(EINVAL, f"dests, srcs and lengths are of equal length, not {', '.join(str(len(a)) for a in arrays)}")
        if count and (min(arrays[2]) < 1 or max(arrays[2]) > MAX_LENGTH):
            raise OSError(EINVAL, f"each piece has 1 to {MAX_LENGTH} bytes, not {min(arrays[2])} or {max(arrays[2])}")
        batch = Batch(self, count)
        self.open.append(batch)
        with self._machine.running():
            first = 0
            while first < count:
                sequence, epoch = self._next_sequence()
                taken = queue_batch(self._chan, batch.counter, arrays[0], arrays[1], arrays[2], first, count)
                if taken < 0:
                    self.open.remove(batch)
                    raise OSError(-taken, f"{self.name} takes no transfer: {self._why_dead()} ({errname(taken)})")
                if taken:
                    batch.parts.append((self._chan.cookie, sequence, taken, epoch))
                    batch.accepted += taken
                    self.ledger[PENDING] += taken
                    first += taken
                    dma_async_issue_pending(self._chan)
                    self._machine.settle()
                if first < count and not self._room():
                    raise OSError(ENOMEM, f"{self.name} gives no descriptor back; {first} of {count} pieces were accepted")
        return batch

    def _room(self) -> bool:
        """Wait until the driver has a descriptor again; False when it never will."""
        mchan = self._chan.container
        while mchan.free.next is mchan.free:
            clock = self._machine.clock
            if clock.next_event() >= 1 << 62 and not any(c.runnable for c in self._machine.kernel.cpus[1:]):
                return False
            sched.schedule_timeout(1000)
        return True

    # --- state ------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Pause the channel: what is in flight completes, the rest waits."""
        with self._machine.running():
            dmaengine_pause(self._chan)

    def resume(self) -> None:
        """Go on.

        :raises OSError: ETIMEDOUT when the hardware does not
        """
        with self._machine.running():
            rc = dmaengine_resume(self._chan)
        if rc:
            raise OSError(-rc, f"{self.name} did not resume ({errname(rc)})")

    def terminate_all(self) -> None:
        """Give up every transfer of the channel.

        :raises OSError: ETIMEDOUT when the hardware does not stop (what was in flight is lost then: row 40)
        """
        self._check()
        with self._machine.running():
            self.terminating = True
            try:
                rc = dmaengine_terminate_all(self._chan)
            finally:
                self.terminating = False
            self._sweep()
        if rc:
            raise OSError(-rc, f"{self.name} could not be terminated ({errname(rc)}); see dmesg")

    def status(self, cookie: int) -> str:
        """What the driver says about ``cookie``: ``DMA_COMPLETE``, ``DMA_IN_PROGRESS``, ``DMA_PAUSED``."""
        with self._machine.running():
            return DMA_STATUS_NAMES[dma_async_is_tx_complete(self._chan, cookie)]

    def release(self) -> None:
        """Give the channel back; what is pending is terminated."""
        if self.released:
            return
        with self._machine.running():
            self.terminating = True
            try:
                dma_release_channel(self._chan)
            finally:
                self.terminating = False
            self._sweep()
        self.released = True

    def _check(self) -> None:
        if self.released:
            raise OSError(ENODEV, f"{self.name} was released; request it again")

    def _why_dead(self) -> str:
        trca, evca = self._hw.trca, self._hw.evca
        names = {0: "DISABLED", 1: "ENABLED", 2: "RUNNING", 3: "SUSPENDED", 4: "STOPPED", 5: "ERROR", 9: "IN_RESET"}
        if self._chan.container.paused:
            return "it is paused; resume() lets it go on"
        return (f"its transfer channel is {names.get(trca.state, trca.state)}, its event channel "
                f"{names.get(evca.state, evca.state)}; terminate_all() sets it up again")

    # --- the ledger -------------------------------------------------------------------------------------------

    def _next_sequence(self) -> tuple[int, int]:
        """The number that the hardware will give to the next TRE that the driver puts into the ring, and the reset count."""
        hw = self._hw
        length = self._lldev.tre_ring_size
        ahead = (self._lldev.tre_write_offset - hw.tre_end) % length // TRE_BYTES if hw.tre_len == length else 0
        return hw.accepted + ahead, len(hw.epochs)

    def _outcome(self, sequence: int, epoch: int) -> Any:
        epochs = self._hw.epochs
        if len(epochs) > epoch and sequence >= epochs[epoch]:
            return _NEVER
        return self._hw.outcome(sequence)

    def _bad_in(self, first: int, count: int, epoch: int) -> list[tuple[int, str]]:
        """The TREs of a range that did not end well."""
        bad = []
        epochs = self._hw.epochs
        if len(epochs) > epoch or self._hw.history:
            for sequence in range(first, first + count):
                outcome = self._outcome(sequence, epoch)
                if outcome.end != "completed" or not outcome.code & 1:
                    bad.append((sequence, f"{outcome.end}: {outcome.cause}"))
        return bad

    def _ended(self, transfer: Transfer) -> None:
        self.ledger[PENDING] -= 1
        self.ledger[transfer.end] += 1
        if transfer in self.open:
            self.open.remove(transfer)

    def _sweep(self) -> None:
        """Look at everything open once more, after the driver gave things up."""
        for item in list(self.open):
            if isinstance(item, Transfer):
                if not item._settle():
                    self._lose(item, 40)
            elif not item._settle():
                item._give_up(TERMINATED)
                self.open.remove(item)

    def _lose(self, transfer: Transfer, row: int) -> None:
        transfer.row = row
        transfer._finish(LOST)

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        if timeout is not None and timeout < 0:
            raise OSError(EINVAL, f"a time-out is not negative: {timeout}")
        with self._machine.running():
            self._machine.settle()
            rc = wait_event_timeout(self.waiters, ready, SLICE_NS if timeout is None else int(timeout * 1e9))
            while rc == 0 and timeout is None and not self._at_rest():
                rc = wait_event_timeout(self.waiters, ready, SLICE_NS)
            if rc <= 0 and not ready() and (timeout is None or rc < 0):
                self._find_lost()

    def _at_rest(self) -> bool:
        """Whether nothing that could still complete a transfer is under way."""
        machine = self._machine
        return self._hw.queued == 0 and not self._hw.level and machine.kernel.gic.idle()

    def _find_lost(self) -> None:
        """Nothing happens any more: what is still open stays open (a paused channel), or V14 lost it."""
        mchan = self._chan.container
        if mchan.paused:
            return
        members = {id(m) for head in (mchan.active, mchan.prepared, mchan.completed) for m in list_for_each_entry(head)}
        for item in list(self.open):
            if isinstance(item, Batch):
                if not item._settle():
                    item._give_up(LOST)
                continue
            if item._settle():
                continue
            if item.desc is not None and id(item.desc) not in members:
                self._lose(item, 40)
            elif self._hw.outcome(item.sequence).end == "completed":
                # the event is there: no interrupt came, or the handler's offsets had fallen behind
                self._lose(item, 6 if self._out_of_sync(item) else 1)
            else:
                self._lose(item, 1)

    def _out_of_sync(self, transfer: Transfer) -> bool:
        pending = self._lldev.pending_tre_list
        return not any(t is not None and t.data is transfer.desc for t in pending)

    def _complain(self, item: Transfer | Batch) -> OSError:
        what = (f"transfer {item.cookie}" if isinstance(item, Transfer) else f"batch of {item.total}") + f" on {self.name}"
        end = item.end
        if end == PENDING:
            hint = "the channel is paused; resume() lets it go on" if self._chan.container.paused else "wait longer"
            return TransferError(ETIMEDOUT, f"{what} is not done yet; {hint}", item)
        if isinstance(item, Batch):
            detail = f"{dict(item.ends)}" + (f"; the first: copy {item.failures[0][0]}, {item.failures[0][1]}" if item.failures else "")
        else:
            detail = f"the driver says {item.driver}, the hardware {item.hardware}"
        if end == TERMINATED:
            return TransferError(125, f"{what} was terminated; {detail}", item)
        if end == LOST:
            row = getattr(item, "row", None)
            return TransferError(EIO, f"{what} was lost by V14{f' (row {row} of docs/quirks)' if row else ''}; {detail}", item)
        return TransferError(EIO, f"{what} failed; {detail}", item)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        if self._machine.kernel.dead is None and not self._machine.closed:
            self.release()

    def __repr__(self) -> str:
        return f"<Channel {self.name} of {self._machine.kernel.name}>"


SLICE_NS = 10_000_000


class _Never:
    """The outcome of a TRE that no doorbell ever announced."""

    end = "dropped"
    cause = "the channel was reset before its doorbell"
    code = 0
    info = 0


_NEVER = _Never()


def _u64(values: Any, what: str) -> Any:
    from array import array

    try:
        view = memoryview(values)
        if view.format in ("Q", "L", "=Q", "<Q", "@L") and view.itemsize == 8 and view.contiguous and not view.readonly:
            return view.cast("B").cast("Q")
    except TypeError:
        pass
    try:
        return memoryview(array("Q", [int(v) for v in values]))
    except (OverflowError, TypeError, ValueError) as error:
        raise OSError(EINVAL, f"{what} are unsigned numbers of 64 bits: {error}") from None


class Dma:
    """The DMA engine as a client sees it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.requested: list[Channel] = []

    def names(self) -> list[str]:
        """The channels that are there: ``dma0chan0``, ..."""
        with self._machine.running():
            return [chan.name for chan in self._channels()]

    def _channels(self) -> Iterator[DmaChan]:
        for device in dma_device_list():
            yield from list_for_each_entry(device.channels)

    def request_channel(self, name: str | None = None) -> Channel:
        """A channel for the caller alone: the first free one, or the one called ``name``.

        :raises OSError: ENODEV (there is none, and why), EBUSY (it is in use)
        """
        with self._machine.running():
            chan = dma_request_channel(1 << DMA_MEMCPY, lambda c, _: name is None or c.name == name)
            there = {c.name: c.client_count for c in self._channels()}
        if chan is None:
            if not there:
                why = " ".join(self._machine.notes) or "see dmesg for what the drivers said"
                raise OSError(ENODEV, f"no DMA channel is there: {why}")
            if name is not None and name not in there:
                raise OSError(ENODEV, f"there is no channel {name!r}; there are {', '.join(there)}")
            raise OSError(EBUSY, f"{'every channel' if name is None else name} is in use; release one first")
        hw = self._machine.hw_channels[chan.container.dmadev.trca_resource.start]
        channel = Channel(self._machine, chan, hw)
        self.requested.append(channel)
        return channel
