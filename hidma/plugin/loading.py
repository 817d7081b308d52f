# SPDX-License-Identifier: GPL-2.0-only
"""Checking and loading reset plugins: what modprobe is for the modules under ``drivers/vfio/platform/reset``. It stands for no C
file.

A plugin is a module of Python, or an object, that implements the hooks of :mod:`hidma.hookspecs`. :mod:`hidma.plugin.sources`
finds it by an entry point of the group ``hidma.reset`` whose *name* is what a device is matched by, its compatible string or its
hardware ID, as a module is found by its alias; only the one that is asked for is imported. What is wrong with it is said in one
sentence that names the plugin, the distribution and the line, and the host goes on. One plugin manager of pluggy knows all plugins
of the process, each by its identity: distribution and full path of the module.
"""

from __future__ import annotations

import functools
import inspect
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pluggy
from greenlet import GreenletExit  # type: ignore[import-untyped,unused-ignore]

from hidma.hw.device import DeviceModel
from hidma.linux import sched
from hidma.linux.errno import EEXIST, EFAULT, EINTR, EINVAL, EIO, ENOENT, ETIMEDOUT, MAX_ERRNO, errname
from hidma.linux.kernel import Kernel
from hidma.linux.list import list_for_each_entry
from hidma.linux.module import Module, load_module, modules
from hidma.linux.mutex import Mutex, mutex_unlock
from hidma.linux.sched import KernelOops
from hidma.plugin import hookspecs
from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, HOOKSPEC_VERSION, PROJECT
from hidma.plugin.sources import PluginError, Source, find, import_plugin, in_one_line, models, quiet
from hidma.plugin.watchdog import NeverEnds, in_time, limited
from hidma.vfio_platform import (
    ResetModule,
    VfioPlatformDevice,
    VfioPlatformResetNode,
    reset_list,
    vfio_platform_unregister_reset,
)
from hidma.vfio_platform import __vfio_platform_register_reset as register_node


@functools.cache
def manager() -> pluggy.PluginManager:
    """The plugin manager of this process; made when it is asked for first, without a plugin."""
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(hookspecs)
    return made


class Plugin:
    """A plugin that was looked over and is known to the manager.

    :ivar source: where it comes from
    :ivar module: what is loaded into a kernel: its reset function is guarded; None where it has none
    :ivar declared: what the plugin itself gave
    :raises PluginError: with what is wrong with it
    """

    def __init__(self, source: Source, thing: Any) -> None:
        self.source = source
        self.thing = thing
        register(source, thing)
        try:
            hooks = {caller.name for caller in manager().get_hookcallers(thing) or ()}
            self.has_model = "hidma_device_model" in hooks
            attribute = getattr(thing, "hidma_hookspec_version", 1)
            version = self.call("hidma_hookspec_version") if "hidma_hookspec_version" in hooks else attribute
            if version != HOOKSPEC_VERSION:
                raise PluginError(f"{source} is written for version {version!r} of the hooks, and this hidma has version "
                                  f"{HOOKSPEC_VERSION}: install a plugin and a hidma that go together")
            self.declared: ResetModule | None = None
            self.module: ResetModule | None = None
            if "hidma_reset_module" in hooks:
                self.declared = check_module(source, self.call("hidma_reset_module"))
                self.module = guarded(source, self.declared)
            elif source.group == ENTRY_POINT_GROUP:
                raise PluginError(f"{source} implements no hook hidma_reset_module(): give it one, marked with "
                                  "hidma.hookspecs.hookimpl, that returns what module_vfio_reset_handler() made")
        except PluginError:
            manager().unregister(thing)
            raise

    def call(self, hook: str, **arguments: Any) -> Any:
        """The answer of this plugin to a hook. What it prints goes to standard error.

        :raises PluginError: when it raises an exception
        """
        others = [thing for thing in manager().get_plugins() if thing is not self.thing]
        try:
            with quiet(), in_time():
                return manager().subset_hook_caller(hook, others)(**arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"{self.source}: its hook {hook}() fails: {in_one_line(error)}") from error

    def model(self, stuck: bool = False) -> DeviceModel:
        """A fresh model of its device.

        :param stuck: whether it shall never end a reset
        :raises PluginError: when the hook gives none
        """
        model = self.call("hidma_device_model", stuck=stuck)
        if not isinstance(model, DeviceModel):
            raise PluginError(f"{self.source}: its hook hidma_device_model() returns {model!r}, not a hidma.testing.DeviceModel")
        if not hasattr(model, "dead"):
            raise PluginError(f"{self.source}: the __init__() of its model {type(model).__name__} does not call that of "
                              "DeviceModel")
        return model


