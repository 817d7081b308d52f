# SPDX-License-Identifier: GPL-2.0-only
"""What a machine leaves behind: nothing, if it was closed, and nothing, if it was only dropped."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hidma
from hidma.linux import sched
from hidma.linux.dmaengine import dmaengine_pause, dmaengine_terminate_all
from hidma.linux.sched import KernelOops
from hidma.machine.running import turn
from hidma.vm import Guest, GuestProcess, assign

CYCLES = int(os.environ.get("HIDMA_CYCLES", "12"))
Use = Callable[[hidma.Machine], Any]


def copies(machine: hidma.Machine) -> None:
    chan = machine.dma.request_channel()
    src, dest = machine.alloc(64), machine.alloc(64)
    chan.memcpy(dest, src).wait()
    chan.memcpy_batch([dest.address] * 5, [src.address] * 5, [8] * 5).wait()


def a_copy_under_way(machine: hidma.Machine) -> None:
    chan = machine.dma.request_channel()
    chan.memcpy(machine.alloc(64), machine.alloc(64), callback=lambda transfer: machine.now)


def a_copy_that_fails(machine: hidma.Machine) -> None:
    transfer = machine.dma.request_channel().memcpy(machine.alloc(64), 0x10, 64)
    with pytest.raises(OSError):
        transfer.wait()


def a_trace(machine: hidma.Machine) -> None:
    machine.watch(lambda event: machine.now)
    copies(machine)


def an_oops(machine: hidma.Machine) -> None:
    def callback(transfer: Any) -> None:
        raise KernelOops("BUG: of a client")

    transfer = machine.dma.request_channel().memcpy(machine.alloc(64), machine.alloc(64), callback=callback)
    with pytest.raises(KernelOops, match="of a client"):
        transfer.wait()
    for _ in range(2):
        with pytest.raises(KernelOops, match="of a client"):
            machine.run(1)


def a_guest(machine: hidma.Machine) -> None:
    assign(machine, "hidma.0")
    copies(Guest(machine, channels=["hidma.0"]))


def a_process(machine: hidma.Machine) -> None:
    assign(machine, "hidma.0")
    GuestProcess(machine, channels=["hidma.0"]).run(1000)


def nothing(machine: hidma.Machine) -> None:
    pass


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def used(use: Use, **options: Any) -> tuple[weakref.ref[Any], weakref.ref[Any], weakref.ref[Any]]:
    """Boot a machine, use it, drop it: it, its kernel and its clock."""
    machine = hidma.boot(**options)
    use(machine)
    return weakref.ref(machine), weakref.ref(machine.kernel), weakref.ref(machine.kernel.sysfs_root)


def collect() -> None:
    """A machine first, then what it has held until the end."""
    gc.collect()
    gc.collect()


@pytest.mark.parametrize("use", [nothing, copies, a_copy_under_way, a_copy_that_fails, a_trace, an_oops, a_guest, a_process])
def test_a_machine_that_is_dropped_is_collected(use: Use) -> None:
    before = children()
    there = used(use)
    collect()
    assert [ref() for ref in there] == [None] * 3
    assert children() == before


def test_the_kernel_of_a_dropped_machine_is_closed() -> None:
    machine = hidma.boot()
    kernel = machine.kernel
    idle = [cpu.idle_task.greenlet for cpu in kernel.cpus]
    del machine
    gc.collect()
    assert kernel.cpus[0].dead == sched.CLOSED
    assert not any(idle)


def test_a_machine_that_is_dropped_in_another_thread_is_closed_by_its_own() -> None:
    kept = [hidma.boot()]
    kernel = kept[0].kernel

    def drop() -> None:
        kept.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    assert kernel.cpus[0].dead == 0
    assert len(turn.left) == 1
    with hidma.boot() as other:
        other.run(1)
    assert kernel.cpus[0].dead == sched.CLOSED
    assert not turn.left


def test_a_machine_that_is_dropped_while_another_runs_is_closed_afterwards() -> None:
    kept = [hidma.boot()]
    kernel = kept[0].kernel
    state = []

    def callback(transfer: Any) -> None:
        kept.clear()
        gc.collect()
        state.append(kernel.cpus[0].dead)

    with hidma.boot() as other:
        other.dma.request_channel().memcpy(other.alloc(8), other.alloc(8), callback=callback).wait()
        assert state == [0]
        other.run(1)
        assert kernel.cpus[0].dead == sched.CLOSED


def test_a_thread_takes_the_kernels_of_its_machines_along() -> None:
    kept: list[hidma.Machine] = []
    dropped: list[weakref.ref[Any]] = []

    def work() -> None:
        kept.append(hidma.boot())
        dropped.extend(used(copies))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    collect()
    assert [ref() for ref in dropped] == [None] * 3
    assert kept[0].kernel.cpus[0].dead == sched.CLOSED
    assert "Linux version" in kept[0].dmesg()
    with pytest.raises(OSError, match="booted in thread"):
        kept[0].run(1)


def test_a_machine_can_be_dropped_with_its_transfers_by_a_garbage_collection_anywhere() -> None:
    threshold = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(3):
            used(copies)
            used(a_copy_under_way)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    with hidma.boot() as machine:
        copies(machine)


CYCLE = """if True:
    import gc, json, os, sys, time
    sys.path[:0] = [sys.argv[1] + "/tests"]
    import hidma
    import test_lifetime as lifetime
    from conftest import shared_files

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    def state():
        lifetime.collect()
        return {"rss": resident(), "fds": len(os.listdir("/proc/self/fd")), "children": len(lifetime.children()),
                "shm": sorted(shared_files()), "objects": len(gc.get_objects())}

    uses = [getattr(lifetime, name) for name in sys.argv[3].split(",")]
    cycles = int(sys.argv[2])
    for number in range(cycles + 1):
        if number == cycles // 2:
            before = state()
        lifetime.used(uses[number % len(uses)], seed=number)
    print(json.dumps([before, state()]))
