# SPDX-License-Identifier: GPL-2.0-only
"""The DMA engine core: cookies, who gets which channel, public and private, waiting. Devices are those of the board."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from linux_rig import Rig

import hidma
from hidma.hidma_h import HidmaChan
from hidma.linux import sched
from hidma.linux.device import Device
from hidma.linux.dmaengine import (
    DMA_COMPLETE,
    DMA_ERROR,
    DMA_IN_PROGRESS,
    DMA_MAX_COOKIE,
    DMA_MEMCPY,
    DMA_MEMSET,
    DMA_PAUSED,
    DMA_PRIVATE,
    DmaAsyncTxDescriptor,
    DmaChan,
    DmaDevice,
    DmaTxState,
    chan_device,
    dma_async_device_register,
    dma_async_device_unregister,
    dma_async_is_complete,
    dma_async_is_tx_complete,
    dma_async_issue_pending,
    dma_async_tx_descriptor_init,
    dma_cap_clear,
    dma_cap_set,
    dma_chan_get,
    dma_chan_put,
    dma_cookie_assign,
    dma_cookie_complete,
    dma_cookie_init,
    dma_cookie_status,
    dma_device_list,
    dma_find_channel,
    dma_has_cap,
    dma_issue_pending_all,
    dma_release_channel,
    dma_request_channel,
    dma_run_dependencies,
    dma_sync_wait,
    dmaengine_get,
    dmaengine_pause,
    dmaengine_prep_dma_memcpy,
    dmaengine_put,
    dmaengine_resume,
    dmaengine_submit,
    dmaengine_terminate_all,
    is_copy_aligned,
    new_channel_list,
)
from hidma.linux.errno import ENODEV
from hidma.linux.list import INIT_LIST_HEAD, list_add_tail, list_for_each_entry
from hidma.linux.sched import KernelOops
from hidma.linux.spinlock import spin_lock_init

MEMCPY = 1 << DMA_MEMCPY


@pytest.fixture
def machine() -> Iterator[hidma.Machine]:
    """The bundled board: six channels, each a device of its own, and the caller is on its CPU 0."""
    with hidma.boot(instant=True) as machine, machine.running():
        yield machine


def channels() -> list[DmaChan]:
    return [chan for device in dma_device_list() for chan in list_for_each_entry(device.channels)]


def second_channel(device: DmaDevice) -> DmaChan:
    """Give ``device`` another channel, as hidma_chan_init() does, and register it anew; both share its descriptors."""
    dma_async_device_unregister(device)
    device.container.nr_descriptors //= 2
    mchan = HidmaChan()
    mchan.dmadev = device.container
    mchan.chan.device = device
    dma_cookie_init(mchan.chan)
    for head in (mchan.free, mchan.prepared, mchan.active, mchan.completed):
        INIT_LIST_HEAD(head)
    spin_lock_init(mchan.lock)
    list_add_tail(mchan.chan.device_node, device.channels)
    assert dma_async_device_register(device) == 0
    return mchan.chan


# --- cookies --------------------------------------------------------------------------------------------------------


def cookies(last: int = 1, completed: int = 1) -> DmaChan:
    chan = DmaChan()
    dma_cookie_init(chan)
    chan.cookie, chan.completed_cookie = last, completed
    return chan


def test_cookies_count_from_2_and_wrap_to_1() -> None:
    chan = cookies()
    tx = DmaAsyncTxDescriptor()
    dma_async_tx_descriptor_init(tx, chan)
    assert [dma_cookie_assign(tx) for _ in range(3)] == [2, 3, 4]
    assert (tx.cookie, chan.cookie) == (4, 4)
    chan.cookie = DMA_MAX_COOKIE - 1
    assert [dma_cookie_assign(tx) for _ in range(3)] == [DMA_MAX_COOKIE, 1, 2]
    for wrong in (0, -1, -0x80000000):
        chan.cookie = wrong
        assert (dma_cookie_assign(tx), tx.cookie, chan.cookie) == (1, 1, 1)


def test_a_completed_descriptor_gives_its_cookie_to_the_channel(rig: Rig) -> None:
    chan = cookies()
    tx = DmaAsyncTxDescriptor()
    dma_async_tx_descriptor_init(tx, chan)
    cookie = dma_cookie_assign(tx)
    assert dma_cookie_status(chan, cookie, None) == DMA_IN_PROGRESS
    dma_cookie_complete(tx)
    assert (tx.cookie, chan.completed_cookie) == (0, cookie)
    assert dma_cookie_status(chan, cookie, None) == DMA_COMPLETE
    with pytest.raises(KernelOops, match="kernel BUG: tx->cookie < DMA_MIN_COOKIE"):
        dma_cookie_complete(tx)


def test_a_kernel_without_config_bug_passes_over_a_bug(rig: Rig) -> None:
    rig.kernel.config_bug = False
    tx = DmaAsyncTxDescriptor()
    dma_async_tx_descriptor_init(tx, cookies())
    dma_cookie_complete(tx)
    dma_cookie_complete(tx)
    assert rig.log() == ["WARNING: BUG_ON(tx->cookie < DMA_MIN_COOKIE) passed over (CONFIG_BUG is not set)"]


@pytest.mark.parametrize(("cookie", "completed", "used", "wanted"), [
    (5, 5, 10, DMA_COMPLETE), (6, 5, 10, DMA_IN_PROGRESS), (10, 5, 10, DMA_IN_PROGRESS), (11, 5, 10, DMA_COMPLETE),
    # after the wrap: completed 2147483640, used 3
    (2147483640, 2147483640, 3, DMA_COMPLETE), (2147483641, 2147483640, 3, DMA_IN_PROGRESS),
    (3, 2147483640, 3, DMA_IN_PROGRESS), (4, 2147483640, 3, DMA_COMPLETE),
])
def test_status_by_the_cookies_of_the_channel(cookie: int, completed: int, used: int, wanted: int) -> None:
    assert dma_async_is_complete(cookie, completed, used) == wanted
    state = DmaTxState()
    state.residue = 9
    assert dma_cookie_status(cookies(used, completed), cookie, state) == wanted
    assert (state.last, state.used, state.residue) == (completed, used, 0)


def test_capabilities_are_bits() -> None:
    device = DmaDevice()
    dma_cap_set(DMA_MEMCPY, device)
    dma_cap_set(DMA_PRIVATE, device)
    assert device.cap_mask == 0x201
    dma_cap_clear(DMA_MEMCPY, device)
    assert not dma_has_cap(DMA_MEMCPY, device) and dma_has_cap(DMA_PRIVATE, device)


@pytest.mark.parametrize(("src", "dest", "length", "wanted"), [
    (0, 256, 512, True), (1, 256, 512, False), (0, 128, 512, False), (0, 0, 100, False)])
def test_alignment_is_an_exponent(src: int, dest: int, length: int, wanted: bool) -> None:
    device = DmaDevice()
    device.copy_align = 8
    assert is_copy_aligned(device, src, dest, length) is wanted
    device.copy_align = 0
    assert is_copy_aligned(device, src, dest, length)


# --- registration ---------------------------------------------------------------------------------------------------


def test_devices_and_channels_are_numbered(machine: hidma.Machine) -> None:
    assert [chan.name for chan in channels()] == [f"dma{i}chan0" for i in range(6)]
    assert all(chan_device(chan).name == f"hidma.{i}" for i, chan in enumerate(channels()))


def test_a_number_that_is_free_again_is_given_out_first(machine: hidma.Machine) -> None:
    devices = dma_device_list()[:]
    dma_async_device_unregister(devices[1])
    dma_async_device_unregister(devices[3])
    for device, number in ((devices[3], 1), (devices[1], 3)):
        assert dma_async_device_register(device) == 0
        assert device.dev_id == number
    assert [chan.name for chan in channels()] == [f"dma{i}chan0" for i in (0, 2, 4, 5, 1, 3)]


def test_a_device_without_channels_is_refused(machine: hidma.Machine) -> None:
    device = dma_device_list()[0]
    dma_async_device_unregister(device)
    new_channel_list(device)
    assert dma_async_device_register(device) == -ENODEV
    assert machine.dmesg().rstrip().endswith("dma_async_device_register: device has no channels!")
    assert device not in dma_device_list()


def test_a_device_without_its_operations_is_a_bug(rig: Rig) -> None:
    device = DmaDevice()
    new_channel_list(device)
    device.dev = Device("x")
    with pytest.raises(KernelOops, match="kernel BUG: !device->device_tx_status"):
        dma_async_device_register(device)
    dma_cap_set(DMA_MEMCPY, device)
    with pytest.raises(KernelOops, match="device_prep_dma_memcpy"):
        dma_async_device_register(device)


def test_registration_can_be_made_to_fail_and_is_traced(machine: hidma.Machine) -> None:
    events: list[Any] = []
    device = dma_device_list()[0]
    machine.trace.open(events.append)
    dma_async_device_unregister(device)
    machine.kernel.fault_inject.values["dma_async_device_register"] = -ENODEV
    assert dma_async_device_register(device) == -ENODEV
    machine.kernel.fault_inject.values.clear()
    assert dma_async_device_register(device) == 0
    assert [e for e in events if e[0].startswith("dma_")] == [
        ("dma_unregister",), ("dma_register", -ENODEV),
        ("dma_register", 0, {"caps": 1, "copy_align": 8, "channels": 1, "chancnt": 1})]


def test_unregistering_a_device_in_use_is_complained_about(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    dma_async_device_unregister(chan.device)
    assert "WARNING: dma_async_device_unregister called while 1 clients hold a reference" in machine.dmesg()
    dma_release_channel(chan)


# --- private channels -----------------------------------------------------------------------------------------------


def test_each_request_gets_a_channel_of_its_own_until_none_is_left(machine: hidma.Machine) -> None:
    got = [dma_request_channel(MEMCPY) for _ in range(7)]
    assert got[6] is None
    assert [chan.name for chan in got[:6] if chan is not None] == [f"dma{i}chan0" for i in range(6)]
    chan = got[2]
    assert chan is not None and chan.client_count == 1
    dma_release_channel(chan)
    assert chan.client_count == 0
    assert dma_request_channel(MEMCPY) is chan


def test_a_channel_must_do_all_that_is_asked_for(machine: hidma.Machine) -> None:
    assert dma_request_channel(MEMCPY | 1 << DMA_MEMSET) is None
    dma_cap_set(DMA_MEMSET, dma_device_list()[4])
    chan = dma_request_channel(MEMCPY | 1 << DMA_MEMSET)
    assert chan is not None and chan.name == "dma4chan0"
    assert dma_request_channel(0) is not None


def test_a_filter_is_asked_for_free_channels_only(machine: hidma.Machine) -> None:
    first = dma_request_channel(MEMCPY)
    asked: list[str] = []

    def wanted(chan: DmaChan, param: object) -> bool:
        asked.append(chan.name)
        return chan.name == param

    chan = dma_request_channel(MEMCPY, wanted, "dma3chan0")
    assert chan is not None and chan.name == "dma3chan0"
    assert asked == ["dma1chan0", "dma2chan0", "dma3chan0"]
    assert first is not None
    assert dma_request_channel(MEMCPY, wanted, "dma3chan0") is None
    assert dma_request_channel(MEMCPY, lambda c, p: False) is None


def test_a_device_is_private_while_one_of_its_channels_is_taken(machine: hidma.Machine) -> None:
    device = dma_device_list()[0]
    second_channel(device)
    names = [f"dma0chan{i}" for i in range(2)]
    one, two = (dma_request_channel(MEMCPY, lambda c, name: c.name == name, name) for name in names)
    assert one is not None and two is not None
    assert dma_has_cap(DMA_PRIVATE, device) and device.privatecnt == 2
    dma_release_channel(one)
    assert dma_has_cap(DMA_PRIVATE, device)
    dma_release_channel(two)
    assert not dma_has_cap(DMA_PRIVATE, device)
    assert device.privatecnt == 0


def test_a_device_that_is_always_private_stays_so(machine: hidma.Machine) -> None:
    device = dma_device_list()[0]
    dma_async_device_unregister(device)
    dma_cap_set(DMA_PRIVATE, device)
    assert dma_async_device_register(device) == 0
    chan = dma_request_channel(MEMCPY, lambda c, _: c.device is device)
    assert chan is not None
    dma_release_channel(chan)
    assert dma_has_cap(DMA_PRIVATE, device) and device.privatecnt == 1


def test_when_a_driver_refuses_the_next_device_is_tried(machine: hidma.Machine) -> None:
    """Not the next channel of the same one."""
    device = dma_device_list()[5]
    second_channel(device)
    machine.kernel.fault_inject.alloc_fails = machine.kernel.fault_inject.allocations + 1
    asked: list[str] = []
    chan = dma_request_channel(MEMCPY, lambda c, _: asked.append(c.name) or True)
    assert chan is not None and chan.name == "dma1chan0"
    assert asked == ["dma0chan0", "dma1chan0"]

    def on_device(chan: DmaChan, _: object) -> bool:
        return chan.device is device

    machine.kernel.fault_inject.alloc_fails = machine.kernel.fault_inject.allocations + 1
    assert dma_request_channel(MEMCPY, on_device) is None
    assert not dma_has_cap(DMA_PRIVATE, device) and device.privatecnt == 0
    assert dma_request_channel(MEMCPY, on_device) is not None


def test_releasing_a_channel_with_more_clients_is_complained_about(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    dma_chan_get(chan)
    dma_release_channel(chan)
    assert "WARNING: chan reference count 2 != 1" in machine.dmesg()


def test_descriptors_are_allocated_with_the_first_reference_and_freed_with_the_last(machine: hidma.Machine) -> None:
    chan = channels()[0]
    mchan = chan.container
    assert not mchan.allocated
    assert dma_chan_get(chan) == 0
    assert dma_chan_get(chan) == 0
    assert mchan.allocated and chan.client_count == 2
    dma_chan_put(chan)
    assert mchan.allocated
    dma_chan_put(chan)
    assert not mchan.allocated
    dma_chan_put(chan)
    assert chan.client_count == 0


# --- public channels ------------------------------------------------------------------------------------------------


def test_without_a_public_client_there_is_no_public_channel(machine: hidma.Machine) -> None:
    assert dma_find_channel(DMA_MEMCPY) is None
    dmaengine_get()
    assert dma_find_channel(DMA_MEMCPY) is not None
    assert dma_find_channel(DMA_MEMSET) is None


def test_public_channels_are_spread_over_the_cpus(machine: hidma.Machine) -> None:
    dmaengine_get()
    seen: dict[int, str] = {}

    def look(_: Any) -> int:
        chan = dma_find_channel(DMA_MEMCPY)
        assert chan is not None
        assert dma_find_channel(DMA_MEMCPY) is chan  # the same one each time
        seen[sched.running_cpu().number] = chan.name
        return 0

    from hidma.linux.kthread import kthread_run

    for _ in range(8):
        kthread_run(look, None, "t")
    sched.schedule_timeout(1000)
    assert seen == {cpu: f"dma{cpu % 6}chan0" for cpu in range(8)}


def test_a_public_client_holds_every_channel_that_is_not_private(machine: hidma.Machine) -> None:
    private = dma_request_channel(MEMCPY)
    assert private is not None
    dmaengine_get()
    assert private.client_count == 1
    # 4.5 counts the first public client twice
    assert [chan.client_count for chan in channels()[1:]] == [2] * 5
    assert dma_request_channel(MEMCPY) is None
    dmaengine_put()
    assert [chan.client_count for chan in channels()[1:]] == [1] * 5
    assert private.client_count == 1


def test_a_device_that_comes_later_serves_the_clients_that_wait(machine: hidma.Machine) -> None:
    device = dma_device_list()[2]
    dma_async_device_unregister(device)
    dmaengine_get()
    assert dma_async_device_register(device) == 0
    chan = next(list_for_each_entry(device.channels))
    assert chan.client_count == 2
    assert dma_find_channel(DMA_MEMCPY) is not None
    for other in dma_device_list()[:]:
        if other is not device:
            dma_async_device_unregister(other)
    assert dma_find_channel(DMA_MEMCPY) is chan
    dma_async_device_unregister(device)
    assert dma_find_channel(DMA_MEMCPY) is None


def test_a_device_with_a_public_channel_in_use_gives_no_private_one(machine: hidma.Machine) -> None:
    """All of its channels are public then, free ones too."""
    device = dma_device_list()[0]
    second_channel(device)
    first = next(list_for_each_entry(device.channels))
    dma_chan_get(first)
    assert dma_request_channel(MEMCPY, lambda c, _: c.device is device) is None
    dma_chan_put(first)
    assert dma_request_channel(MEMCPY, lambda c, _: c.device is device) is first


def test_more_puts_than_gets_are_a_bug(machine: hidma.Machine) -> None:
    dmaengine_get()
    dmaengine_put()
    with pytest.raises(KernelOops, match="dmaengine_ref_count < 0"):
        dmaengine_put()


# --- transfers ------------------------------------------------------------------------------------------------------


def copies(machine: hidma.Machine, count: int = 1) -> tuple[Any, Any]:
    source, target = machine.alloc(4096), machine.alloc(4096)
    source.fill(bytes(range(256)) * 16)
    assert count * 256 <= 4096
    return source, target


def test_waiting_issues_and_spins_until_the_copy_is_done(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    source, target = copies(machine)
    tx = dmaengine_prep_dma_memcpy(chan, target.address, source.address, 4096, 0)
    assert tx is not None
    cookie = dmaengine_submit(tx)
    assert cookie == 2
    assert dma_async_is_tx_complete(chan, cookie) == DMA_IN_PROGRESS
    start = machine.now
    assert dma_sync_wait(chan, cookie) == DMA_COMPLETE
    assert bytes(target) == bytes(source)
    assert machine.now - start < 100_000


def test_waiting_gives_up_after_five_seconds(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    source, target = copies(machine)
    tx = dmaengine_prep_dma_memcpy(chan, target.address, source.address, 4096, 0)
    assert tx is not None
    cookie = dmaengine_submit(tx)
    machine.inject("irq-lost:1+")
    start = machine.now
    assert dma_sync_wait(chan, cookie) == DMA_ERROR
    assert 4_999_000_000 <= machine.now - start <= 5_001_000_000  # to the jiffy
    assert machine.dmesg().rstrip().endswith("dmaengine: dma_sync_wait: timeout!")


def test_waiting_ends_with_any_status_but_in_progress(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    source, target = copies(machine)
    tx = dmaengine_prep_dma_memcpy(chan, target.address, source.address, 4096, 0)
    assert tx is not None
    cookie = dmaengine_submit(tx)
    assert dmaengine_pause(chan) == 0
    assert dma_sync_wait(chan, cookie) == DMA_PAUSED
    assert dmaengine_resume(chan) == 0
    assert dma_sync_wait(chan, cookie) == DMA_COMPLETE


def test_everything_pending_on_public_channels_can_be_issued_at_once(machine: hidma.Machine) -> None:
    private = dma_request_channel(MEMCPY)
    assert private is not None
    dmaengine_get()
    source, target = copies(machine, 6)
    waiting = []
    for i, chan in enumerate(channels()):
        tx = dmaengine_prep_dma_memcpy(chan, target.address + 256 * i, source.address, 256, 0)
        assert tx is not None
        waiting.append((chan, dmaengine_submit(tx)))
    dma_issue_pending_all()
    sched.schedule_timeout(1_000_000)
    states = [dma_async_is_tx_complete(chan, cookie) for chan, cookie in waiting]
    assert states == [DMA_IN_PROGRESS] + [DMA_COMPLETE] * 5
    dma_async_issue_pending(private)
    sched.schedule_timeout(1_000_000)
    assert dma_async_is_tx_complete(*waiting[0]) == DMA_COMPLETE


def test_what_depends_on_a_descriptor_is_submitted_and_issued_after_it(machine: hidma.Machine) -> None:
    """Up to the first that is for another channel."""
    one, two = dma_request_channel(MEMCPY), dma_request_channel(MEMCPY)
    assert one is not None and two is not None
    source, target = copies(machine)
    chain = []
    for i, chan in enumerate((one, one, one, two)):
        tx = dmaengine_prep_dma_memcpy(chan, target.address + 256 * i, source.address, 256, 0)
        assert tx is not None
        chain.append(tx)
    for before, after in zip(chain, chain[1:], strict=False):
        before.next = after
    assert dma_run_dependencies(chain[0]) == 0
    assert [tx.cookie for tx in chain[1:]] == [2, 3, 0]
    sched.schedule_timeout(1_000_000)
    # the one for the other channel was submitted when the one before it had completed
    assert bytes(target)[256:1024] == bytes(source)[:256] * 3
    assert two.cookie == 2
    assert [tx.next for tx in chain] == [None] * 4
    assert dma_run_dependencies(chain[0]) == 0


def test_terminating_gives_up_what_was_submitted(machine: hidma.Machine) -> None:
    chan = dma_request_channel(MEMCPY)
    assert chan is not None
    source, target = copies(machine)
    tx = dmaengine_prep_dma_memcpy(chan, target.address, source.address, 256, 0)
    assert tx is not None
    dmaengine_submit(tx)
    assert dmaengine_terminate_all(chan) == 0
    dma_async_issue_pending(chan)
    sched.schedule_timeout(1_000_000)
    assert bytes(target) == bytes(4096)


def test_a_mapping_left_with_a_descriptor_is_dropped_once(rig: Rig) -> None:
    from hidma.linux.dmaengine import dma_descriptor_unmap

    class Mapping:
        dropped = 0

        def put(self) -> None:
            self.dropped += 1

    tx = DmaAsyncTxDescriptor()
    mapping = Mapping()
    tx.unmap = mapping
    dma_descriptor_unmap(tx)
    dma_descriptor_unmap(tx)
    assert mapping.dropped == 1