known: dict[str, Plugin] = {}
"""Plugins that were looked over, by identity."""


def register(source: Source, thing: Any) -> None:
    """Make a plugin known to the manager by its identity, in place of an older one of the same identity.

    :raises PluginError: when it does not fit the hooks
    """
    plugins = manager()
    old = plugins.get_plugin(source.identity)
    if old is not None:
        plugins.unregister(old)
    if plugins.is_registered(thing):
        plugins.unregister(thing)
    try:
        plugins.register(thing, source.identity)
        plugins.check_pending()
    except pluggy.PluginValidationError as error:
        if plugins.is_registered(thing):
            plugins.unregister(thing)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        hook = re.search(r"hook '(\w+)'", str(error))
        where = place_of(getattr(thing, hook[1], None)) if hook is not None else ""
        raise PluginError(f"{source} does not fit the hooks of hidma: {' '.join(lines)}{where}") from error


def plugin(source: Source) -> Plugin:
    """Import a plugin and look it over, unless that was done.

    :raises PluginError: with what is wrong with it
    """
    thing = import_plugin(source)
    old = known.get(source.identity)
    if old is not None and old.thing is thing and manager().get_plugin(source.identity) is thing:
        if source.name != old.source.name and old.declared is not None and source.group == ENTRY_POINT_GROUP:
            check_module(source, old.declared)
        if old.module is not None or source.group != ENTRY_POINT_GROUP:
            return old
    known[source.identity] = Plugin(source, thing)
    return known[source.identity]


def device_model(names: Iterable[str], plugins: Iterable[Source] | None = None) -> tuple[DeviceModel, str] | None:
    """A model of a device that is called one of ``names``, and which plugin it is of; None where no plugin has one.

    :param names: its compatible strings or hardware IDs, the most specific first
    :param plugins: those to look among, in place of all that are found now
    :raises PluginError: when the plugin that has it cannot be used, or gives no model
    """
    for source in models(names, plugins):
        found = plugin(source)
        if found.has_model:
            return found.model(), str(source)
    return None


# --- checking -----------------------------------------------------------------------------------------------------------------


def check_module(source: Source, declared: Any) -> ResetModule:
    """What ``hidma_reset_module()`` returned, if it can be used.

    :raises PluginError: when it cannot
    """
    if not isinstance(declared, ResetModule):
        raise PluginError(f"{source}: its hook hidma_reset_module() returns {declared!r}, not what "
                          "module_vfio_reset_handler(compat, acpihid, reset) makes")
    for what, value in (("compatible string", declared.compat), ("hardware ID", declared.acpihid)):
        if value is not None and not (isinstance(value, str) and value and value.isascii() and value.isprintable()):
            raise PluginError(f"{source}: its {what} is {value!r}; it is text of ASCII, or None")
    if declared.compat is None and declared.acpihid is None:
        raise PluginError(f"{source}: its compatible string and its hardware ID are both None, so that no device would ever be "
                          "matched: give module_vfio_reset_handler() one of them")
    if source.group == ENTRY_POINT_GROUP and source.name not in (declared.compat, declared.acpihid):
        matches = " or ".join(repr(value) for value in (declared.compat, declared.acpihid) if value is not None)
        raise PluginError(f"{source}: the entry point is called {source.name!r} but the reset function is for {matches}, so that "
                          "the lookup after loading it would fail: give both the same name")
    reset: Any = declared.reset
    if not callable(reset):
        raise PluginError(f"{source}: its reset function is {reset!r}, which cannot be called")
    place = place_of(reset)
    try:
        inspect.signature(reset).bind(object())
    except TypeError:
        name = getattr(reset, "__name__", "reset")
        raise PluginError(f"{source}: its reset function is {name}{inspect.signature(reset)}, and has to take one argument, the "
                          f"struct vfio_platform_device: reset(vdev) -> int{place}") from None
    except ValueError:
        pass  # built in: whether it fits shows when it is called
    if inspect.iscoroutinefunction(reset) or inspect.isgeneratorfunction(reset):
        raise PluginError(f"{source}: its reset function is a coroutine or a generator{place}, which calling it does not run")
    return declared


def place_of(function: Any) -> str:
    """Where a function is defined, behind a sentence; empty where that is not known."""
    code = getattr(function, "__code__", None)
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code is not None else ""


# --- running ------------------------------------------------------------------------------------------------------------------


def is_errno(rc: Any) -> bool:
    """Whether a reset function may return it: 0, or a negative errno."""
    return isinstance(rc, int) and not isinstance(rc, bool) and -MAX_ERRNO <= rc <= 0


