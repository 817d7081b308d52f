# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/module.h>`` and ``<linux/moduleparam.h>``: modules, their parameters and aliases.

A module of the port is described once by a :class:`Module`; what it keeps while loaded lives on the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hidma.linux.errno import EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC
from hidma.linux.kstrtox import kstrtoint, kstrtouint, kstrtoul, strtobool
from hidma.linux.list import list_for_each_entry

if TYPE_CHECKING:
    from hidma.linux.kernel import Kernel

PARAM_LENGTH = 1024
MODULE_SIZE = 16384
"""Bytes of a module: nothing is loaded to an address here, so each has four pages."""


@dataclass(frozen=True)
class ModuleParam:
    """``module_param(name, type, perm)`` with its ``MODULE_PARM_DESC``."""

    name: str
    type: str
    perm: int
    default: Any = 0
    desc: str = ""

    def parse(self, text: str | None) -> tuple[int, Any]:
        """(0, the value that ``text`` means), (-EINVAL, None), (-ERANGE, None) or (-ENOSPC, None).

        None is a parameter that is named without a value: that sets a ``bool``.
        """
        if text is None:
            return (0, True) if self.type == "bool" else (-EINVAL, None)
        raw = text.encode()
        rc: int = 0
        value: Any = None
        if self.type == "uint":
            rc, value = kstrtouint(raw, 0)
        elif self.type == "int":
            rc, value = kstrtoint(raw, 0)
        elif self.type == "ulong":
            rc, value = kstrtoul(raw, 0)
        elif self.type == "bool":
            rc, value = strtobool(raw)
        elif len(raw) > PARAM_LENGTH:
            rc = -ENOSPC
        else:
            value = text
        return (rc, None) if rc else (0, value)


@dataclass(frozen=True)
class Module:
    """A loadable module of the port."""

    name: str
    init: Callable[[], int]
    exit: Callable[[], None] | None = None
    params: tuple[ModuleParam, ...] = ()
    license: str = "GPL v2"
    source: str = ""
    depends: tuple[str, ...] = ()
    aliases: tuple[str, ...] = field(default=())


def load_module(kernel: Kernel, module: Module, params: Mapping[str, str | None] | None = None) -> int:
    """``modprobe``: set the parameters, run the init function: 0, -EEXIST (loaded already), -EINVAL, -ERANGE or
    -ENOSPC (parameters), or what init returned. An unknown parameter is ignored with a warning."""
    loaded = kernel.module("module")
    if not hasattr(loaded, "list"):
        loaded.list = {}
    if module.name in loaded.list:
        return -EEXIST
    state = kernel.module(module.name)
    known = {p.name: p for p in module.params}
    for p in module.params:
        setattr(state, p.name, p.default)
    for name, text in (params or {}).items():
        if name not in known:
            kernel.printk(4, f"{module.name}: unknown parameter '{name}' ignored")
            continue
        rc, value = known[name].parse(text)
        if rc:
            what = "too large" if rc == -ENOSPC else "invalid"
            kernel.printk(3, f"{module.name}: `{text or ''}' {what} for parameter `{name}'")
            kernel.modules.pop(module.name, None)
            return rc
        setattr(state, name, value)
    loaded.list[module.name] = module
    rc = module.init()
    if rc < 0:
        del loaded.list[module.name]
        kernel.modules.pop(module.name, None)
    return rc


def unload_module(kernel: Kernel, name: str) -> int:
    """``rmmod``: 0, -ENOENT (not loaded), -EAGAIN (somebody uses it), -EBUSY (it has no exit function: V14's
    management driver).

    What the module kept at file scope goes with it.
    """
    loaded = kernel.module("module")
    module = getattr(loaded, "list", {}).get(name)
    if module is None:
        return -ENOENT
    if any(name in other.depends for other in modules(kernel)):
        return -EAGAIN
    if module.exit is None:
        return -EBUSY
    if module_refcount(kernel, name):
        return -EAGAIN
    module.exit()
    del loaded.list[name]
    kernel.modules.pop(name, None)
    return 0


def modules(kernel: Kernel) -> list[Module]:
    """The loaded modules, oldest first."""
    return list(getattr(kernel.module("module"), "list", {}).values())


def module_refcount(kernel: Kernel, name: str) -> int:
    """How many references somebody holds on a module (``module_refcount()``).

    The only ones who take some here are clients of DMA channels: dma_chan_get() counts each on the module of the
    channel's driver.
    """
    return sum(
        chan.client_count
        for device in getattr(kernel.module("dmaengine"), "dma_device_list", ())
        if device.dev.driver is not None and device.dev.driver.owner == name
        for chan in list_for_each_entry(device.channels)
    )
