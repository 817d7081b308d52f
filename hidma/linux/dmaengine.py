# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/dmaengine.h>`` and ``drivers/dma/dmaengine.{c,h}``: the DMA engine core of 4.5.

Cookies, device registration, channels requested and released, DMA_PRIVATE rules, the table of public channels by CPU,
and the calls of a client. The operations of a device are function pointers in compiled modules. Slave and cyclic
transfers are not there: the series has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cython

from hidma.linux import sched
from hidma.linux.device import Device
from hidma.linux.errno import ENODEV, ENOSYS
from hidma.linux.jiffies import jiffies, msecs_to_jiffies
from hidma.linux.list import INIT_LIST_HEAD, ListHead, list_for_each_entry
from hidma.linux.printk import dev_err

if TYPE_CHECKING:
    ChanOp = Callable[["DmaChan"], Any]
    MemcpyOp = Callable[["DmaChan", int, int, int, int], "DmaAsyncTxDescriptor | None"]
    StatusOp = Callable[["DmaChan", int, "DmaTxState | None"], int]
    SubmitOp = Callable[["DmaAsyncTxDescriptor"], int]

if cython.compiled:
    from cython.cimports.hidma.linux import dmaengine_inline as inline
if not cython.compiled:
    from hidma.linux.sched import no_structure

    # enum dma_transaction_type, as far as it is used
    DMA_MEMCPY = 0
    DMA_MEMSET = 5
    DMA_INTERRUPT = 7
    DMA_PRIVATE = 9
    DMA_ASYNC_TX = 10
    DMA_SLAVE = 11

    # enum dma_status
    DMA_COMPLETE = 0
    DMA_IN_PROGRESS = 1
    DMA_PAUSED = 2
    DMA_ERROR = 3

    # enum dma_ctrl_flags, as far as it is used
    DMA_PREP_INTERRUPT = 1
    DMA_CTRL_ACK = 2

    DMA_MIN_COOKIE = 1
    DMA_MAX_COOKIE = 0x7FFFFFFF
    SYNC_WAIT_MS = 5000

    NO_TX = None

    def data_of(structure: Any) -> Any:
        """The C data of an object."""
        return structure

    tx_data_of = state_data_of = data_of

    def set_callback(tx: DmaAsyncTxDescriptor, callback: Any, param: Any) -> int:
        """``tx->callback = callback; tx->callback_param = param;``."""
        tx.callback = callback
        tx.callback_param = param
        return 0

    def face(structure: Any) -> Any:
        """The object that C data belongs to."""
        return structure


# operations that any CPU may look for with dma_find_channel()
TABLE_TYPES = (DMA_MEMCPY, DMA_MEMSET, DMA_ASYNC_TX)

DMA_STATUS_NAMES = ("DMA_COMPLETE", "DMA_IN_PROGRESS", "DMA_PAUSED", "DMA_ERROR")


class DmaTxState:
    """``struct dma_tx_state``."""

    def __init__(self) -> None:
        self.last = 0
        self.used = 0
        self.residue = 0


def unset_chan_op(chan: DmaChan) -> int:
    """An operation that the driver did not set."""
    return -ENOSYS


def unset_memcpy_op(chan: DmaChan, dest: int, src: int, len: int, flags: int) -> DmaAsyncTxDescriptor | None:
    """A memcpy that the driver did not set."""
    return NO_TX


def unset_status_op(chan: DmaChan, cookie: int, state: DmaTxState | None) -> int:
    """A status that the driver did not set."""
    return DMA_ERROR


def unset_submit_op(tx: DmaAsyncTxDescriptor) -> int:
    """A submit that the driver did not set."""
    return -ENOSYS


