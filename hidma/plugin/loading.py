# SPDX-License-Identifier: GPL-2.0-only
"""Finding, checking and loading reset plugins: what depmod and modprobe are for the modules under
``drivers/vfio/platform/reset``. It stands for no C file.

A plugin is a module of Python that implements the hooks of :mod:`hidma.hookspecs`. It is found by an entry point of the
group ``hidma.reset`` whose *name* is what a device is matched by, its compatible string or its hardware ID, as a module is
found by its alias; only the one that is asked for is imported. What is wrong with it is said in one sentence that names the
plugin and the distribution, and the host goes on.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pluggy

from hidma.linux import sched
from hidma.linux.errno import EEXIST, EFAULT, EINVAL, EIO, ENOENT, errname
from hidma.linux.list import list_for_each_entry
from hidma.linux.module import Module, load_module
from hidma.linux.sched import KernelOops
from hidma.plugin import hookspecs
from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, HOOKSPEC_VERSION, PROJECT
from hidma.vfio_platform import (
    ResetModule,
    VfioPlatformDevice,
    VfioPlatformResetNode,
    reset_list,
    vfio_platform_reset_fn_t,
    vfio_platform_unregister_reset,
)
from hidma.vfio_platform import __vfio_platform_register_reset as register_node

ALIAS = "vfio-reset:"


class PluginError(Exception):
    """A plugin that cannot be used; the message names it and says what is wrong. ``errno`` is what the kernel returns."""

    def __init__(self, message: str, errno: int = EINVAL) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True)
class Found:
    """One entry point.

    :ivar name: what it matches: a compatible string or a hardware ID
    :ivar value: the module of Python behind it
    :ivar distribution: name and version of the package that it comes with
    """

    name: str
    value: str
    distribution: str
    entry: importlib.metadata.EntryPoint | None = None

    def __str__(self) -> str:
        return f"reset plugin {self.name!r} of {self.distribution} ({self.value})"

    @property
    def module_name(self) -> str:
        """What the module is called when it is loaded."""
        package, _, name = self.value.partition(":")[0].rpartition(".")
        return f"vfio_platform_{name}" if package == "reset_plugins" else name


def installed(distributions: Iterable[importlib.metadata.Distribution] | None = None) -> list[Found]:
    """Every plugin that is installed, by name and distribution; nothing is imported.

    :param distributions: where to look, in place of everything on Python's path
    """
    found: dict[tuple[str, str, str], Found] = {}
    for distribution in importlib.metadata.distributions() if distributions is None else distributions:
        entries = [entry for entry in distribution.entry_points if entry.group == ENTRY_POINT_GROUP]
        if not entries:
            continue
        label = f"{distribution.metadata['Name']} {distribution.version}"
        for entry in entries:
            # one that is on the path twice is one
            found.setdefault((entry.name, label, entry.value), Found(entry.name, entry.value, label, entry))
    return [found[key] for key in sorted(found)]


def find(name: str) -> list[Found]:
    """The plugins that match ``name``: a compatible string, a hardware ID, an alias ``vfio-reset:...`` or the name of the
    module."""
    wanted = name.removeprefix(ALIAS)
    plugins = installed()
    named = [found for found in plugins if found.name == wanted]
    if named or name.startswith(ALIAS):
        return named
    one: dict[str, Found] = {}
    for found in plugins:
        if found.module_name == wanted.replace("-", "_"):
            one.setdefault(found.value, found)
    return list(one.values())


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks, and no plugin yet."""
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(hookspecs)
    return made


def import_plugin(found: Found) -> Any:
    """Import a plugin.

    :raises PluginError: whatever goes wrong there
    """
    if found.entry is None:
        raise PluginError(f"{found} is nowhere to be imported from")
    try:
        return found.entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{found} cannot be imported: {described(error)}") from error


