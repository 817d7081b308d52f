# SPDX-License-Identifier: GPL-2.0-only
"""Where plugins come from: entry points of installed distributions, files and directories that were named, and which of several
for one device wins. What depmod is for the modules under ``drivers/vfio/platform/reset``; it stands for no C file.

Nothing is imported to list what is installed, and a distribution whose metadata cannot be read is a sentence in
:func:`problems`, never an error for the others. A plugin that was named by its path is imported when it is listed, since what it
matches stands in its code.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from hidma.linux.errno import EINVAL
from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, MODEL_GROUP
from hidma.plugin.watchdog import NeverEnds, in_time

ALIAS = "vfio-reset:"
ENVIRONMENT = "HIDMA_PLUGINS"
"""Files and directories of plugins, separated as in PATH."""
BUNDLED, INSTALLED, NAMED = range(3)
"""Where a plugin comes from, the weakest first."""


class PluginError(Exception):
    """A plugin that cannot be used; the message names it and says what is wrong. ``errno`` is what the kernel returns."""

    def __init__(self, message: str, errno: int = EINVAL) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True)
class Source:
    """One name that a plugin is found by, and where the plugin is.

    :ivar name: what it matches: a compatible string or a hardware ID
    :ivar value: the module of Python behind it, with ``:attribute`` if the plugin is an object in it
    :ivar distribution: name and version of the package that it comes with, or the path that was named
    :ivar group: ``hidma.reset``, or ``hidma.model`` where it has only a model for this name
    :ivar origin: BUNDLED, INSTALLED or NAMED
    """

    name: str
    value: str
    distribution: str
    group: str = ENTRY_POINT_GROUP
    origin: int = INSTALLED
    load: Callable[[], Any] | None = field(default=None, repr=False, compare=False)
    places: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Directories in which the module is looked for, in place of Python's path."""

    def __str__(self) -> str:
        return f"reset plugin {self.name!r} of {self.distribution} ({self.value})"

    @property
    def identity(self) -> str:
        """What tells it from every other plugin: distribution and full path of the module."""
        return f"{self.distribution} {self.value}"

    @property
    def module_name(self) -> str:
        """What the module is called when it is loaded: a bundled one as in the kernel, another one by its full path."""
        path = self.value.partition(":")[0]
        package, _, name = path.rpartition(".")
        return f"vfio_platform_{name}" if package == "reset_plugins" else path

    @property
    def where(self) -> str:
        """Where it comes from, in a word."""
        return ("bundled", "installed", "path")[self.origin]

    @property
    def version(self) -> str:
        """Version of the distribution, empty for a file."""
        return self.distribution.rpartition(" ")[2] if " " in self.distribution else ""

    def called(self, name: str) -> bool:
        """Whether ``name`` means it: what it matches, its module, its distribution or all of its identity."""
        return name in (self.name, self.value, self.distribution, self.distribution.rpartition(" ")[0], self.identity) or (
            name.replace("-", "_") == self.module_name)


# --- what the user has named --------------------------------------------------------------------------------------------------