"""


@pytest.mark.slow
@pytest.mark.both_modes
@pytest.mark.parametrize("uses", ["nothing,copies,a_copy_under_way,a_copy_that_fails,a_trace,an_oops", "a_guest,a_process"])
def test_boot_run_drop_leaves_nothing_behind(uses: str) -> None:
    """Between the middle and the end of many cycles nothing grows (HIDMA_CYCLES=N: how many)."""
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CYCLE, str(root), str(CYCLES), uses], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert {key: after[key] for key in ("fds", "children", "shm")} == {key: before[key] for key in ("fds", "children", "shm")}
    assert after["objects"] - before["objects"] < 2000
    assert after["rss"] - before["rss"] < 16 << 20


def test_the_driver_of_a_closed_machine_is_an_oops_and_no_crash() -> None:
    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
    for call in (dmaengine_pause, dmaengine_terminate_all):
        with pytest.raises(KernelOops, match="no kernel runs here|virtual address"):
            call(chan._chan)


@pytest.fixture
def sigint() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt: a shell ignores it for what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint")
def test_sigint_waits_until_the_machine_can_stop(machine: hidma.Machine, chan: hidma.Channel) -> None:
    seen = []

    def callback(transfer: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        seen.append(transfer)

    transfer = chan.memcpy(machine.alloc(64), machine.alloc(64), callback=callback)
    with pytest.raises(KeyboardInterrupt):
        transfer.wait()
    assert seen == [transfer] and machine.kernel.dead is None
    assert transfer.wait().end == "completed"


@pytest.mark.usefixtures("sigint")
def test_a_second_sigint_comes_at_once(machine: hidma.Machine, chan: hidma.Channel) -> None:
    seen = []

    def callback(transfer: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        seen.append(transfer)

    transfer = chan.memcpy(machine.alloc(64), machine.alloc(64), callback=callback)
    with pytest.raises(KeyboardInterrupt):
        transfer.wait()
    assert seen == []


def test_a_kernel_that_stops_beside_a_caller_does_not_change_what_the_caller_raises(machine: hidma.Machine) -> None:
    with machine.running() as kernel:
        kernel.die(KernelOops("BUG: of another CPU"))
    with pytest.raises(KernelOops, match="of another CPU"):
        machine.run(1)
