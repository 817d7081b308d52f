# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/dma/dmatest.c of Linux 6.1
# Copyright (C) 2007 Atmel Corporation
# Copyright (C) 2013 Intel Corporation
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/dmatest.c`` of Linux 6.1: the kernel's DMA test client, function by function under its C
names, with its parameters, messages and arithmetic. It runs as kernel threads of the Linux slice, in virtual time, on
buffers in the machine's RAM.

Left out, with the functions that only they use: the memset, XOR and P+Q tests (``min_odd``), because V14 registers nothing
but memcpy (row 19), so that ``xor_sources`` and ``pq_sources`` are read by no test; DMA_COMPLETION_NO_ORDER, which no driver
of 4.5 has; the mutex, because nothing here is preempted and only one task at a time sets parameters.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from typing import Any, Protocol

from hidma.linux import sched
from hidma.linux.delay import msleep
from hidma.linux.device import Device
from hidma.linux.dma_mapping import (
    DMA_BIDIRECTIONAL,
    DMA_TO_DEVICE,
    dma_map_single,
    dma_mapping_error,
    dma_unmap_single,
)
from hidma.linux.dmaengine import (
    DMA_COMPLETE,
    DMA_CTRL_ACK,
    DMA_ERROR,
    DMA_MEMCPY,
    DMA_PREP_INTERRUPT,
    DmaAsyncTxDescriptor,
    DmaChan,
    DmaDevice,
    dma_async_is_tx_complete,
    dma_async_issue_pending,
    dma_has_cap,
    dma_release_channel,
    dma_request_channel,
    dma_sync_wait,
    dmaengine_prep_dma_memcpy,
    dmaengine_submit,
    dmaengine_terminate_all,
)
from hidma.linux.errno import EBUSY, EINVAL, ENOMEM, ENOSPC
from hidma.linux.kthread import (
    WaitQueueHead,
    kthread_create,
    kthread_should_stop,
    kthread_stop,
    wait_event_timeout,
    wake_up,
)
from hidma.linux.mm import PAGE_OFFSET, bad_address
from hidma.linux.module import Module, ModuleParam, ModuleParamCb
from hidma.linux.printk import KERN_DEBUG, KERN_ERR, KERN_INFO, KERN_WARNING, printk, s32
from hidma.linux.sched import Task, wake_up_process

NSEC_PER_USEC = 1000
UINT_MAX = 0xFFFFFFFF
TASK_COMM_LEN = 16
KMALLOC_MAX_SIZE = 1 << 22

# --- kernel calls that the series itself does not make ----------------------------------------------------------------


def kmalloc(size: int) -> int:
    """``size`` bytes of RAM: kernel virtual address, 0 when there is no room or it is more than kmalloc gives."""
    kernel = sched.running_cpu().kernel
    if kernel.fault_inject.alloc("kmalloc") or size > KMALLOC_MAX_SIZE:
        return 0
    phys = kernel.dma_ops.pages.alloc(size)
    return 0 if phys is None else PAGE_OFFSET + phys - kernel.bus.memory.base


def kfree(address: int) -> None:
    """Give back what :func:`kmalloc` returned."""
    kernel = sched.running_cpu().kernel
    kernel.dma_ops.pages.release(address - PAGE_OFFSET + kernel.bus.memory.base)


def kernel_bytes(address: int, size: int) -> memoryview:
    """The ``size`` bytes of RAM at kernel virtual ``address``."""
    memory = sched.running_cpu().memory
    at = address - PAGE_OFFSET
    if at < 0 or at + size > memory.size:
        bad_address(address)
    return memory.view[at : at + size]


def ktime_get() -> int:
    """The running CPU's virtual time in ns."""
    return int(sched.running_cpu().clock.now)


def get_random_u64() -> int:
    """The next 64 random bits of the running kernel; the machine's seed decides them."""
    state = sched.running_cpu().kernel.module("random")
    if not hasattr(state, "crng"):
        state.crng = random.Random(0)
    bits: int = state.crng.getrandbits(64)
    return bits


def msecs_to_ns(msecs: int) -> int | None:
    """A time-out for :func:`wait_event_timeout`; negative milliseconds are for ever, as in msecs_to_jiffies()."""
    return None if msecs < 0 else msecs * 1000000