class Choice:
    """Plugins that were named by path, the strongest last; names of plugins that are left alone; and what was wrong with a path,
    which is not tried again."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.disabled: list[str] = []
        self.failed: dict[Path, str] = {}


choice = Choice()


def choose(paths: Iterable[str] = (), disabled: Iterable[str] = ()) -> None:
    """Take plugins of ``paths`` too, and none that is called one of ``disabled``, from now on in this process."""
    new = list(paths)
    choice.paths = [path for path in choice.paths if path not in new] + new
    choice.disabled += disabled


def enabled(source: Source) -> bool:
    """Whether nobody has disabled it."""
    return not any(source.called(name) for name in choice.disabled)


# --- finding ------------------------------------------------------------------------------------------------------------------


def found_now(distributions: Iterable[importlib.metadata.Distribution] | None = None) -> tuple[list[Source], list[str]]:
    """Every plugin, disabled ones too, in the order in which they would be loaded: the last of several for a device wins. And a
    sentence for each distribution or path that cannot be read.

    :param distributions: where to look, in place of everything on Python's path
    """
    found: dict[tuple[str, str, str, str], Source] = {}
    said: list[str] = []
    for distribution in importlib.metadata.distributions() if distributions is None else distributions:
        try:
            for source in of_distribution(distribution):
                # one that is on the path twice is one
                found.setdefault((source.group, source.name, source.distribution, source.value), source)
        except Exception as error:  # whatever a damaged file makes of its reader
            place = getattr(distribution, "_path", None)
            said.append(f"the metadata of {place.name if place is not None else 'a distribution'} cannot be read, and its plugins "
                        f"are left out: {in_one_line(error)}")
    sources = sorted(found.values(), key=lambda source: (source.origin, source.name, source.distribution, source.value))
    for path in [*filter(None, os.environ.get(ENVIRONMENT, "").split(os.pathsep)), *choice.paths]:
        place = Path(path).resolve()
        if place not in choice.failed:
            try:
                sources += of_path(Path(path))
                continue
            except PluginError as error:
                choice.failed[place] = str(error)
        said.append(choice.failed[place])
    return sources, said


def of_distribution(distribution: importlib.metadata.Distribution) -> list[Source]:
    """The plugins of a distribution; raises whatever its damaged metadata bring about."""
    entries = [entry for entry in distribution.entry_points if entry.group in (ENTRY_POINT_GROUP, MODEL_GROUP)]
    if not entries:
        return []
    name, version = distribution.metadata["Name"], distribution.version
    if not name or not version:
        raise ValueError("METADATA has no Name or no Version")
    origin = BUNDLED if name == "hidma" else INSTALLED
    return [Source(entry.name, entry.value, f"{name} {version}", entry.group, origin, partial(load, entry)) for entry in entries]


def load(entry: importlib.metadata.EntryPoint) -> Any:
    """What an entry point names."""
    if entry.pattern.match(entry.value) is None:
        raise ValueError("an entry point names a module, or MODULE:ATTRIBUTE")
    return entry.load()


def installed(distributions: Iterable[importlib.metadata.Distribution] | None = None) -> list[Source]:
    """The reset plugins that may be loaded, in the order in which they are: the last of several for a device wins."""
    return [source for source in found_now(distributions)[0] if source.group == ENTRY_POINT_GROUP and enabled(source)]


def find(name: str) -> list[Source]:
    """The plugins that match ``name``: a compatible string, a hardware ID, an alias ``vfio-reset:...`` or the name of the
    module. The last one wins."""
    wanted = name.removeprefix(ALIAS)
    plugins = installed()
    named = [source for source in plugins if source.name == wanted]
    if named or name.startswith(ALIAS):
        return named
    one: dict[str, Source] = {}
    for source in plugins:
        if wanted.replace("-", "_") in (source.module_name, source.module_name.replace(".", "_")):
            one.setdefault(source.identity, source)
    return list(one.values())


def models(names: Iterable[str], plugins: Iterable[Source] | None = None) -> list[Source]:
    """Plugins that may have a model of a device that is called one of ``names``: those of its first name first, and of each name
    the one that wins first.

    :param plugins: those to look among, in place of all that are found now
    """
    there = [source for source in (found_now()[0] if plugins is None else plugins) if enabled(source)]
    return [source for name in names for source in reversed(there) if source.name == name]


# --- plugins by path ----------------------------------------------------------------------------------------------------------


def of_path(path: Path) -> list[Source]:
    """The plugins of a file, of a package's directory or of a project that need not be installed.

    :raises PluginError: there is none, or a file cannot be imported
    """
    if path.is_dir() and (path / "pyproject.toml").is_file():
        return of_project(path)
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise PluginError(f"{path} is neither a project nor a package: it has no pyproject.toml and no __init__.py")
    if not path.exists():
        raise PluginError(f"there is no file or directory {path}")
    if path.is_file() and path.suffix != ".py":
        raise PluginError(f"{path} is no module of Python: its name does not end with .py")
    source = of_file(path, "")
    thing = import_plugin(replace(source, name=source.value))
    declared = getattr(thing, "module", None)
    names = [name for name in (getattr(declared, "compat", None), getattr(declared, "acpihid", None))
             if isinstance(name, str) and name]
    extra = getattr(thing, "hidma_model_names", ())
    return [*(of_file(path, name) for name in names or ([] if extra else [source.value])),
            *(of_file(path, str(name), MODEL_GROUP) for name in extra)]


def of_file(path: Path, name: str, group: str = ENTRY_POINT_GROUP) -> Source:
    """The plugin of a file or of a package's directory, found by ``name``; nothing is imported."""
    place = path.resolve().parent if path.name == "__init__.py" else path.resolve()
    value = place.name.removesuffix(".py")
    return Source(name, value, str(path), group, NAMED, lambda: import_file(place, value))


