# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kmod.h>``: the kernel asks user space for a module by name; the function set by set_modprobe() finds and loads it."""

from __future__ import annotations

from collections.abc import Callable

from hidma.linux import sched
from hidma.linux.errno import ENOENT


def set_modprobe(modprobe: Callable[[str], int] | None) -> None:
    """Set the module loader of the running kernel: ``modprobe(name)`` returns 0 or a negative errno."""
    sched.running_cpu().kernel.module("kmod").modprobe = modprobe


def request_module(name: str) -> int:
    """Ask for the module ``name`` (an alias) and wait: the loader's result, -ENOENT without a loader."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit(("request_module", name))
    modprobe: Callable[[str], int] | None = getattr(kernel.module("kmod"), "modprobe", None)
    return -ENOENT if modprobe is None else modprobe(name)