class DmaengineUnmapData:
    """``struct dmaengine_unmap_data``."""

    def __init__(self, dev: Device) -> None:
        self.dev = dev
        self.len = 0
        self.to_cnt = 0
        self.bidi_cnt = 0
        self.addr: list[int] = []

    def put(self) -> None:
        """``dmaengine_unmap_put()``: undo the mappings that were counted."""
        for i in range(self.to_cnt):
            dma_unmap_single(self.dev, self.addr[i], self.len, DMA_TO_DEVICE)
        for i in range(self.to_cnt, self.to_cnt + self.bidi_cnt):
            dma_unmap_single(self.dev, self.addr[i], self.len, DMA_BIDIRECTIONAL)


def dmaengine_get_unmap_data(dev: Device) -> DmaengineUnmapData | None:
    """None when the allocation fails."""
    if sched.running_cpu().kernel.fault_inject.alloc("dmaengine_get_unmap_data"):
        return None
    return DmaengineUnmapData(dev)


def dmaengine_terminate_sync(chan: DmaChan) -> int:
    """Terminate; a driver without ``device_synchronize``, as V14's, has nothing more to wait for."""
    return dmaengine_terminate_all(chan)


def pr_debug(text: str) -> None:
    if sched.running_cpu().kernel.debug:
        printk(KERN_DEBUG, f"dmatest: {text}")


def pr_info(text: str) -> None:
    printk(KERN_INFO, f"dmatest: {text}")


def pr_warn(text: str) -> None:
    printk(KERN_WARNING, f"dmatest: {text}")


def pr_err(text: str) -> None:
    printk(KERN_ERR, f"dmatest: {text}")


def comm() -> str:
    """``current->comm``: 15 characters of the thread's name."""
    return sched.current().name[: TASK_COMM_LEN - 1]


# --- dmatest.c --------------------------------------------------------------------------------------------------------


class DmatestParams:
    """``struct dmatest_params``: sizes in bytes, ``timeout`` in ms, ``alignment`` as an exponent of two."""

    def __init__(self) -> None:
        self.buf_size = 0
        self.channel = ""
        self.device = ""
        self.threads_per_chan = 0
        self.max_channels = 0
        self.iterations = 0
        self.xor_sources = 0
        self.pq_sources = 0
        self.timeout = 0
        self.noverify = False
        self.norandom = False
        self.alignment = 0
        self.transfer_size = 0
        self.polled = False


class Observer(Protocol):
    """What a tool may ask to be told (dmatest.c knows no such thing)."""

    def submitted(self, thread: DmatestThread, tx: DmaAsyncTxDescriptor, cookie: int, dest: int, src: int,
                  length: int) -> None:
        """The driver has accepted a transfer; it may have ended already, when another thread rang the doorbell."""

    def tested(self, thread: DmatestThread) -> None:
        """The driver's part in a test is over: it called back, or the time was."""


class DmatestInfo:
    """``struct dmatest_info``; ``observer`` is ours."""

    def __init__(self) -> None:
        self.params = DmatestParams()
        self.channels: list[DmatestChan] = []
        self.nr_channels = 0
        self.last_error = 0
        self.did_init = False
        self.observer: Observer | None = None


# Maximum amount of mismatched bytes in buffer to print
MAX_ERROR_COUNT = 32

# Source bytes have bit 7 set, destination bytes have it clear. Bit 6: to be copied. Bit 5: to be overwritten. The rest
# is the inverse of a counter of the bytes.
PATTERN_SRC = 0x80
PATTERN_DST = 0x00
PATTERN_COPY = 0x40
PATTERN_OVERWRITE = 0x20
PATTERN_COUNT_MASK = 0x1F

# Fixed point arithmetic ops
FIXPT_SHIFT = 8
FIXPNT_MASK = 0xFF


def FIXPT_TO_INT(a: int) -> int:
    return a >> FIXPT_SHIFT


def INT_TO_FIXPT(a: int) -> int:
    return a << FIXPT_SHIFT & 0xFFFFFFFFFFFFFFFF


def FIXPT_GET_FRAC(a: int) -> int:
    return (a & FIXPNT_MASK) * 100 >> FIXPT_SHIFT


class DmatestData:
    """``struct dmatest_data``: addresses of the buffers, and the offset of the present test."""

    def __init__(self) -> None:
        self.raw: list[int] = []
        self.aligned: list[int] = []
        self.cnt = 0
        self.off = 0


class DmatestDone:
    """``struct dmatest_done``."""

    def __init__(self, thread: DmatestThread) -> None:
        self.done = False
        self.wait = thread.done_wait
        self.container = thread


class DmatestThread:
    """``struct dmatest_thread``; what C keeps in dmatest_func()'s frame is here, for tools to see."""

    def __init__(self, info: DmatestInfo, chan: DmaChan, type: int) -> None:
        self.info = info
        self.task: Task
        self.chan = chan
        self.src = DmatestData()
        self.dst = DmatestData()
        self.type = type
        self.done_wait = WaitQueueHead()
        self.test_done = DmatestDone(self)
        self.done = False
        self.pending = False
        self.total_tests = 0
        self.failed_tests = 0
        self.total_len = 0
        self.runtime = 0
        self.ret = -ENOMEM


