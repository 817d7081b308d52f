# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/module.h>`` and ``<linux/moduleparam.h>``: modules, their parameters and aliases.

A module of the port is described once by a :class:`Module`; what it keeps while loaded lives on the kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hidma.linux import sched
from hidma.linux.errno import EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM
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

    def store(self, state: Any, text: str | None) -> int:
        """Set the parameter, a field of ``state``, from ``text``: 0 or what :meth:`parse` returns."""
        rc, value = self.parse(text)
        if rc == 0:
            setattr(state, self.name, value)
        return rc

    def show(self, state: Any) -> str | int:
        """The text of the parameter's file, or a negative errno."""
        value = getattr(state, self.name)
        return f"{'Y' if value is True else 'N' if value is False else value}\n"


@dataclass(frozen=True)
class ModuleParamCb(ModuleParam):
    """``module_param_cb(name, ops, arg, perm)``: ``set`` and ``get`` are those of the ``struct kernel_param_ops``."""

    set: Callable[[str], int] | None = None
    get: Callable[[], str] | None = None

    def store(self, state: Any, text: str | None) -> int:
        # without a function to set it, 6.1 calls a null pointer
        return -EINVAL if self.set is None or text is None else self.set(text)

    def show(self, state: Any) -> str | int:
        return -EPERM if self.get is None else self.get()


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

    def is_named(self, name: str) -> bool:
        """Whether ``name`` is the module's name or an alias of it; hyphens count as underscores."""
        wanted = name.replace("-", "_")
        return wanted == self.name or wanted in self.aliases or name in self.aliases


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
        rc = known[name].store(state, text)
        if rc:
            what = "too large" if rc == -ENOSPC else "invalid"
            kernel.printk(3, f"{module.name}: `{text or ''}' {what} for parameter `{name}'")
            kernel.modules.pop(module.name, None)
            return rc
    loaded.list[module.name] = module
    references(kernel)[module.name] = 1
    rc = module.init()
    if rc < 0:
        del loaded.list[module.name]
        references(kernel).pop(module.name, None)
        kernel.modules.pop(module.name, None)
    return rc


def unload_module(kernel: Kernel, name: str) -> int:
    """``rmmod``: 0, -ENOENT (not loaded), -EAGAIN (it is held, or another module needs it), -EBUSY (it has no exit
    function: V14's management driver).

    What the module kept at file scope goes with it.
    """
    loaded = kernel.module("module")
    module: Module | None = next((m for m in getattr(loaded, "list", {}).values() if m.is_named(name)), None)
    if module is None:
        return -ENOENT
    name = module.name
    if users(kernel, name):
        return -EAGAIN
    if module.exit is None:
        return -EBUSY
    if module_refcount(kernel, name):
        return -EAGAIN
    going_modules(kernel).add(name)
    module.exit()
    going_modules(kernel).discard(name)
    del loaded.list[name]
    references(kernel).pop(name, None)
    kernel.modules.pop(name, None)
    return 0


def modules(kernel: Kernel) -> list[Module]:
    """The loaded modules, oldest first."""
    return list(getattr(kernel.module("module"), "list", {}).values())


def users(kernel: Kernel, name: str) -> list[str]:
    """The loaded modules that need module ``name``."""
    return [module.name for module in modules(kernel) if name in module.depends]


# --- references -------------------------------------------------------------------------------------------------------


def references(kernel: Kernel) -> dict[str, int]:
    """How often each live module is held, in a kernel; as in 4.5, one is the module's own."""
    statics = kernel.module("module")
    if not hasattr(statics, "refcnt"):
        statics.refcnt = {}
    counts: dict[str, int] = statics.refcnt
    return counts


def going_modules(kernel: Kernel) -> set[str]:
    """The modules of a kernel that are being unloaded: try_module_get() refuses them."""
    statics = kernel.module("module")
    if not hasattr(statics, "going"):
        statics.going = set()
    names: set[str] = statics.going
    return names


def this_module(function: Callable[..., Any]) -> Module | None:
    """THIS_MODULE, as it is where ``function`` is defined: the ``module`` of that module of Python."""
    there = sys.modules.get(function.__module__)
    found = getattr(there, "module", None)
    return found if isinstance(found, Module) else None


def try_module_get(module: Module | None) -> bool:
    """Hold ``module``; False when it is not live. Without a module (built in) there is nothing to hold."""
    if module is None:
        return True
    kernel = sched.running_cpu().kernel
    counts = references(kernel)
    live = counts.get(module.name, 0) > 0 and module.name not in going_modules(kernel)
    if live:
        counts[module.name] += 1
    if kernel.trace.on:
        kernel.trace.emit(("module", "get", module.name, 1 if live else 0))
    return live


def module_put(module: Module | None) -> None:
    """Let go of ``module``; more often than it was held is complained about."""
    if module is None:
        return
    kernel = sched.running_cpu().kernel
    counts = references(kernel)
    if counts.get(module.name, 0) > 0:
        counts[module.name] -= 1
    else:
        kernel.warn(f"module_put: nobody holds {module.name}")
    if kernel.trace.on:
        kernel.trace.emit(("module", "put", module.name, 1))


def module_refcount(kernel: Kernel, name: str) -> int:
    """How many hold module ``name`` (``module_refcount()``), -1 when one let go too often (V14: row 50).

    Clients of DMA channels are counted where they are: dma_chan_get() holds the module of the channel's driver for each.
    """
    clients = sum(
        chan.client_count
        for device in getattr(kernel.module("dmaengine"), "dma_device_list", ())
        if device.dev.driver is not None and device.dev.driver.owner == name
        for chan in list_for_each_entry(device.channels)
    )
    return references(kernel).get(name, 1) - 1 + clients
