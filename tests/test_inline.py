# SPDX-License-Identifier: GPL-2.0-only
"""Each primitive on the way of a descriptor has a C body (hidma/linux/*_inline.pxd) and a twin in Python: they do the same.

A program is a list of numbers that says what is called with what. It runs here, compiled, and in an interpreted process;
results, exceptions and the state afterwards are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linux_rig import RAM_SIZE, REGS, Rig

from hidma.hw.block import RegisterBlock
from hidma.linux import io, sched
from hidma.linux.atomic import Atomic, atomic_add_unless, atomic_read, atomic_set
from hidma.linux.device import Device
from hidma.linux.dmaengine import (
    DmaAsyncTxDescriptor,
    DmaChan,
    DmaTxState,
    dma_async_tx_descriptor_init,
    dma_cookie_assign,
    dma_cookie_complete,
    dma_cookie_init,
    dma_cookie_status,
    dma_run_dependencies,
)
from hidma.linux.interrupt import TaskletStruct, tasklet_init, tasklet_schedule
from hidma.linux.kfifo import Kfifo, kfifo_alloc, kfifo_out, kfifo_peek, kfifo_put
from hidma.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    ListHead,
    list_add,
    list_add_tail,
    list_before,
    list_del,
    list_empty,
    list_entry,
    list_first_entry,
    list_head_gone,
    list_move,
    list_move_tail,
    list_splice_init,
    list_splice_tail_init,
)
from hidma.linux.mm import PAGE_OFFSET, load_u32
from hidma.linux.pm_runtime import (
    pm_runtime_disable,
    pm_runtime_enable,
    pm_runtime_get,
    pm_runtime_get_sync,
    pm_runtime_mark_last_busy,
    pm_runtime_put_autosuspend,
    pm_runtime_set_autosuspend_delay,
    pm_runtime_use_autosuspend,
)
from hidma.linux.sched import KernelOops
from hidma.linux.spinlock import Spinlock, spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore
from hidma.machine import _mode


def tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except KernelOops as oops:
        return str(oops)


def atomics(rig: Rig, program: list[int]) -> Iterator[Any]:
    v = Atomic()
    for n in program:
        small = n % 7 - 3
        calls = [lambda: atomic_read(v), lambda: atomic_set(v, small), lambda: atomic_add_unless(v, n % 3, small)]  # noqa: B023
        yield calls[n % 3](), v.counter


def locks(rig: Rig, program: list[int]) -> Iterator[Any]:
    lock, cpu = Spinlock("lock"), sched.running_cpu()
    for n in program:
        match n % 6:
            case 0:
                yield tried(lambda: spin_lock_irqsave(lock))
            case 1 | 2:
                yield spin_unlock_irqrestore(lock, n >> 8 & 1)
            case 3:
                cpu.lockdep = n >> 8 & 1
            case 4:
                cpu.rounds_left = n >> 8 & 3
            case 5:
                spin_lock_init(lock)
        yield lock.holder, lock.usage, lock.checked, cpu.irqs_off, cpu.rounds_left, len(rig.log())


def fifos(rig: Rig, program: list[int]) -> Iterator[Any]:
    fifo = Kfifo()
    for n in program:
        match n % 8:
            case 0:
                yield kfifo_alloc(fifo, n >> 8 & 7)
            case 1:
                fifo.in_ = fifo.out = 0xFFFFFFFF - (n >> 8 & 3)
            case 2 | 3:
                yield tried(lambda: kfifo_out(fifo))
            case _:
                yield tried(lambda: kfifo_put(fifo, str(n)))  # noqa: B023
        yield fifo.in_, fifo.out, kfifo_peek(fifo)


def lists(rig: Rig, program: list[int]) -> Iterator[Any]:
    nodes = [ListHead(i, "around" if i < 2 else None) for i in range(5)]
    two = [list_add, list_add_tail, list_move, list_move_tail, list_splice_init, list_splice_tail_init]
    local: ListHead | None = None
    for n in program:
        a, b = nodes[n >> 8 & 3], nodes[n >> 12 & 3]
        match n % 12:
            case 0 | 1:
                INIT_LIST_HEAD(a)
            case 2:
                yield tried(lambda: list_del(a))  # noqa: B023
            case 3:
                yield list_empty(a), tried(lambda: list_first_entry(a)), tried(lambda: list_entry(a))  # noqa: B023
            case 4:
                local = local or LIST_HEAD()
                yield tried(lambda: list_splice_init(a, cast(ListHead, local)))  # noqa: B023
            case 5 if local is not None:
                yield tried(lambda: list_splice_tail_init(cast(ListHead, local), a)), list_empty(local)  # noqa: B023
                list_head_gone(local)
                local = None
            case _:
                yield tried(lambda: two[n % 12 % 6](a, b))  # noqa: B023
        yield [[None if there is None else there.owner for there in (node.next, list_before(node))] for node in nodes]


def registers(rig: Rig, program: list[int]) -> Iterator[Any]:
    block = RegisterBlock("block", rig.bus, REGS + 0x10000, 64, ())
    rig.bus.add(block)
    cpu = sched.running_cpu()
    for base in (rig.base, io.ioremap(REGS + 0x10000, 64)):
        for n in program:
            address = base + (n >> 8) % 80
            if n % 8 == 1:
                address = n
            if n % 16 == 2:
                cpu.rounds_left = 0
            if n & 1:
                yield tried(lambda: io.readl(address))  # noqa: B023
                yield tried(lambda: io.readl_relaxed(address))  # noqa: B023
            else:
                yield tried(lambda: io.writel(n, address))  # noqa: B023
                yield tried(lambda: io.writel_relaxed(n, address))  # noqa: B023
            yield cpu.rounds_left, rig.clock.now, block.reads, block.writes


def memory(rig: Rig, program: list[int]) -> Iterator[Any]:
    rig.memory.view[: 1 << 16] = bytes(i * 7 & 0xFF for i in range(1 << 16))
    for n in program:
        ptr = PAGE_OFFSET + (n % (1 << 15) & ~3) + (RAM_SIZE - 64 if n & 1 else 0)
        yield tried(lambda: load_u32(ptr if n % 5 else n, n % 40))  # noqa: B023


def cookies(rig: Rig, program: list[int]) -> Iterator[Any]:
    chan, state = DmaChan(), DmaTxState()
    dma_cookie_init(chan)
    txs = [DmaAsyncTxDescriptor() for _ in range(3)]
    for tx in txs:
        dma_async_tx_descriptor_init(tx, chan)
    for n in program:
        tx = txs[n >> 8 & 1]
        match n % 5:
            case 0 | 1:
                yield dma_cookie_assign(tx)
            case 2:
                yield tried(lambda: dma_cookie_complete(tx))  # noqa: B023
            case 3:
                chan.cookie = 0x7FFFFFFF - (n >> 8 & 1) if n & 16 else -n % 5
            case 4:
                yield dma_cookie_status(chan, n >> 8 & 7, state if n & 16 else None), state.last, state.used, state.residue
        yield chan.cookie, chan.completed_cookie, [t.cookie for t in txs], dma_run_dependencies(tx)


def tasklets(rig: Rig, program: list[int]) -> Iterator[Any]:
    ran: list[int] = []
    some = [TaskletStruct() for _ in range(3)]
    for i, t in enumerate(some):
        tasklet_init(t, ran.append, i)
    for n in program:
        if n % 4 == 3:
            sched.running_cpu().controller.softirq(sched.running_cpu())
        else:
            yield tasklet_schedule(some[n % 4 % 3])
        yield [t.state for t in some], list(ran), sched.running_cpu().softirq_pending


def power(rig: Rig, program: list[int]) -> Iterator[Any]:
    parent = Device("parent")
    dev = Device("dev", parent)
    events = rig.record()
    pm_runtime_enable(parent)
    for n in program:
        calls = [pm_runtime_get_sync, pm_runtime_get, pm_runtime_mark_last_busy, pm_runtime_put_autosuspend, pm_runtime_enable,
                 pm_runtime_disable, pm_runtime_use_autosuspend]
        if n % 8 == 7:
            pm_runtime_set_autosuspend_delay(dev, n >> 8 & 3)
            rig.clock.tick(n >> 10 & 0xFFFFF)
        else:
            yield calls[n % 8](dev)
        if n & 64:
            dev.power.forced = n >> 7 & 1
        p = dev.power
        yield p.usage_count, p.disable_depth, p.runtime_status, p.last_busy, p.timer_expires, p.request, len(events)


PAIRS = {f.__name__: f for f in (atomics, locks, fifos, lists, registers, memory, cookies, tasklets, power)}


def play(name: str, program: list[int]) -> Any:
    rig = Rig()
    try:
        return json.loads(json.dumps(list(PAIRS[name](rig, program))))
    finally:
        rig.close()


@pytest.fixture(scope="module")
def twins() -> Iterator[subprocess.Popen[str]]:
    if not _mode.compiled():
        pytest.skip(f"there is nothing to compare: {_mode.why()}")
    root = Path(__file__).resolve().parent
    path = os.pathsep.join([str(root), str(root.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "HIDMA_INTERPRETED": "1", "PYTHONPATH": path}) as process:
        yield process
        cast(IO[str], process.stdin).close()


@pytest.mark.parametrize("name", PAIRS)
def test_the_c_body_and_its_twin_do_the_same(twins: subprocess.Popen[str], name: str) -> None:
    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=40))
    def compare(program: list[int]) -> None:
        assert twins.stdin is not None and twins.stdout is not None
        print(json.dumps([name, program]), file=twins.stdin, flush=True)
        assert play(name, program) == json.loads(twins.stdout.readline())

    compare()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(play(*json.loads(line))), flush=True)
