# SPDX-License-Identifier: GPL-2.0-only
"""An object that was never finished, handed to a function of the kernel or the driver, is an error and never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hidma
from hidma import hidma_h, ll
from hidma.linux import dmaengine
from hidma.linux.dmaengine import DmaAsyncTxDescriptor, DmaChan, DmaDevice
from hidma.linux.sched import KernelOops
from hidma.machine import _mode

BAD = (TypeError, OSError, KernelOops)

OF_CHANNELS: dict[str, Callable[[Any], Any]] = {
    "prep": lambda chan: dmaengine.dmaengine_prep_dma_memcpy(chan, 0, 0, 1, 0),
    "issue": dmaengine.dma_async_issue_pending,
    "pause": dmaengine.dmaengine_pause,
    "resume": dmaengine.dmaengine_resume,
    "terminate": dmaengine.dmaengine_terminate_all,
    "alloc": dmaengine.alloc_chan_resources,
    "free": dmaengine.free_chan_resources,
    "status": lambda chan: dmaengine.dma_async_is_tx_complete(chan, 1),
}


@pytest.fixture
def device() -> Iterator[DmaDevice]:
    with hidma.boot() as machine, machine.dma.request_channel() as channel, machine.running():
        yield channel._chan.device


def of(device: DmaDevice, chan: DmaChan) -> DmaChan:
    chan.device = device
    return chan


CHANNELS: dict[str, Callable[[DmaDevice], Any]] = {
    "none": lambda device: None,
    "no channel": lambda device: "dma0chan0",
    "without a device": lambda device: DmaChan(),
    "not even initialised": lambda device: DmaChan.__new__(DmaChan),
    "of no driver": lambda device: of(device, DmaChan()),
    "of another thing": lambda device: of(device, DmaChan("container")),
    "in no device of the driver": lambda device: of(device, hidma_h.HidmaChan().chan),
    "without a device of the driver": lambda device: hidma_h.HidmaChan().chan,
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("act", OF_CHANNELS)
def test_a_channel_that_is_none(device: DmaDevice, name: str, act: str) -> None:
    with pytest.raises((*BAD, AttributeError)):
        OF_CHANNELS[act](CHANNELS[name](device))


@pytest.mark.parametrize("make", [
    lambda: None, lambda: DmaAsyncTxDescriptor.__new__(DmaAsyncTxDescriptor), DmaAsyncTxDescriptor,
    lambda: hidma_h.HidmaDesc().desc])
@pytest.mark.parametrize("act", [dmaengine.dmaengine_submit, dmaengine.dma_cookie_assign, dmaengine.dma_cookie_complete])
def test_a_descriptor_that_is_none(device: DmaDevice, make: Callable[[], Any], act: Callable[[Any], Any]) -> None:
    try:
        rc = act(make())
    except (*BAD, AttributeError):
        return
    assert rc < 0  # no driver has set what submits it


@pytest.mark.parametrize("make", [lambda: None, lambda: "lldev", hidma_h.HidmaLldev,
                                  lambda: hidma_h.HidmaLldev.__new__(hidma_h.HidmaLldev)])
@pytest.mark.parametrize("act", [
    lambda lldev: ll.hidma_ll_queue_request(lldev, 0), lambda lldev: ll.hidma_ll_status(lldev, 0), ll.hidma_ll_start,
    ll.hidma_ll_isenabled, lambda lldev: ll.hidma_ll_inthandler(1, lldev),
    lambda lldev: ll.hidma_ll_set_transfer_params(lldev, 0xFFFFFFFF, 0, 0, 1, 0)])
def test_a_low_level_that_is_none(device: DmaDevice, make: Callable[[], Any], act: Callable[[Any], Any]) -> None:
    try:
        act(make())
    except (*BAD, AttributeError):
        return
    # a low level of no TREs refuses any number of one
    assert isinstance(make(), hidma_h.HidmaLldev)


@pytest.mark.parametrize("field", ["trepool", "pending_tre_list", "tx_status_list"])
@pytest.mark.parametrize("items", [["tre"], [hidma_h.HidmaDesc()], [hidma_h.HidmaTre(), hidma_h.HidmaTxStatus()]])
def test_an_array_of_the_low_level_refuses_what_it_is_not_made_of(field: str, items: list[Any]) -> None:
    lldev = hidma_h.HidmaLldev()
    with pytest.raises(TypeError, match="an array of Hidma"):
        setattr(lldev, field, items)
    assert getattr(lldev, field) is None


def test_an_array_of_the_low_level_is_not_changed_behind_its_back() -> None:
    lldev = hidma_h.HidmaLldev()
    tres = [hidma_h.HidmaTre() for _ in range(4)]
    lldev.trepool, lldev.pending_tre_list = tres, [None] * 4
    tres.clear()
    assert len(lldev.trepool) == 4
    with pytest.raises(TypeError):
        lldev.pending_tre_list[0] = "tre"
    lldev.trepool = None
    with pytest.raises(KernelOops, match="NULL pointer"):
        ll.hidma_ll_queue_request(lldev, 0)


@pytest.mark.slow
@pytest.mark.skipif(not _mode.compiled(), reason="an object of Python is never half made")
def test_no_call_of_a_compiled_module_crashes_the_process() -> None:
    done = subprocess.run([sys.executable, Path(__file__).with_name("half_made.py")], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
    assert done.returncode == 0 and done.stdout.endswith(", 0 crashed\n"), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not _mode.compiled(), reason="an object of Python is never half made")
def test_no_call_with_objects_of_another_place_crashes_the_process() -> None:
    """``HIDMA_ORDERS=N`` makes N calls of each function, with other objects and elsewhere each time."""
    seeds = int(os.environ.get("HIDMA_ORDERS", "1"))
    done = subprocess.run([sys.executable, Path(__file__).with_name("foreign.py"), "1", str(seeds)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
    assert done.returncode == 0 and done.stdout.endswith(", 0 crashed\n"), done.stdout + done.stderr