def held(kernel: Kernel) -> list[Mutex]:
    """The mutexes at file scope of modules that the running task holds."""
    return [lock for statics in kernel.modules.values() for lock in vars(statics).values()
            if isinstance(lock, Mutex) and lock.owner is sched.current()]


def guarded(source: Source, declared: ResetModule) -> ResetModule:
    """``declared`` with a reset function that returns, whatever the plugin's does: what it raises, what never ends, and what is
    neither 0 nor a negative errno, becomes a negative errno and a line in the kernel log."""
    reset = declared.reset
    assert reset is not None

    def guard(vdev: VfioPlatformDevice) -> int:
        cpu = sched.running_cpu()
        kernel = cpu.kernel

        def failed(rc: int, why: str) -> int:
            cpu.irqs_off = irqs_off
            cpu.bh_off = bh_off
            kernel.printk(3, f"{source}: the reset of {vdev.name} fails with -{errname(rc)}: {why}")
            return rc

        irqs_off, bh_off = cpu.irqs_off, cpu.bh_off
        before = held(kernel)
        try:
            with quiet():
                rc: Any = limited(cpu, reset, vdev)
        except GreenletExit:
            raise
        except KernelOops as oops:
            if kernel.dead is not None:
                raise  # that of another CPU: the kernel has stopped
            return failed(-EFAULT, in_one_line(oops))
        except NeverEnds as error:
            return failed(-ETIMEDOUT, in_one_line(error))
        except KeyboardInterrupt as error:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise  # that of the terminal; where the machine keeps SIGINT back, it is the plugin's own
            return failed(-EINTR, in_one_line(error))
        except BaseException as error:
            return failed(-EIO, in_one_line(error))
        finally:
            for lock in held(kernel):
                if lock not in before:
                    kernel.printk(3, f"{source}: the reset of {vdev.name} ends with {lock.name} held, which is released")
                    mutex_unlock(lock)
        if not is_errno(rc):
            kernel.printk(3, f"{source}: the reset of {vdev.name} returns {rc!r} in place of 0 or a negative errno: taken for "
                             "-EINVAL")
            return -EINVAL
        return int(rc)

    guard.__module__ = reset.__module__
    guard.__name__ = getattr(reset, "__name__", "reset")

    def reset_module_init() -> int:
        warn_of_duplicates(source, module)
        register_node(VfioPlatformResetNode(module.compat, module.acpihid, module, guard))
        return 0

    def reset_module_exit() -> None:
        vfio_platform_unregister_reset(module.compat, module.acpihid, guard)

    module: ResetModule = replace(declared, name=source.module_name, init=reset_module_init, exit=reset_module_exit,
                                  reset=guard, depends=("vfio_platform_base",), source=str(source))
    return module


def warn_of_duplicates(source: Source, module: ResetModule) -> None:
    """Two functions for the same device: a line names both, and which one V14 takes."""
    for node in list_for_each_entry(reset_list()):
        for what in (module.acpihid, module.compat):
            if what is not None and what in (node.acpihid, node.compat):
                other = getattr(node.owner, "source", "") or getattr(node.owner, "name", "another module")
                sched.running_cpu().kernel.printk(
                    4, f"{source} is registered for {what!r} as is {other} already: of two that match, V14 takes the one that "
                       "was registered last (row 31), so this one")
                break


def load_plugin(source: Source, load: Callable[[Module], int]) -> int:
    """Load a plugin into the running kernel with ``load``: 0, -EEXIST (loaded already), or what was wrong, which then
    stands in the kernel log."""
    kernel = sched.running_cpu().kernel
    try:
        module = plugin(source).module
    except PluginError as error:
        kernel.printk(3, f"{error}")
        return -error.errno
    assert module is not None
    there = next((loaded for loaded in modules(kernel) if loaded.name == module.name), None)
    rc = load(module)
    if rc == -EEXIST and there is not module:
        kernel.printk(3, f"{source} cannot be loaded: {there.source if there is not None else 'another module'} is loaded as "
                         f"{module.name} already (EEXIST); rmmod {module.name} unloads that one")
    elif rc < 0 and rc != -EEXIST:
        kernel.printk(3, f"{source} cannot be loaded: {errname(rc)}")
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
        logged = len(kernel.log)
        rc = load_plugin(each, load or (lambda module: load_module(kernel, module)))
        if rc < 0 and (rc != -EEXIST or len(found) == 1 or len(kernel.log) > logged):
            result = rc
    return result
