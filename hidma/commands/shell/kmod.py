# SPDX-License-Identifier: GPL-2.0-only
"""modprobe, rmmod, insmod, lsmod and modinfo, with the options, messages and exit statuses of kmod. They stand for no C file.

An option that is not here is refused.
"""

from __future__ import annotations

import getopt
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hidma.linux import dmatest
from hidma.linux.base import use_count
from hidma.linux.errno import EEXIST, EINVAL, ENOENT, strerror
from hidma.linux.module import MODULE_SIZE, Module, load_module, modules, unload_module, users
from hidma.machine.boot import MODULES

if TYPE_CHECKING:
    from hidma.commands.mount.server import Output, Server
    from hidma.plugin.sources import Source

RELEASE = "4.5.0-rc1"
DIRECTORY = f"/lib/modules/{RELEASE}"
LOADABLE: dict[str, Module] = {**MODULES, dmatest.module.name: dmatest.module}


class Usage(Exception):
    """What a program does not take: the message."""


def options(words: list[str], short: str, long: Sequence[str] = ()) -> tuple[set[str], list[str]]:
    """The options that were given, and the rest."""
    try:
        found, rest = getopt.gnu_getopt(words[1:], short, list(long))
    except getopt.GetoptError as error:
        kind = "invalid option --" if len(error.opt) == 1 else "unrecognized option"
        raise Usage(f"{kind} '{error.opt if len(error.opt) == 1 else '--' + error.opt}'") from None
    return {option for option, _ in found}, rest


def reset_plugins(name: str | None = None) -> list[Source]:
    """The reset plugins that are called ``name``; all of them without one."""
    from hidma.plugin import sources

    return sources.installed() if name is None else sources.find(name)


def path_of(module: Module) -> str:
    """Where kmod finds a module."""
    file = module.name.replace("_", "-") if module.name.startswith("vfio_platform") else module.name
    return f"{DIRECTORY}/kernel/{os.path.dirname(module.source) or 'extra'}/{file}.ko"


def lookup(name: str) -> list[Module]:
    """The modules that a name or an alias means: one of the kernel's, or reset plugins."""
    for module in LOADABLE.values():
        if module.is_named(name):
            return [module]
    from hidma.plugin.loading import plugin
    from hidma.plugin.sources import PluginError

    try:
        return [declared for found in reset_plugins(name) if (declared := plugin(found).module) is not None]
    except PluginError as error:
        raise Usage(f"ERROR: {error}") from None


def dependencies(module: Module) -> list[Module]:
    """The modules that ``module`` needs, each behind what it needs itself, then ``module``."""
    found: dict[str, Module] = {}
    for name in module.depends:
        found |= {each.name: each for each in dependencies(MODULES[name])}
    return [*found.values(), module]


def loaded(server: Server) -> dict[str, Module]:
    """The loaded modules by name, the oldest first."""
    return {module.name: module for module in modules(server.machine.kernel)}


def attempt(server: Server, function: Callable[[], int]) -> int:
    """A system call: 0 or a negative errno."""
    try:
        server.call(function)
    except OSError as error:
        if server.oops is not None:
            raise
        return -(error.errno or EINVAL)
    return 0


def mod_strerror(rc: int) -> str:
    """An errno as kmod says it."""
    if rc == -EEXIST:
        return "Module already in kernel"
    return "Unknown symbol in module, or unknown parameter (see dmesg)" if rc == -ENOENT else strerror(rc)


class Modprobe:
    """One call of modprobe."""

    def __init__(self, server: Server, output: Output, flags: set[str]) -> None:
        self.server = server
        self.output = output
        self.quiet = bool({"-q", "--quiet"} & flags)
        self.verbose = bool({"-v", "--verbose"} & flags)
        self.dry = bool({"-n", "--dry-run", "--show"} & flags)
        self.first_time = "--first-time" in flags
        self.show_depends = bool({"-D", "--show-depends"} & flags)

    def complain(self, text: str) -> int:
        """A message, unless -q was given; the exit status."""
        if not self.quiet:
            self.output.error(f"modprobe: {text}")
        return 1

    def insert(self, name: str, words: list[str]) -> int:
        """Load the modules that ``name`` means, each with what it needs."""
        found = lookup(name)
        if not found:
            return self.complain(f"FATAL: Module {name} not found in directory {DIRECTORY}")
        status = 0
        for module in found:
            status |= self.insert_module(module, words)
        return status

    def insert_module(self, module: Module, words: list[str]) -> int:
        line = "".join(f" {word}" for word in words)
        if self.show_depends:
            for each in dependencies(module):
                self.output.print(f"insmod {path_of(each)}{line if each is module else ' '}".rstrip() + " ")
            return 0
        there = loaded(self.server)
        if module.name in there:
            return self.complain(f"ERROR: could not insert '{module.name}': {mod_strerror(-EEXIST)}") if self.first_time else 0
        for each in dependencies(module):
            if each.name in there:
                continue
            own = each is module
            if self.verbose or self.dry:
                self.output.print(f"insmod {path_of(each)}{line if own else ''}")
            if self.dry:
                continue
            rc = load(self.server, each, words if own else [])
            if rc < 0 and rc != -EEXIST:
                return self.complain(f"ERROR: could not insert '{each.name}': {mod_strerror(rc)}")
        return 0

    def remove(self, name: str) -> int:
        """Unload the modules that ``name`` means, then those that they needed and nobody needs any more."""
        found = lookup(name)
        if not found:
            return self.complain(f"FATAL: Module {name} not found.")
        status = 0
        for module in found:
            status |= self.remove_module(module, asked=True)
        return status

    def remove_module(self, module: Module, asked: bool) -> int:
        kernel = self.server.machine.kernel
        if module.name not in loaded(self.server):
            return self.complain(f"FATAL: Module {module.name} is not in kernel.") if asked and self.first_time else 0
        if use_count(kernel, module) > 0:
            return self.complain(f"FATAL: Module {module.name} is in use.") if asked else 0
        if self.verbose or self.dry:
            self.output.print(f"rmmod {module.name}")
        rc = 0 if self.dry else attempt(self.server, lambda: unload_module(kernel, module.name))
        if rc < 0:
            return self.complain(f"ERROR: could not remove '{module.name}': {strerror(rc)}") if asked else 0
        for name in reversed(module.depends):
            if MODULES[name].exit is not None:
                self.remove_module(MODULES[name], asked=False)
        return 0


