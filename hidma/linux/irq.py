# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/irq.h>``: what an interrupt is like, and whether requesting it enables it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.linux import interrupt, sched
from hidma.linux.interrupt import disable_irq_nosync, irq_desc
from hidma.linux.sched import local_irq_restore, local_irq_save

IRQ_TYPE_NONE = 0x0
IRQ_TYPE_LEVEL_HIGH = 0x4
IRQ_TYPE_LEVEL_LOW = 0x8
IRQ_TYPE_LEVEL_MASK = IRQ_TYPE_LEVEL_LOW | IRQ_TYPE_LEVEL_HIGH

IRQ_NOAUTOEN = 1 << 12


def irq_get_trigger_type(irq: int) -> int:
    """IRQ_TYPE_LEVEL_HIGH for an interrupt that has a line; nothing is known of one without."""
    desc = irq_desc(irq)
    return IRQ_TYPE_LEVEL_HIGH if desc is not None and desc.line is not None else IRQ_TYPE_NONE


def status_flags() -> dict[int, int]:
    """The flags that were set, by interrupt, in the running kernel."""
    statics = sched.running_cpu().kernel.module("irq")
    if not hasattr(statics, "flags"):
        statics.flags = {}
    flags: dict[int, int] = statics.flags
    return flags


def irq_set_status_flags(irq: int, set: int) -> None:
    """Set flags of ``irq``: IRQ_NOAUTOEN lets it stay disabled when it is requested."""
    status_flags()[irq] = status_flags().get(irq, 0) | set


def request_irq(irq: int, handler: Callable[[int, Any], int], flags: int, name: str, dev_id: Any) -> int:
    """:func:`hidma.linux.interrupt.request_irq`, which goes by the flags that were set."""
    if not status_flags().get(irq, 0) & IRQ_NOAUTOEN:
        return interrupt.request_irq(irq, handler, flags, name, dev_id)
    state = local_irq_save()
    rc = interrupt.request_irq(irq, handler, flags, name, dev_id)
    if not rc:
        disable_irq_nosync(irq)
    local_irq_restore(state)
    return rc
