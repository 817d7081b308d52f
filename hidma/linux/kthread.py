# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kthread.h>``, ``<linux/completion.h>`` and ``<linux/wait.h>``: threads of the kernel, and waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EINTR
from hidma.linux.sched import TASK_DEAD, TASK_UNINTERRUPTIBLE, Task, schedule, wake_up_process


def kthread_create(threadfn: Callable[[Any], int], data: Any, name: str) -> Task:
    """A thread that sleeps until it is woken; CPUs are given out round robin. Stopped before that, it never runs."""
    kernel = sched.running_cpu().kernel
    cpu = kernel.cpus[kernel.next_thread_cpu % len(kernel.cpus)]
    kernel.next_thread_cpu += 1
    task = Task(name, cpu, threadfn, data)
    kernel.threads.append(task)
    return task


def kthread_run(threadfn: Callable[[Any], int], data: Any, name: str) -> Task:
    """Create a thread and wake it."""
    task = kthread_create(threadfn, data, name)
    wake_up_process(task)
    return task


def kthread_should_stop() -> bool:
    """Whether the running thread is to end."""
    return bool(sched.current().should_stop)


def kthread_stop(task: Task) -> int:
    """Ask ``task`` to end and wait for it; its result, -EINTR when it never ran."""
    task.should_stop = 1
    wake_up_process(task)
    while task.state != TASK_DEAD:
        me = sched.current()
        if me not in task.waiters:
            task.waiters.append(me)
        me.state = TASK_UNINTERRUPTIBLE
        if schedule() < 0:
            break
    return -EINTR if task.result is None else int(task.result)


class WaitQueueHead:
    """``wait_queue_head_t``."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []


def wake_up(queue: WaitQueueHead) -> None:
    """Wake every waiter."""
    tasks, queue.tasks = queue.tasks, []
    for task in tasks:
        wake_up_process(task)


def wait_event_timeout(queue: WaitQueueHead, condition: Callable[[], bool], ns: int | None) -> int:
    """Sleep until ``condition()`` or for ``ns`` nanoseconds (None: for ever).

    Returns what was left in ns (at least 1) when the condition holds, 0 when it does not, -1 when the machine came
    to rest and it never will.
    """
    cpu = sched.running_cpu()
    clock = cpu.clock
    until = None if ns is None else clock.now + ns
    me = sched.current()
    while not condition():
        if until is not None and clock.now >= until:
            return 0
        queue.tasks.append(me)
        me.state = TASK_UNINTERRUPTIBLE
        if until is not None:
            clock.schedule(me.wakeup, until)
        stalled = schedule() < 0
        clock.cancel(me.wakeup)
        if me in queue.tasks:
            queue.tasks.remove(me)
        if stalled and not condition():
            return -1
    return 1 if until is None else max(1, until - clock.now)