class DmaDevice:
    """``struct dma_device``: ``cap_mask`` is a bit mask, ``copy_align`` a power of two as an exponent."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.channels = ListHead()
        self.device_alloc_chan_resources: ChanOp = unset_chan_op
        self.device_free_chan_resources: ChanOp = unset_chan_op
        self.device_prep_dma_memcpy: MemcpyOp = unset_memcpy_op
        self.device_tx_status: StatusOp = unset_status_op
        self.device_issue_pending: ChanOp = unset_chan_op
        self.device_pause: ChanOp = unset_chan_op
        self.device_resume: ChanOp = unset_chan_op
        self.device_terminate_all: ChanOp = unset_chan_op

    def __init__(self) -> None:
        self.dev: Any = None
        self.dev_id = -1
        self.chancnt = 0
        self.privatecnt = 0
        self.channels = ListHead()
        self.cap_mask = 0
        self.copy_align = 0
        self.container: Any = None
        self.device_alloc_chan_resources = unset_chan_op
        self.device_free_chan_resources = unset_chan_op
        self.device_prep_dma_memcpy = unset_memcpy_op
        self.device_tx_status = unset_status_op
        self.device_issue_pending = unset_chan_op
        self.device_pause = unset_chan_op
        self.device_resume = unset_chan_op
        self.device_terminate_all = unset_chan_op


class DmaChan:
    """``struct dma_chan``."""

    def __cinit__(self, container: Any = None) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.device_node = ListHead(self)

    def __init__(self, container: Any = None) -> None:
        self.device: Any = None
        self.cookie = 0
        self.completed_cookie = 0
        self.chan_id = 0
        self.client_count = 0
        self.table_count = 0
        self.memcpy_count = 0
        self.bytes_transferred = 0
        self.name = ""
        self.container = container
        self.device_node = ListHead(self)
        self.slave: Any = None


class DmaAsyncTxDescriptor:
    """``struct dma_async_tx_descriptor``."""

    def __cinit__(self, container: Any = None) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.tx_submit: SubmitOp = unset_submit_op

    def __init__(self, container: Any = None) -> None:
        self.cookie = 0
        self.flags = 0
        self.phys = 0
        self.chan: Any = None
        self.callback: Any = None
        self.callback_param: Any = None
        self.unmap: Any = None
        self.next: Any = None
        self.container = container
        self.tx_submit = unset_submit_op


def dma_cap_set(cap: int, device: DmaDevice) -> int:
    """Say that ``device`` can do ``cap``."""
    device.cap_mask |= 1 << cap
    return 0


def dma_cap_clear(cap: int, device: DmaDevice) -> int:
    """Take ``cap`` back."""
    device.cap_mask &= ~(1 << cap)
    return 0


def dma_has_cap(cap: int, device: DmaDevice) -> bool:
    """Whether ``device`` can do ``cap``."""
    return bool(device.cap_mask >> cap & 1)


# --- drivers/dma/dmaengine.h --------------------------------------------------------------------------------------


def dma_cookie_init(chan: DmaChan) -> int:
    """Cookies of ``chan`` start at DMA_MIN_COOKIE."""
    chan.cookie = DMA_MIN_COOKIE
    chan.completed_cookie = DMA_MIN_COOKIE
    return 0


def dma_cookie_assign(tx: DmaAsyncTxDescriptor) -> int:
    """The next cookie of the channel of ``tx``; after 2147483647 comes 1."""
    if cython.compiled:
        return inline.dma_cookie_assign(tx)
    else:
        chan = tx.chan
        cookie = chan.cookie + 1 if 0 <= chan.cookie < DMA_MAX_COOKIE else DMA_MIN_COOKIE
        tx.cookie = cookie
        chan.cookie = cookie
        return cookie


def dma_cookie_complete(tx: DmaAsyncTxDescriptor) -> int:
    """``tx`` is done; the cookie of a descriptor that is not in use is a BUG."""
    if cython.compiled:
        return inline.dma_cookie_complete(tx)
    else:
        if tx.cookie < DMA_MIN_COOKIE:
            cookie_not_in_use()
        chan = tx.chan
        chan.completed_cookie = tx.cookie
        tx.cookie = 0
        return 0


def cookie_not_in_use() -> int:
    """What dma_cookie_complete() says of a descriptor that is not in use."""
    sched.this_cpu.kernel.bug("tx->cookie < DMA_MIN_COOKIE")
    return 0


def dma_async_is_complete(cookie: int, last_complete: int, last_used: int) -> int:
    """Status of ``cookie`` by the two cookies of its channel."""
    if last_complete <= last_used:
        if cookie <= last_complete or cookie > last_used:
            return DMA_COMPLETE
    elif cookie <= last_complete and cookie > last_used:
        return DMA_COMPLETE
    return DMA_IN_PROGRESS


def dma_cookie_status(chan: DmaChan, cookie: int, state: DmaTxState | None) -> int:
    """Status of ``cookie``; ``state`` is filled in when there is one."""
    if cython.compiled:
        return inline.dma_cookie_status(chan, cookie, state_data_of(state))
    else:
        used = chan.cookie
        complete = chan.completed_cookie
        if state is not None:
            state.last = complete
            state.used = used
            state.residue = 0
        return dma_async_is_complete(cookie, complete, used)


# --- for drivers --------------------------------------------------------------------------------------------------


def dma_async_tx_descriptor_init(tx: DmaAsyncTxDescriptor, chan: DmaChan) -> int:
    """``tx`` belongs to ``chan``."""
    if cython.compiled:
        return inline.dma_async_tx_descriptor_init(tx, chan)
    else:
        tx.chan = chan
        return 0


def dma_run_dependencies(tx: DmaAsyncTxDescriptor) -> int:
    """Submit what waited for ``tx``."""
    if cython.compiled:
        return inline.dma_run_dependencies(tx)
    else:
        return 0 if tx.next is None else run_dependencies(tx)


def run_dependencies(tx: DmaAsyncTxDescriptor) -> int:
    """There is something that waited for ``tx``."""
    dep = tx.next
    tx.next = None
    chan = dep.chan
    while dep is not None:
        after = dep.next if dep.next is not None and dep.next.chan is chan else None
        if after is not None:
            dep.next = None
        dmaengine_submit(dep)
        dep = after
    return dma_async_issue_pending(chan)


def dma_descriptor_unmap(tx: DmaAsyncTxDescriptor) -> int:
    """Drop the mapping that the client left with ``tx``."""
    if tx.unmap is not None:
        unmap = tx.unmap
        tx.unmap = None
        unmap.put()
    return 0


def _engine() -> Any:
    engine = sched.running_cpu().kernel.module("dmaengine")
    if not hasattr(engine, "dma_device_list"):
        engine.dma_device_list = []
        engine.ids = set()
        engine.ref_count = 0
        engine.table = {}
        engine.listeners = []
    return engine


def dma_device_list() -> list[DmaDevice]:
    """The registered devices of the running kernel, oldest first."""
    devices: list[DmaDevice] = _engine().dma_device_list
    return devices


def dma_async_device_register(device: DmaDevice) -> int:
    """Register ``device`` and its channels: 0, or -ENODEV (no channel, or its driver refuses the clients that wait).

    A device without the operations that it must have is a BUG.
    """
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value("dma_async_device_register")
    if not rc:
        rc = _register(device)
    if kernel.trace.on:
        if rc:
            kernel.trace.emit(("dma_register", rc))
        else:
            kernel.trace.emit(("dma_register", 0, {
                "caps": device.cap_mask, "copy_align": device.copy_align,
                "channels": sum(1 for _ in list_for_each_entry(device.channels)), "chancnt": device.chancnt}))
    return rc


def _register(device: DmaDevice) -> int:
    engine = _engine()
    kernel = sched.running_cpu().kernel
    if dma_has_cap(DMA_MEMCPY, device) and device.device_prep_dma_memcpy == unset_memcpy_op:
        kernel.bug("dma_has_cap(DMA_MEMCPY, device->cap_mask) && !device->device_prep_dma_memcpy")
    if device.device_tx_status == unset_status_op:
        kernel.bug("!device->device_tx_status")
    if device.device_issue_pending == unset_chan_op:
        kernel.bug("!device->device_issue_pending")
    if device.dev is None:
        kernel.bug("!device->dev")
    device.dev_id = next(n for n in range(len(engine.ids) + 1) if n not in engine.ids)
    chancnt = 0
    for chan in list_for_each_entry(device.channels):
        chan.chan_id = chancnt
        chan.client_count = 0
        chan.name = f"dma{device.dev_id}chan{chancnt}"
        chancnt += 1
    if not chancnt:
        dev_err(device.dev, "dma_async_device_register: device has no channels!\n")
        return -ENODEV
    device.chancnt = chancnt
    if engine.ref_count and not dma_has_cap(DMA_PRIVATE, device):
        for chan in list_for_each_entry(device.channels):
            if dma_chan_get(chan) == -ENODEV:
                return -ENODEV
    engine.ids.add(device.dev_id)
    engine.dma_device_list.append(device)
    if dma_has_cap(DMA_PRIVATE, device):
        device.privatecnt += 1
    dma_channel_rebalance()
    for listener in engine.listeners:
        listener("add", device)
    return 0


def dma_async_device_unregister(device: DmaDevice) -> None:
    """Forget ``device``; a channel that a client still holds is complained about."""
    kernel = sched.running_cpu().kernel
    engine = _engine()
    if kernel.trace.on:
        kernel.trace.emit(("dma_unregister",))
    for listener in engine.listeners:
        listener("del", device)
    if device in engine.dma_device_list:
        engine.dma_device_list.remove(device)
    engine.ids.discard(device.dev_id)
    dma_channel_rebalance()
    for chan in list_for_each_entry(device.channels):
        if chan.client_count:
            kernel.warn(f"dma_async_device_unregister called while {chan.client_count} clients hold a reference",
                        once=True)


def dma_channel_rebalance() -> None:
    """Give each CPU a public channel for each operation: the one that was given out least so far."""
    engine = _engine()
    engine.table.clear()
    public = [device for device in engine.dma_device_list if not dma_has_cap(DMA_PRIVATE, device)]
    for device in public:
        for chan in list_for_each_entry(device.channels):
            chan.table_count = 0
    if not engine.ref_count:
        return
    for cap in TABLE_TYPES:
        usable = [chan for device in public if dma_has_cap(cap, device)
                  for chan in list_for_each_entry(device.channels) if chan.client_count]
        for cpu in sched.running_cpu().kernel.cpus if usable else ():
            best = min(usable, key=_table_count)
            best.table_count += 1
            engine.table[cap, cpu.number] = best


def _table_count(chan: DmaChan) -> int:
    return chan.table_count


# --- for clients --------------------------------------------------------------------------------------------------


def dma_chan_get(chan: DmaChan) -> int:
    """Take a reference; the first one makes the driver allocate its descriptors."""
    if chan.client_count:
        chan.client_count += 1
        return 0
    device = device_of(chan)
    if device.device_alloc_chan_resources != unset_chan_op:
        rc = device.device_alloc_chan_resources(data_of(chan))
        if rc < 0:
            return rc
    if not dma_has_cap(DMA_PRIVATE, device):
        # balance_ref_count(); 4.5 counts the caller once more on top of it
        chan.client_count = max(chan.client_count, _engine().ref_count)
    chan.client_count += 1
    return 0


def dma_chan_put(chan: DmaChan) -> int:
    """Drop a reference; with the last one the driver frees its descriptors."""
    if not chan.client_count:
        return 0
    chan.client_count -= 1
    device = chan.device
    if not chan.client_count and device.device_free_chan_resources != unset_chan_op:
        device.device_free_chan_resources(data_of(chan))
    return 0


def _candidate(device: DmaDevice, mask: int, fn: Callable[[DmaChan, Any], bool] | None, param: Any) -> DmaChan | None:
    if device.cap_mask & mask != mask:
        return None
    channels = list(list_for_each_entry(device.channels))
    # a device with several channels is either all private or all public
    if device.chancnt > 1 and not dma_has_cap(DMA_PRIVATE, device) and any(c.client_count for c in channels):
        return None
    for chan in channels:
        if not chan.client_count and (fn is None or fn(chan, param)):
            return chan
    return None


def dma_request_channel(mask: int, fn: Callable[[DmaChan, Any], bool] | None = None,
                        param: Any = None) -> DmaChan | None:
    """An unused channel, for the caller alone, of a device that can do all of ``mask``; None when there is none.

    :param mask: bit mask of operations
    :param fn: asked for each free channel of such a device, with ``param``, until it says yes
    """
    engine = _engine()
    for device in list(engine.dma_device_list):
        chan = _candidate(device, mask, fn, param)
        if chan is None:
            continue
        # found: from now on the device is private, until the last such channel is released
        dma_cap_set(DMA_PRIVATE, device)
        device.privatecnt += 1
        rc = dma_chan_get(chan)
        if rc == 0:
            return chan
        # its driver refuses: the next device is tried, not the next channel
        if rc == -ENODEV and device in engine.dma_device_list:
            engine.dma_device_list.remove(device)
        device.privatecnt -= 1
        if device.privatecnt == 0:
            dma_cap_clear(DMA_PRIVATE, device)
    return None


def dma_release_channel(chan: DmaChan) -> None:
    """Give a requested channel back."""
    if chan.client_count != 1:
        sched.running_cpu().kernel.warn(f"chan reference count {chan.client_count} != 1", once=True)
    dma_chan_put(chan)
    device = chan.device
    device.privatecnt -= 1
    if device.privatecnt == 0:
        dma_cap_clear(DMA_PRIVATE, device)


def dmaengine_get() -> None:
    """A public client comes: every channel that is not private gets a reference."""
    engine = _engine()
    engine.ref_count += 1
    for device in list(engine.dma_device_list):
        if not dma_has_cap(DMA_PRIVATE, device):
            for chan in list_for_each_entry(device.channels):
                if dma_chan_get(chan) == -ENODEV:
                    engine.dma_device_list.remove(device)
                    break
    if engine.ref_count == 1:
        dma_channel_rebalance()


def dmaengine_put() -> None:
    """A public client goes."""
    engine = _engine()
    engine.ref_count -= 1
    if engine.ref_count < 0:
        sched.running_cpu().kernel.bug("dmaengine_ref_count < 0")
    for device in engine.dma_device_list:
        if not dma_has_cap(DMA_PRIVATE, device):
            for chan in list_for_each_entry(device.channels):
                dma_chan_put(chan)


def dma_find_channel(tx_type: int) -> DmaChan | None:
    """The public channel for ``tx_type`` of the CPU that asks; None when there is none."""
    chan: DmaChan | None = _engine().table.get((tx_type, sched.running_cpu().number))
    return chan


def dma_issue_pending_all() -> None:
    """Issue what is pending on every public channel that has a client."""
    for device in dma_device_list():
        if not dma_has_cap(DMA_PRIVATE, device):
            for chan in list_for_each_entry(device.channels):
                if chan.client_count:
                    dma_async_issue_pending(chan)


def device_of(chan: DmaChan) -> DmaDevice:
    """The device of ``chan``; without one it was never registered, and C follows NULL here."""
    if chan is None or chan.device is None:
        no_structure()
    return chan.device


def dmaengine_prep_dma_memcpy(chan: DmaChan, dest: int, src: int, len: int, flags: int) -> DmaAsyncTxDescriptor | None:
    """A descriptor that copies ``len`` bytes between two bus addresses; None when the driver has none left."""
    device = device_of(chan)
    return face(device.device_prep_dma_memcpy(data_of(chan), dest, src, len, flags))


def dmaengine_submit(tx: DmaAsyncTxDescriptor | None) -> int:
    """Hand ``tx`` to the driver: its cookie, or a negative errno."""
    if tx is None:
        no_structure()
    return tx.tx_submit(tx_data_of(tx))


def dma_async_issue_pending(chan: DmaChan) -> int:
    """Start what was submitted."""
    device = device_of(chan)
    device.device_issue_pending(data_of(chan))
    return 0


def dmaengine_tx_status(chan: DmaChan, cookie: int, state: DmaTxState | None) -> int:
    """The driver's status of ``cookie``."""
    device = device_of(chan)
    return device.device_tx_status(data_of(chan), cookie, state_data_of(state))