def parameter(word: str) -> tuple[str, str | None]:
    """``name=value``, or a name alone."""
    name, equals, value = word.partition("=")
    return name.replace("-", "_"), value if equals else None


def load(server: Server, module: Module, words: list[str]) -> int:
    """Load one module: 0 or a negative errno."""
    kernel = server.machine.kernel
    if module.name in LOADABLE:
        return attempt(server, lambda: load_module(kernel, module, dict(parameter(word) for word in words)))
    from hidma.plugin.loading import load_plugin

    found = next(found for found in reset_plugins() if found.module_name == module.name)
    return attempt(server, lambda: load_plugin(found, lambda each: load_module(kernel, each)))


def modprobe(server: Server, words: list[str], output: Output) -> int:
    """``modprobe [-aqvnD] NAME [PARAMETER=VALUE]...``, ``modprobe -r NAME...``"""
    flags, names = options(words, "arqvnD", ("all", "remove", "quiet", "verbose", "dry-run", "show", "show-depends", "first-time"))
    program = Modprobe(server, output, flags)
    if not names:
        raise Usage("ERROR: missing parameters. See -h.")
    if {"-r", "--remove"} & flags:
        return max([program.remove(name) for name in names])
    if {"-a", "--all"} & flags:
        return max([program.insert(name, []) for name in names])
    return program.insert(names[0], names[1:])


def rmmod(server: Server, words: list[str], output: Output) -> int:
    """``rmmod [-v] NAME...``"""
    flags, names = options(words, "v", ("verbose",))
    if not names:
        raise Usage("ERROR: missing module name.")
    kernel = server.machine.kernel
    status = 0
    for word in names:
        found = lookup(os.path.basename(word).partition(".ko")[0])
        module = found[0] if found and found[0].name in loaded(server) else None
        said: list[str] = []
        if module is None:
            said = [f"Module {word} is not currently loaded"]
        elif holders := users(kernel, module.name):
            said = [f"Module {module.name} is in use by: {' '.join(holders)}"]
        elif use_count(kernel, module) > 0:
            said = [f"Module {module.name} is in use"]
        else:
            rc = attempt(server, lambda: unload_module(kernel, module.name))  # noqa: B023
            if rc < 0:
                said = [f"could not remove '{module.name}': {strerror(rc)}", f"could not remove module {word}: {strerror(rc)}"]
            elif flags:
                output.print(f"rmmod: INFO: Removing module '{module.name}'")
        for text in said:
            output.error(f"rmmod: ERROR: {text}")
            status = 1
    return status


def insmod(server: Server, words: list[str], output: Output) -> int:
    """``insmod FILE [PARAMETER=VALUE]...``: the module that the file has the name of, without what it needs."""
    _, names = options(words, "")
    if not names:
        raise Usage("ERROR: missing filename.")
    name = os.path.basename(names[0]).partition(".ko")[0]
    found = lookup(name)
    if not found:
        raise Usage(f"ERROR: could not load module {names[0]}: {strerror(ENOENT)}; the machine has no module {name!r}")
    there = loaded(server)
    if any(need not in there for need in found[0].depends):
        raise Usage(f"ERROR: could not insert module {names[0]}: Unknown symbol in module")
    rc = load(server, found[0], names[1:])
    if rc < 0:
        raise Usage(f"ERROR: could not insert module {names[0]}: {strerror(rc)}")
    return 0


def lsmod(server: Server, words: list[str], output: Output) -> int:
    """``lsmod``: the newest module first."""
    options(words, "")
    output.print("Module                  Size  Used by")
    kernel = server.machine.kernel
    for module in reversed(loaded(server).values()):
        holders = users(kernel, module.name)
        count = use_count(kernel, module)
        output.print(f"{module.name:<19} {MODULE_SIZE:>8}  {count}{' ' if holders else ''}{','.join(holders)}")
    return 0


def modinfo(server: Server, words: list[str], output: Output) -> int:
    """``modinfo NAME...``"""
    _, names = options(words, "")
    status = 0
    for name in names:
        found = lookup(name)
        for module in found:
            rows = [
                ("filename", path_of(module)),
                *(("alias", alias) for alias in module.aliases),
                ("license", module.license),
                ("depends", ",".join(module.depends)),
                ("name", module.name),
                ("vermagic", f"{RELEASE} SMP mod_unload aarch64"),
                *(("parm", f"{p.name}:{p.desc}{' ' if p.desc else ''}({p.type})") for p in module.params),
            ]
            for key, value in rows:
                output.print(f"{key + ':':<16}{value}".rstrip())
        if not found:
            output.error(f"modinfo: ERROR: Module {name} not found.")
            status = 1
    return status