def described(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Plugin:
    """A plugin that was looked over.

    :ivar found: where it comes from
    :ivar module: what is loaded into a kernel: its reset function is guarded
    :ivar declared: what the plugin itself gave
    :raises PluginError: with what is wrong with it
    """

    def __init__(self, found: Found, thing: Any) -> None:
        self.found = found
        self.manager = manager()
        try:
            self.manager.register(thing, found.name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise PluginError(f"{found} does not fit the hooks of hidma: {' '.join(lines)}") from error
        hooks = {caller.name for caller in self.manager.get_hookcallers(thing) or ()}
        if "hidma_reset_module" not in hooks:
            raise PluginError(f"{found} implements no hook hidma_reset_module(): give it one, marked with "
                              "hidma.hookspecs.hookimpl, that returns what module_vfio_reset_handler() made")
        version = self.call("hidma_hookspec_version") if "hidma_hookspec_version" in hooks else 1
        if version != HOOKSPEC_VERSION:
            raise PluginError(f"{found} is written for version {version!r} of the hooks, and this hidma has version "
                              f"{HOOKSPEC_VERSION}: install a plugin and a hidma that go together")
        declared = self.call("hidma_reset_module")
        self.has_model = "hidma_device_model" in hooks
        self.declared = check_module(found, declared)
        self.module = guarded(found, self.declared)

    def call(self, hook: str, **arguments: Any) -> Any:
        """The answer of a hook.

        :raises PluginError: when it raises an exception
        """
        try:
            return getattr(self.manager.hook, hook)(**arguments)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self.found}: its hook {hook}() fails: {described(error)}") from error


def check_module(found: Found, declared: Any) -> ResetModule:
    """What ``hidma_reset_module()`` returned, if it can be used.

    :raises PluginError: when it cannot
    """
    if not isinstance(declared, ResetModule):
        raise PluginError(f"{found}: its hook hidma_reset_module() returns {declared!r}, not what "
                          "module_vfio_reset_handler(compat, acpihid, reset) makes")
    for what, value in (("compatible string", declared.compat), ("hardware ID", declared.acpihid)):
        if value is not None and (not isinstance(value, str) or not value):
            raise PluginError(f"{found}: its {what} is {value!r}; it is text, or None")
    if declared.compat is None and declared.acpihid is None:
        raise PluginError(f"{found}: its compatible string and its hardware ID are both None, so that no device would ever be "
                          "matched: give module_vfio_reset_handler() one of them")
    if found.name not in (declared.compat, declared.acpihid):
        matches = " or ".join(repr(value) for value in (declared.compat, declared.acpihid) if value is not None)
        raise PluginError(f"{found}: the entry point is called {found.name!r} but the reset function is for {matches}, so that "
                          "the lookup after loading it would fail: give both the same name")
    if not callable(declared.reset):
        raise PluginError(f"{found}: its reset function is {declared.reset!r}, which cannot be called")
    try:
        signature = inspect.signature(declared.reset)
        signature.bind(object())
    except TypeError:
        name = getattr(declared.reset, "__name__", "reset")
        raise PluginError(f"{found}: its reset function is {name}{inspect.signature(declared.reset)}, and has to take one "
                          "argument, the struct vfio_platform_device: reset(vdev) -> int") from None
    except ValueError:
        pass  # built in: it will be seen
    if inspect.iscoroutinefunction(declared.reset) or inspect.isgeneratorfunction(declared.reset):
        raise PluginError(f"{found}: its reset function is a coroutine or a generator, and nobody would run it")
    return declared


def guarded(found: Found, declared: ResetModule) -> ResetModule:
    """``declared`` with a reset function that cannot take the host down: what it raises, and what is no number, becomes a
    negative errno and a line in the kernel log."""
    reset = declared.reset
    assert reset is not None

    def guard(vdev: VfioPlatformDevice) -> int:
        kernel = sched.running_cpu().kernel
        try:
            rc = reset(vdev)
        except KernelOops as oops:
            if kernel.dead is not None:
                raise  # somebody else's: the kernel has stopped
            kernel.printk(3, f"{found}: the reset of {vdev.name} fails with -EFAULT: {described(oops)}")
            return -EFAULT
        except Exception as error:
            kernel.printk(3, f"{found}: the reset of {vdev.name} fails with -EIO: {described(error)}")
            return -EIO
        if isinstance(rc, bool) or not isinstance(rc, int):
            kernel.printk(3, f"{found}: the reset of {vdev.name} returns {rc!r} in place of 0 or a negative errno: taken for "
                             "-EINVAL")
            return -EINVAL
        return rc

    guard.__module__ = reset.__module__
    guard.__name__ = getattr(reset, "__name__", "reset")

    def reset_module_init() -> int:
        warn_of_duplicates(found, module)
        register_node(VfioPlatformResetNode(module.compat, module.acpihid, module, guard))
        return 0

    def reset_module_exit() -> None:
        vfio_platform_unregister_reset(module.compat, module.acpihid, guard)

    module: ResetModule = replace(declared, name=found.module_name, init=reset_module_init, exit=reset_module_exit,
                                  reset=guard, depends=("vfio_platform_base",), source=str(found))
    return module


def warn_of_duplicates(found: Found, module: ResetModule) -> None:
    """Two functions for the same device: both are named, and which one V14 takes."""
    for node in list_for_each_entry(reset_list()):
        for what in (module.acpihid, module.compat):
            if what is not None and what in (node.acpihid, node.compat):
                other = getattr(node.owner, "source", "") or getattr(node.owner, "name", "another module")
                sched.running_cpu().kernel.printk(
                    4, f"{found} is registered for {what!r} as is {other} already: of two that match, V14 takes the one that "
                       "was registered last (row 31), so this one")
                break


def plugin(found: Found) -> Plugin:
    """Import a plugin and look it over.

    :raises PluginError: with what is wrong with it
    """
    return Plugin(found, import_plugin(found))


def load_plugin(found: Found, load: Callable[[Module], int]) -> int:
    """Load a plugin into the running kernel with ``load``: 0, -EEXIST (loaded already), or what was wrong, which then
    stands in the kernel log."""
    kernel = sched.running_cpu().kernel
    try:
        module = plugin(found).module
    except PluginError as error:
        kernel.printk(3, f"{error}")
        return -error.errno
    rc = load(module)
    if rc < 0 and rc != -EEXIST:
        kernel.printk(3, f"{found} cannot be loaded: {errname(rc)}")
    return rc


def modprobe(name: str, load: Callable[[Module], int] | None = None) -> int:
    """Find the plugins called ``name`` and load them into the running kernel: 0, -ENOENT (there is none), or the errno of the
    last one that failed.

    :param name: as :func:`find` takes it
    :param load: loads one module and what it needs; without it the module alone is loaded
    """
    kernel = sched.running_cpu().kernel
    found = find(name)
    if not found:
        return -ENOENT
    result = 0
    for each in found:
        rc = load_plugin(each, load or (lambda module: load_module(kernel, module)))
        if rc < 0 and (rc != -EEXIST or len(found) == 1):
            result = rc
    return result


__all__ = [
    "ALIAS",
    "Found",
    "Plugin",
    "PluginError",
    "check_module",
    "find",
    "guarded",
    "import_plugin",
    "installed",
    "load_plugin",
    "manager",
    "modprobe",
    "plugin",
    "vfio_platform_reset_fn_t",
]