class DmatestChan:
    """``struct dmatest_chan``."""

    def __init__(self, chan: DmaChan) -> None:
        self.chan = chan
        self.threads: list[DmatestThread] = []


def this_module() -> Any:
    """What the C file keeps at file scope: parameters, ``test_info``, ``thread_wait``."""
    state = sched.running_cpu().kernel.module("dmatest")
    if not hasattr(state, "test_info"):
        state.test_info = DmatestInfo()
        state.thread_wait = WaitQueueHead()
    return state


def test_info() -> DmatestInfo:
    info: DmatestInfo = this_module().test_info
    return info


def is_threaded_test_run(info: DmatestInfo) -> bool:
    return any(not thread.done and not thread.pending for dtc in info.channels for thread in dtc.threads)


def is_threaded_test_pending(info: DmatestInfo) -> bool:
    return any(thread.pending for dtc in info.channels for thread in dtc.threads)


def dmatest_wait_get() -> str:
    """Waits for running tests, unless they have no end, or the machine has come to rest and they never will."""
    this = this_module()
    info = test_info()
    params = info.params

    if params.iterations:
        wait_event_timeout(this.thread_wait, lambda: not is_threaded_test_run(info), None)
    this.wait = True
    return "Y\n"


def dmatest_match_channel(params: DmatestParams, chan: DmaChan) -> bool:
    if params.channel == "":
        return True
    return bool(chan.name == params.channel)


def dmatest_match_device(params: DmatestParams, device: DmaDevice) -> bool:
    if params.device == "":
        return True
    return bool(device.dev.name == params.device)


def dmatest_random() -> int:
    return get_random_u64()


def gen_inv_idx(index: int) -> int:
    return ~index & PATTERN_COUNT_MASK


def gen_src_value(index: int) -> int:
    return PATTERN_SRC | gen_inv_idx(index)


def gen_dst_value(index: int) -> int:
    return PATTERN_DST | gen_inv_idx(index)


