# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/module.h>`` and ``<linux/moduleparam.h>``: modules, their parameters and aliases.

A module of the port is described once by a :class:`Module`; what it keeps while loaded lives on the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hidma.linux.errno import EBUSY, EEXIST, EINVAL, ENOENT

if TYPE_CHECKING:
    from hidma.linux.kernel import Kernel


@dataclass(frozen=True)
class ModuleParam:
    """``module_param(name, type, perm)`` with its ``MODULE_PARM_DESC``."""

    name: str
    type: str
    perm: int
    default: Any = 0
    desc: str = ""

    def parse(self, text: str) -> Any:
        """The value that ``text`` means.

        :raises ValueError: when it is none of this type
        """
        text = text.strip()
        if self.type in ("uint", "int", "ulong"):
            sign = text.startswith("-")
            digits = text[1:] if text[:1] in ("-", "+") else text
            base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" and len(digits) > 1 else 10
            value = int(digits[2:] if base == 16 else digits, base) * (-1 if sign else 1)
            low, high = {"uint": (0, 2**32 - 1), "int": (-(2**31), 2**31 - 1), "ulong": (0, 2**64 - 1)}[self.type]
            if not low <= value <= high:
                raise ValueError(f"{value} is not between {low} and {high}")
            return value
        if self.type == "bool":
            if text.lower() in ("", "y", "1", "yes", "on", "true"):
                return True
            if text.lower() in ("n", "0", "no", "off", "false"):
                return False
            raise ValueError(f"{text!r} is neither Y nor N")
        return text


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


def load_module(kernel: Kernel, module: Module, params: dict[str, str] | None = None) -> int:
    """``modprobe``: set the parameters, run the init function: 0, -EEXIST (loaded already), -ENOENT or -EINVAL
    (parameters), or what init returned."""
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
        try:
            setattr(state, name, known[name].parse(text))
        except ValueError as error:
            kernel.printk(3, f"{module.name}: `{text}' invalid for parameter `{name}': {error}")
            return -EINVAL
    loaded.list[module.name] = module
    rc = module.init()
    if rc < 0:
        del loaded.list[module.name]
    return rc


def unload_module(kernel: Kernel, name: str) -> int:
    """``rmmod``: 0, -ENOENT (not loaded), -EBUSY (it has no exit function: V14's management driver)."""
    loaded = kernel.module("module")
    module = getattr(loaded, "list", {}).get(name)
    if module is None:
        return -ENOENT
    if module.exit is None:
        return -EBUSY
    module.exit()
    del loaded.list[name]
    return 0


def modules(kernel: Kernel) -> list[Module]:
    """The loaded modules, oldest first."""
    return list(getattr(kernel.module("module"), "list", {}).values())