def dma_async_is_tx_complete(chan: DmaChan, cookie: int) -> int:
    """Status of ``cookie``."""
    return dmaengine_tx_status(chan, cookie, None)


def dmaengine_pause(chan: DmaChan) -> int:
    """Pause the channel."""
    device = device_of(chan)
    return device.device_pause(data_of(chan))


def dmaengine_resume(chan: DmaChan) -> int:
    """Resume the channel."""
    device = device_of(chan)
    return device.device_resume(data_of(chan))


def dmaengine_terminate_all(chan: DmaChan) -> int:
    """Give up everything that the channel was given. That it happened stays known, to find the cause of an Oops."""
    device = device_of(chan)
    sched.this_cpu.kernel.module("dmaengine").terminated = True
    return device.device_terminate_all(data_of(chan))


def alloc_chan_resources(chan: DmaChan) -> int:
    """The driver's ``device_alloc_chan_resources``."""
    device = device_of(chan)
    return device.device_alloc_chan_resources(data_of(chan))


def free_chan_resources(chan: DmaChan) -> int:
    """The driver's ``device_free_chan_resources``."""
    device = device_of(chan)
    return device.device_free_chan_resources(data_of(chan))


def dma_sync_wait(chan: DmaChan, cookie: int) -> int:
    """Issue, and spin until ``cookie`` is done: its status; DMA_ERROR after 5 s."""
    timeout = jiffies() + msecs_to_jiffies(SYNC_WAIT_MS)
    dma_async_issue_pending(chan)
    while True:
        status = dma_async_is_tx_complete(chan, cookie)
        if jiffies() >= timeout:
            sched.running_cpu().kernel.printk(3, "dmaengine: dma_sync_wait: timeout!")
            return DMA_ERROR
        if status != DMA_IN_PROGRESS:
            return status
        sched.cpu_relax()


def is_copy_aligned(device: DmaDevice, src: int, dest: int, len: int) -> bool:
    """Whether a copy fits ``copy_align``."""
    return ((src | dest | len) & ((1 << device.copy_align) - 1)) == 0


def new_channel_list(device: DmaDevice) -> int:
    """An empty list of channels."""
    return INIT_LIST_HEAD(device.channels)


def chan_device(chan: DmaChan) -> Device:
    """The device whose driver owns ``chan``."""
    device: Device = chan.device.dev
    return device