def import_file(place: Path, value: str) -> ModuleType:
    """The module of a file or of a package's directory, which has a name of its own among those that are imported."""
    target = place / "__init__.py" if place.is_dir() else place
    name = f"hidma_plugin_{zlib.crc32(str(place).encode()):08x}_{value}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, target,
                                                  submodule_search_locations=[str(place)] if place.is_dir() else None)
    if spec is None or spec.loader is None:
        raise ImportError(f"{target} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def of_project(path: Path) -> list[Source]:
    """The plugins of a project: what its pyproject.toml says. Its modules are found below it, or below its ``src``."""
    import tomllib  # a project by its path is rare

    place = path / "pyproject.toml"
    try:
        project = tomllib.loads(place.read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{place} cannot be read: {in_one_line(error)}") from None
    groups = project.get("entry-points", {}) if isinstance(project, dict) else {}
    entries = [importlib.metadata.EntryPoint(name, str(value), group)
               for group in (ENTRY_POINT_GROUP, MODEL_GROUP) if isinstance(groups, dict)
               for name, value in dict(groups.get(group) or {}).items()]
    if not entries:
        raise PluginError(f"{place} has no entry point: add a table [project.entry-points.\"{ENTRY_POINT_GROUP}\"] with what the "
                          "device is matched by = the module")
    label = f"{project.get('name', path.name)} {project.get('version', '')}".strip()

    def load_here(entry: importlib.metadata.EntryPoint) -> Any:
        for below in (path, path / "src"):
            if str(below.resolve()) not in sys.path:
                sys.path.insert(0, str(below.resolve()))
        return load(entry)

    return [Source(entry.name, entry.value, label, entry.group, NAMED, partial(load_here, entry), (str(path), str(path / "src")))
            for entry in entries]


def import_plugin(source: Source) -> Any:
    """Import a plugin. What it prints goes to standard error.

    :raises PluginError: whatever goes wrong there
    """
    if source.load is None:
        raise PluginError(f"{source} is nowhere to be imported from")
    try:
        with quiet(), in_time():
            return source.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{source} cannot be imported: {in_one_line(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """What is printed goes to standard error, so that what a program writes for another one stays clean."""
    with redirect_stdout(sys.stderr):
        yield


def in_one_line(error: BaseException) -> str:
    """An exception in one line, with the line of somebody else's code that it comes from."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "its text cannot be made"
    text = text if isinstance(error, NeverEnds) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module, file = str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
        if module.partition(".")[0] not in ("hidma", "importlib", "pluggy", "contextlib", "tomllib") and file[:1] == "/":
            place = f" ({Path(file).name}, line {line})"
    return text + ("" if isinstance(error, SyntaxError) else place)


# --- what is in a plugin that is not imported -----------------------------------------------------------------------------


def hooks_of(source: Source) -> list[str]:
    """The hooks that the plugin's source defines, as far as they stand there as functions; it is not imported."""
    path = source_file(source)
    if path is None:
        return []
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return sorted({node.name for node in ast.walk(tree)
                   if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("hidma_")})


def source_file(source: Source) -> Path | None:
    """The file of a plugin's module, None where it is not known without importing something."""
    path = Path(source.distribution)
    if source.origin == NAMED and not source.places:
        return path / "__init__.py" if path.is_dir() else path
    places: list[str] | None = list(source.places) or None
    spec = None
    name = ""
    for part in source.value.partition(":")[0].split("."):
        name = f"{name}.{part}" if name else part
        for finder in sys.meta_path if source.origin != NAMED else (importlib.machinery.PathFinder,):
            spec = finder.find_spec(name, places)
            if spec is not None:
                break
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin is not None and spec.origin.endswith(".py") else None
