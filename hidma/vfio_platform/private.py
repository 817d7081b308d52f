# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/vfio_platform_private.h
# Copyright (C) 2013 - Virtual Open Systems
# Author: Antonios Motakis <a.motakis@virtualopensystems.com>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/vfio_platform_private.h``: a device of the platform bus as VFIO knows it, its registers and
interrupts, and what makes a reset function known. V14's oddities are kept and marked with their row in docs/quirks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hidma.linux.errno import EINVAL
from hidma.linux.eventfd import EventfdCtx
from hidma.linux.ioport import Resource
from hidma.linux.list import ListHead
from hidma.linux.module import Module, this_module
from hidma.linux.mutex import Mutex
from hidma.linux.slab import Array
from hidma.linux.spinlock import Spinlock
from hidma.linux.vfio import Virqfd

VFIO_PLATFORM_OFFSET_SHIFT = 40
VFIO_PLATFORM_OFFSET_MASK = (1 << VFIO_PLATFORM_OFFSET_SHIFT) - 1


def VFIO_PLATFORM_OFFSET_TO_INDEX(off: int) -> int:
    """The region that a file offset means."""
    return off >> VFIO_PLATFORM_OFFSET_SHIFT


def VFIO_PLATFORM_INDEX_TO_OFFSET(index: int) -> int:
    """Where region ``index`` begins in the file."""
    return index << VFIO_PLATFORM_OFFSET_SHIFT


class VfioPlatformIrq:
    """``struct vfio_platform_irq``."""

    def __init__(self) -> None:
        self.flags = 0
        self.count = 0
        self.hwirq = 0
        self.name: str | None = None
        self.trigger: EventfdCtx | None = None
        self.masked = False
        self.lock = Spinlock("irq_ctx->lock")
        self.unmask: Virqfd | None = None
        self.mask: Virqfd | None = None


class VfioPlatformRegion:
    """``struct vfio_platform_region``: ``addr`` and ``size`` of registers, ``ioaddr`` where they are mapped (0: they are
    not yet)."""

    def __init__(self) -> None:
        self.addr = 0
        self.size = 0
        self.flags = 0
        self.type = 0
        self.ioaddr = 0


VFIO_PLATFORM_REGION_TYPE_MMIO = 1
VFIO_PLATFORM_REGION_TYPE_PIO = 2


class VfioPlatformDevice:
    """``struct vfio_platform_device``: the argument of a reset function; ``regions`` are its registers."""

    def __init__(self) -> None:
        self.regions: Array[VfioPlatformRegion] = Array()
        self.num_regions = 0
        self.irqs: Array[VfioPlatformIrq] = Array()
        self.num_irqs = 0
        self.refcnt = 0
        self.igate = Mutex("vdev->igate")
        self.parent_module: Module | None = None
        self.compat: str | None = None
        self.acpihid: str | None = None
        self.reset_module: Module | None = None
        self.device: Any = None
        # the driver of the bus fills in the fields that follow
        self.opaque: Any = None
        self.name = ""
        self.flags = 0
        # find the resources of the device
        self.get_resource: Callable[[VfioPlatformDevice, int], Resource | None] = lambda vdev, i: None
        self.get_irq: Callable[[VfioPlatformDevice, int], int] = lambda vdev, i: -EINVAL
        self.reset: vfio_platform_reset_fn_t | None = None


vfio_platform_reset_fn_t = Callable[[VfioPlatformDevice], int]


class VfioPlatformResetNode:
    """``struct vfio_platform_reset_node``."""

    def __init__(self, compat: str | None, acpihid: str | None, owner: Module | None,
                 reset: vfio_platform_reset_fn_t) -> None:
        self.link = ListHead(self)
        self.compat = compat
        self.acpihid = acpihid
        self.owner = owner
        self.reset = reset


def vfio_platform_register_reset(__compat: str | None, __acpihid: str | None, __reset: vfio_platform_reset_fn_t) -> None:
    """Register a reset function of the module that defines it, for devices with this compatible string, this hardware ID
    or either."""
    # declared by this header, defined in vfio_platform_common.c, which includes it
    from hidma.vfio_platform.common import __vfio_platform_register_reset

    __vfio_platform_register_reset(VfioPlatformResetNode(__compat, __acpihid, this_module(__reset), __reset))


@dataclass(frozen=True)
class ResetModule(Module):
    """What ``module_vfio_reset_handler()`` makes: a module whose init function registers ``reset``."""

    compat: str | None = None
    acpihid: str | None = None
    reset: vfio_platform_reset_fn_t | None = None


def module_vfio_reset_handler(compat: str | None, acpihid: str | None, reset: vfio_platform_reset_fn_t) -> ResetModule:
    """The module of a reset function: it registers ``reset`` when it is loaded. It has the name of the Python module that
    defines it, for those of the series with ``vfio_platform_`` in front."""

    def reset_module_init() -> int:
        vfio_platform_register_reset(compat, acpihid, reset)
        return 0

    def reset_module_exit() -> None:
        from hidma.vfio_platform.common import vfio_platform_unregister_reset

        vfio_platform_unregister_reset(compat, acpihid, reset)

    package, _, name = str(getattr(reset, "__module__", "")).rpartition(".")
    # V14 has no MODULE_ALIAS_VFIO_PLATFORM_RESET(); the modules' own lines of MODULE_ALIAS() say the same
    aliases = (f"vfio-reset:{compat}",) if compat is not None else ()
    return ResetModule(
        name=f"vfio_platform_{name}" if package == "reset_plugins" else name,
        init=reset_module_init,
        exit=reset_module_exit,
        depends=("vfio_platform_base",),
        aliases=aliases,
        compat=compat,
        acpihid=acpihid,
        reset=reset,
    )