@lru_cache(maxsize=16)
def _pattern(value: Callable[[int], int], flags: int, size: int) -> bytes:
    return bytes(value(i) | flags for i in range(PATTERN_COUNT_MASK + 1)) * (size // (PATTERN_COUNT_MASK + 1) + 2)


def pattern_bytes(value: Callable[[int], int], flags: int, counter: int, count: int) -> bytes:
    """``value(i) | flags`` for the ``count`` bytes from ``counter`` on: what C's loops store or compare one by one."""
    room = PATTERN_COUNT_MASK + 1
    while room < count:  # few sizes, so that few patterns are kept
        room *= 2
    first = counter & PATTERN_COUNT_MASK
    return _pattern(value, flags, room)[first : first + count]


def dmatest_init_srcs(bufs: list[int], start: int, len: int, buf_size: int) -> None:
    for address in bufs:
        buf = kernel_bytes(address, buf_size)
        buf[:start] = pattern_bytes(gen_src_value, 0, 0, start)
        buf[start : start + len] = pattern_bytes(gen_src_value, PATTERN_COPY, start, len)
        buf[start + len :] = pattern_bytes(gen_src_value, 0, start + len, buf_size - start - len)


def dmatest_init_dsts(bufs: list[int], start: int, len: int, buf_size: int) -> None:
    for address in bufs:
        buf = kernel_bytes(address, buf_size)
        buf[:start] = pattern_bytes(gen_dst_value, 0, 0, start)
        buf[start : start + len] = pattern_bytes(gen_dst_value, PATTERN_OVERWRITE, start, len)
        buf[start + len :] = pattern_bytes(gen_dst_value, 0, start + len, buf_size - start - len)


def dmatest_mismatch(actual: int, pattern: int, index: int, counter: int, is_srcbuf: bool) -> None:
    diff = actual ^ pattern
    expected = pattern | gen_inv_idx(counter)
    thread_name = comm()

    if is_srcbuf:
        pr_warn(f"{thread_name}: srcbuf[0x{index:x}] overwritten! Expected {expected:02x}, got {actual:02x}")
    elif pattern & PATTERN_COPY and diff & (PATTERN_COPY | PATTERN_OVERWRITE):
        pr_warn(f"{thread_name}: dstbuf[0x{index:x}] not copied! Expected {expected:02x}, got {actual:02x}")
    elif diff & PATTERN_SRC:
        pr_warn(f"{thread_name}: dstbuf[0x{index:x}] was copied! Expected {expected:02x}, got {actual:02x}")
    else:
        pr_warn(f"{thread_name}: dstbuf[0x{index:x}] mismatch! Expected {expected:02x}, got {actual:02x}")


def dmatest_verify(bufs: list[int], start: int, end: int, counter: int, pattern: int, is_srcbuf: bool) -> int:
    """Compares bytes ``start`` to ``end`` of each buffer; the number of those that are wrong."""
    error_count = 0
    expected = pattern_bytes(gen_inv_idx, pattern, counter, end - start)

    for address in bufs:
        actual = kernel_bytes(address + start, end - start).tobytes()
        if actual == expected:
            continue
        reported = error_count
        wrong = int.from_bytes(actual, "little") ^ int.from_bytes(expected, "little")
        error_count += end - start - wrong.to_bytes(end - start, "little").count(0)
        for i in range(end - start):
            if reported >= min(error_count, MAX_ERROR_COUNT):
                break
            if actual[i] != expected[i]:
                dmatest_mismatch(actual[i], pattern, start + i, counter + i, is_srcbuf)
                reported += 1

    if error_count > MAX_ERROR_COUNT:
        pr_warn(f"{comm()}: {error_count - MAX_ERROR_COUNT} errors suppressed")

    return error_count


def dmatest_callback(arg: DmatestDone) -> None:
    done = arg
    thread = done.container
    if not thread.done:
        done.done = True
        wake_up(done.wait)
    else:
        # This callback occurred after the thread has cleaned up: the driver did not terminate what had timed out.
        sched.running_cpu().kernel.warn("dmatest: Kernel memory may be corrupted!!")


def result(err: str, n: int, src_off: int, dst_off: int, len: int, data: int) -> None:
    pr_info(f"{comm()}: result #{n}: '{err}' with src_off=0x{src_off:x} dst_off=0x{dst_off:x} len=0x{len:x} ({data})")


def dbg_result(err: str, n: int, src_off: int, dst_off: int, len: int, data: int) -> None:
    pr_debug(f"{comm()}: result #{n}: '{err}' with src_off=0x{src_off:x} dst_off=0x{dst_off:x} len=0x{len:x} ({data})")


def verbose_result(err: str, n: int, src_off: int, dst_off: int, len: int, data: int) -> None:
    if this_module().verbose:
        result(err, n, src_off, dst_off, len, data)
    else:
        dbg_result(err, n, src_off, dst_off, len, data)


def dmatest_persec(runtime: int, val: int) -> int:
    """``val`` (u32) per second in fixed point, for a run time in microseconds."""
    per_sec = 1000000

    if runtime <= 0:
        return 0

    # drop precision until runtime is 32-bits (6.1 doubles where it ought to halve: four times too much for each bit)
    while runtime > UINT_MAX:
        runtime >>= 1
        per_sec <<= 1

    per_sec = per_sec * (val & UINT_MAX) & 0xFFFFFFFFFFFFFFFF
    per_sec = INT_TO_FIXPT(per_sec)
    return per_sec // runtime


def dmatest_KBs(runtime: int, len: int) -> int:
    return FIXPT_TO_INT(dmatest_persec(runtime, len >> 10))


def dmatest_free_test_data(d: DmatestData) -> None:
    for address in d.raw:
        kfree(address)
    d.raw = []
    d.aligned = []


def dmatest_alloc_test_data(d: DmatestData, buf_size: int, align: int) -> int:
    for _ in range(d.cnt):
        raw = kmalloc(buf_size + align)
        if not raw:
            dmatest_free_test_data(d)
            return -ENOMEM
        d.raw.append(raw)

        # 6.1 aligns to the exponent itself, not to the power of two that it stands for
        d.aligned.append(raw + align - 1 & -align if align else raw)

    return 0


def dmatest_func(data: Any) -> int:
    """Tests transfers of various lengths and offsets until the iterations are done or kthread_stop() comes. Several
    threads may run it for one channel.

    Before each test both buffers are filled with patterns that tell source from destination and what is to be copied
    from what is to be left alone.
    """
    thread: DmatestThread = data

    thread.pending = False
    chan = thread.chan

    with ExitStack() as goto:
        ret = thread.ret = dmatest_tests(thread, goto)

    # err_thread_type:
    iops = dmatest_persec(thread.runtime // NSEC_PER_USEC, thread.total_tests)
    pr_info(f"{comm()}: summary {thread.total_tests} tests, {thread.failed_tests} failures "
            f"{FIXPT_TO_INT(iops)}.{FIXPT_GET_FRAC(iops):02d} iops "
            f"{dmatest_KBs(thread.runtime // NSEC_PER_USEC, thread.total_len)} KB/s ({ret})")

    # terminate all transfers on specified channels
    if ret or thread.failed_tests:
        dmaengine_terminate_sync(chan)

    thread.done = True
    wake_up(this_module().thread_wait)

    return ret


def dmatest_tests(thread: DmatestThread, goto: ExitStack) -> int:
    """The body of dmatest_func() up to its label err_thread_type; ``goto`` undoes what the labels before it undo."""
    params = thread.info.params
    dev = thread.chan.device
    dma_dev = dev.dev
    comparetime = 0
    filltime = 0

    src = thread.src
    dst = thread.dst
    # u8 align
    align = (dev.copy_align if params.alignment < 0 else params.alignment) & 0xFF
    # C shifts an int by it, and the CPU takes 5 bits of a shift
    shift = align & 31
    src.cnt = dst.cnt = 1

    buf_size = params.buf_size
    if 1 << shift > buf_size:
        pr_err(f"{buf_size}-byte buffer too small for {s32(1 << shift)}-byte alignment")
        return -ENOMEM

    if dmatest_alloc_test_data(src, buf_size, align) < 0:
        return -ENOMEM
    goto.callback(dmatest_free_test_data, src)

    if dmatest_alloc_test_data(dst, buf_size, align) < 0:
        return -ENOMEM
    goto.callback(dmatest_free_test_data, dst)

    ktime = ktime_get()
    while not (kthread_should_stop() or (params.iterations and thread.total_tests >= params.iterations)):
        thread.total_tests += 1
        total_tests = thread.total_tests

        if params.transfer_size:
            if params.transfer_size >= buf_size:
                pr_err(f"{params.transfer_size}-byte transfer size must be lower than {buf_size}-buffer size")
                break
            len = params.transfer_size
        elif params.norandom:
            len = buf_size
        else:
            len = dmatest_random() % buf_size + 1

        # Do not alter transfer size explicitly defined by user
        if not params.transfer_size:
            len = len >> shift << shift
            if not len:
                len = 1 << shift
        thread.total_len += len

        if params.norandom:
            src.off = 0
            dst.off = 0
        else:
            src.off = dmatest_random() % (buf_size - len + 1)
            dst.off = dmatest_random() % (buf_size - len + 1)

            src.off = src.off >> shift << shift
            dst.off = dst.off >> shift << shift

        if not params.noverify:
            start = ktime_get()
            dmatest_init_srcs(src.aligned, src.off, len, buf_size)
            dmatest_init_dsts(dst.aligned, dst.off, len, buf_size)
            filltime += ktime_get() - start

        um = dmaengine_get_unmap_data(dma_dev)
        if um is None:
            thread.failed_tests += 1
            result("unmap data NULL", total_tests, src.off, dst.off, len, thread.ret)
            continue

        um.len = buf_size
        passed = dmatest_transfer(thread, um, len)
        um.put()
        if not passed:
            # error_unmap_continue:
            thread.failed_tests += 1
            continue

        if params.noverify:
            verbose_result("test passed", total_tests, src.off, dst.off, len, 0)
            continue

        start = ktime_get()
        pr_debug(f"{comm()}: verifying source buffer...")
        error_count = dmatest_verify(src.aligned, 0, src.off, 0, PATTERN_SRC, True)
        error_count += dmatest_verify(src.aligned, src.off, src.off + len, src.off, PATTERN_SRC | PATTERN_COPY, True)
        error_count += dmatest_verify(src.aligned, src.off + len, buf_size, src.off + len, PATTERN_SRC, True)

        pr_debug(f"{comm()}: verifying dest buffer...")
        error_count += dmatest_verify(dst.aligned, 0, dst.off, 0, PATTERN_DST, False)
        error_count += dmatest_verify(dst.aligned, dst.off, dst.off + len, src.off, PATTERN_SRC | PATTERN_COPY, False)
        error_count += dmatest_verify(dst.aligned, dst.off + len, buf_size, dst.off + len, PATTERN_DST, False)
        comparetime += ktime_get() - start

        if error_count:
            result("data error", total_tests, src.off, dst.off, len, error_count)
            thread.failed_tests += 1
        else:
            verbose_result("test passed", total_tests, src.off, dst.off, len, 0)

    thread.runtime = ktime_get() - ktime - comparetime - filltime
    return 0


def dmatest_transfer(thread: DmatestThread, um: DmaengineUnmapData, len: int) -> bool:
    """The part of dmatest_func()'s loop between dmaengine_get_unmap_data() and the comparison: False where C goes to
    error_unmap_continue."""
    info = thread.info
    params = info.params
    done = thread.test_done
    chan = thread.chan
    dma_dev = um.dev
    src = thread.src
    dst = thread.dst
    total_tests = thread.total_tests

    um.addr.append(dma_map_single(dma_dev, src.aligned[0], um.len, DMA_TO_DEVICE))
    thread.ret = -ENOMEM if dma_mapping_error(dma_dev, um.addr[0]) else 0
    if thread.ret:
        result("src mapping error", total_tests, src.off, dst.off, len, thread.ret)
        return False
    um.to_cnt += 1

    # map with DMA_BIDIRECTIONAL to force writeback/invalidate
    um.addr.append(dma_map_single(dma_dev, dst.aligned[0], um.len, DMA_BIDIRECTIONAL))
    thread.ret = -ENOMEM if dma_mapping_error(dma_dev, um.addr[1]) else 0
    if thread.ret:
        result("dst mapping error", total_tests, src.off, dst.off, len, thread.ret)
        return False
    um.bidi_cnt += 1

    flags = DMA_CTRL_ACK if params.polled else DMA_CTRL_ACK | DMA_PREP_INTERRUPT
    dest_addr = um.addr[1] + dst.off
    src_addr = um.addr[0] + src.off
    tx = dmaengine_prep_dma_memcpy(chan, dest_addr, src_addr, len, flags)
    if tx is None:
        result("prep error", total_tests, src.off, dst.off, len, thread.ret)
        msleep(100)
        return False

    done.done = False
    if not params.polled:
        tx.callback = dmatest_callback
        tx.callback_param = done
    cookie = dmaengine_submit(tx)

    if cookie < 0:
        result("submit error", total_tests, src.off, dst.off, len, thread.ret)
        msleep(100)
        return False
    if info.observer is not None:
        info.observer.submitted(thread, tx, cookie, dest_addr, src_addr, len)

    if params.polled:
        status = dma_sync_wait(chan, cookie)
        dmaengine_terminate_sync(chan)
        if status == DMA_COMPLETE:
            done.done = True
    else:
        dma_async_issue_pending(chan)
        wait_event_timeout(thread.done_wait, lambda: done.done, msecs_to_ns(params.timeout))
        status = dma_async_is_tx_complete(chan, cookie)
    if info.observer is not None:
        info.observer.tested(thread)

    if not done.done:
        result("test timed out", total_tests, src.off, dst.off, len, 0)
        return False
    if status != DMA_COMPLETE:
        result("completion error status" if status == DMA_ERROR else "completion busy status",
               total_tests, src.off, dst.off, len, thread.ret)
        return False
    return True


def dmatest_cleanup_channel(dtc: DmatestChan) -> None:
    for thread in dtc.threads:
        ret = kthread_stop(thread.task)
        pr_debug(f"thread {thread.task.name[: TASK_COMM_LEN - 1]} exited with status {ret}")
    dtc.threads = []

    # terminate all transfers on specified channels
    dmaengine_terminate_sync(dtc.chan)


def dmatest_add_threads(info: DmatestInfo, dtc: DmatestChan, type: int) -> int:
    params = info.params
    chan = dtc.chan

    if type != DMA_MEMCPY:
        return -EINVAL
    op = "copy"

    for i in range(params.threads_per_chan):
        if sched.running_cpu().kernel.fault_inject.alloc("kzalloc"):
            pr_warn(f"No memory for {chan.name}-{op}{i}")
            return i
        thread = DmatestThread(info, chan, type)
        thread.task = kthread_create(dmatest_func, thread, f"{chan.name}-{op}{i}")

        # srcbuf and dstbuf are allocated by the thread itself
        dtc.threads.append(thread)
        thread.pending = True

    return params.threads_per_chan


def dmatest_add_channel(info: DmatestInfo, chan: DmaChan) -> int:
    dma_dev = chan.device
    thread_count = 0

    if sched.running_cpu().kernel.fault_inject.alloc("kmalloc"):
        pr_warn(f"No memory for {chan.name}")
        return -ENOMEM
    dtc = DmatestChan(chan)

    if dma_has_cap(DMA_MEMCPY, dma_dev) and this_module().dmatest == 0:
        cnt = dmatest_add_threads(info, dtc, DMA_MEMCPY)
        thread_count += cnt if cnt > 0 else 0

    pr_info(f"Added {thread_count} threads using {chan.name}")

    info.channels.append(dtc)
    info.nr_channels += 1

    return 0


def filter(chan: DmaChan, param: DmatestParams) -> bool:
    return dmatest_match_channel(param, chan) and dmatest_match_device(param, chan.device)


def request_channels(info: DmatestInfo, type: int) -> None:
    params = info.params
    mask = 1 << type

    while True:
        chan = dma_request_channel(mask, filter, params)
        if chan is None:
            break  # no more channels available
        if dmatest_add_channel(info, chan):
            dma_release_channel(chan)
            break  # add_channel failed, punt
        if params.max_channels and info.nr_channels >= params.max_channels:
            break  # we have all we need


def add_threaded_test(info: DmatestInfo) -> None:
    params = info.params
    this = this_module()

    # Copy test parameters
    params.buf_size = this.test_buf_size
    # strim() cuts the blanks at the end off in place
    this.channel = this.channel.rstrip()
    this.device = this.device.rstrip()
    params.channel = this.channel.lstrip()
    params.device = this.device.lstrip()
    params.threads_per_chan = this.threads_per_chan
    params.max_channels = this.max_channels
    params.iterations = this.iterations
    params.xor_sources = this.xor_sources
    params.pq_sources = this.pq_sources
    params.timeout = this.timeout
    params.noverify = this.noverify
    params.norandom = this.norandom
    params.alignment = this.alignment
    params.transfer_size = this.transfer_size
    params.polled = this.polled

    request_channels(info, DMA_MEMCPY)


def run_pending_tests(info: DmatestInfo) -> None:
    for dtc in info.channels:
        thread_count = 0
        for thread in dtc.threads:
            wake_up_process(thread.task)
            thread_count += 1
        pr_info(f"Started {thread_count} threads using {dtc.chan.name}")

    # In C the woken threads begin while this one prints, and dmatest_wait_get() counts on it. Nothing preempts here.
    sched.schedule_timeout(NSEC_PER_USEC)


def stop_threaded_test(info: DmatestInfo) -> None:
    while info.channels:
        dtc = info.channels.pop(0)
        chan = dtc.chan
        dmatest_cleanup_channel(dtc)
        pr_debug(f"dropped channel {chan.name}")
        dma_release_channel(chan)

    info.nr_channels = 0


def start_threaded_tests(info: DmatestInfo) -> None:
    # We might be called early to set run=; running waits until all parameters have been evaluated.
    if not info.did_init:
        return

    run_pending_tests(info)


def dmatest_run_get() -> str:
    """``run``: whether a test runs; one that has ended gives its channels back."""
    info = test_info()

    if is_threaded_test_run(info):
        this_module().run = True
    else:
        if not is_threaded_test_pending(info):
            stop_threaded_test(info)
        this_module().run = False

    return "Y\n" if this_module().run else "N\n"


def dmatest_run_set(val: str) -> int:
    """``run=1`` starts what is pending, or a test of any channels; ``run=0`` stops. 0 or a negative errno."""
    this = this_module()
    info = test_info()

    ret, this.run = PARAM_BOOL.parse(val)
    if ret:
        return ret
    if this.run:
        if not is_threaded_test_pending(info):
            # Nothing to run. This can be due to:
            ret = info.last_error
            if ret:
                # 1) Misconfiguration
                pr_err("Channel misconfigured, can't continue")
                return ret
            # 2) We rely on defaults
            pr_info("No channels configured, continue with any")
            if not is_threaded_test_run(info):
                stop_threaded_test(info)
            add_threaded_test(info)
        start_threaded_tests(info)
    else:
        stop_threaded_test(info)

    return 0


def dmatest_chan_set(val: str) -> int:
    """``channel=dma0chan0`` adds a channel to the next test, an empty one all: 0, -EBUSY (it is in use or not there),
    -EINVAL (not there, but others were added before), -ENOSPC (the name is too long)."""
    this = this_module()
    info = test_info()

    rc = param_set_copystring("channel", val, 20)
    if rc:
        return rc
    # Clear any previously run threads
    if not is_threaded_test_run(info) and not is_threaded_test_pending(info):
        stop_threaded_test(info)
    # Reject channels that are already registered
    if is_threaded_test_pending(info) and any(dtc.chan.name == this.channel.strip() for dtc in info.channels):
        chan_reset_val = info.channels[-1].chan.name
        ret = -EBUSY
    else:
        ret = 0
        add_threaded_test(info)

        # Check if channel was added successfully
        if info.channels:
            # If it was not, the parameter goes back to the channel that was added last. Exception: an empty string.
            chan_reset_val = info.channels[-1].chan.name
            if chan_reset_val != this.channel.strip() and this.channel.strip() != "":
                ret = -EINVAL
        else:
            # Clear test_channel if no channels were added successfully
            chan_reset_val = ""
            ret = -EBUSY

    # add_chan_err:
    if ret:
        this.channel = chan_reset_val
    info.last_error = ret

    return ret


def dmatest_chan_get() -> str:
    """``channel``: what was set last; nothing once its test has ended, whose channels are given back."""
    info = test_info()

    if not is_threaded_test_run(info) and not is_threaded_test_pending(info):
        stop_threaded_test(info)
        this_module().channel = ""

    return f"{this_module().channel}\n"


def dmatest_test_list_get() -> str:
    """``test_list``: prints the channels and their numbers of threads to the log."""
    for dtc in test_info().channels:
        pr_info(f"{len(dtc.threads)} threads using {dtc.chan.name}")

    return ""


def dmatest_init() -> int:
    this = this_module()
    info = test_info()
    params = info.params

    if this.run:
        add_threaded_test(info)
        run_pending_tests(info)

    if params.iterations and this.wait:
        wait_event_timeout(this.thread_wait, lambda: not is_threaded_test_run(info), None)

    # Module parameters are stable, the tests of init time are started: user space takes over `run`.
    info.did_init = True

    return 0


def dmatest_exit() -> None:
    stop_threaded_test(test_info())


# --- parameters -------------------------------------------------------------------------------------------------------


def param_set_copystring(name: str, val: str, maxlen: int) -> int:
    if len(val.encode()) + 1 > maxlen:
        pr_err(f"{name}: string doesn't fit in {maxlen - 1} chars.")
        return -ENOSPC
    setattr(this_module(), name, val)
    return 0


def wait_set(val: str) -> int:
    """``param_set_bool()`` on the variable ``wait``."""
    return PARAM_WAIT.store(this_module(), val)


PARAM_BOOL = ModuleParam("run", "bool", 0o644, False)
PARAM_WAIT = ModuleParam("wait", "bool", 0o444, False)

module = Module(
    name="dmatest",
    init=dmatest_init,
    exit=dmatest_exit,
    params=(
        ModuleParam("test_buf_size", "uint", 0o644, 16384, "Size of the memcpy test buffer"),
        ModuleParamCb("device", "string", 0o644, "", "Bus ID of the DMA Engine to test (default: any)",
                      set=lambda text: param_set_copystring("device", text, 32), get=lambda: f"{this_module().device}\n"),
        ModuleParam("threads_per_chan", "uint", 0o644, 1, "Number of threads to start per channel (default: 1)"),
        ModuleParam("max_channels", "uint", 0o644, 0, "Maximum number of channels to use (default: all)"),
        ModuleParam("iterations", "uint", 0o644, 0, "Iterations before stopping test (default: infinite)"),
        ModuleParam("dmatest", "uint", 0o644, 0, "dmatest 0-memcpy 1-memset (default: 0)"),
        ModuleParam("xor_sources", "uint", 0o644, 3, "Number of xor source buffers (default: 3)"),
        ModuleParam("pq_sources", "uint", 0o644, 3, "Number of p+q source buffers (default: 3)"),
        ModuleParam("timeout", "int", 0o644, 3000,
                    "Transfer Timeout in msec (default: 3000), Pass -1 for infinite timeout"),
        ModuleParam("noverify", "bool", 0o644, False, "Disable data verification (default: verify)"),
        ModuleParam("norandom", "bool", 0o644, False, "Disable random offset setup (default: random)"),
        ModuleParam("verbose", "bool", 0o644, False, 'Enable "success" result messages (default: off)'),
        ModuleParam("alignment", "int", 0o644, -1,
                    "Custom data address alignment taken as 2^(alignment) (default: not used (-1))"),
        ModuleParam("transfer_size", "uint", 0o644, 0,
                    "Optional custom transfer size in bytes (default: not used (0))"),
        ModuleParam("polled", "bool", 0o644, False, "Use polling for completion instead of interrupts"),
        ModuleParamCb("run", "bool", 0o644, False, "Run the test (default: false)", set=dmatest_run_set,
                      get=dmatest_run_get),
        ModuleParamCb("channel", "string", 0o644, "", "Bus ID of the channel to test (default: any)",
                      set=dmatest_chan_set, get=dmatest_chan_get),
        ModuleParamCb("test_list", "string", 0o444, "", "Print current test list", get=dmatest_test_list_get),
        ModuleParamCb("wait", "bool", 0o444, False, "Wait for tests to complete (default: false)", set=wait_set,
                      get=dmatest_wait_get),
    ),
    license="GPL v2",
    source="drivers/dma/dmatest.c",
)
