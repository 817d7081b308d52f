# SPDX-License-Identifier: GPL-2.0-only
"""Compiled or interpreted: decides, before any other module of hidma is imported, whether the extension modules beside the
sources are used, and says which mode it is. It stands for no C file and builds nothing.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve().parent.parent
_NAME = "hidma"

#: True when HIDMA_INTERPRETED asked for the sources as this process imported hidma.
asked = os.environ.get("HIDMA_INTERPRETED", "0") not in ("", "0")


class SourceFinder:
    """A finder for `sys.meta_path` that sees the .py of every module of hidma and no extension module."""

    def __init__(self) -> None:
        self._finders: dict[str, FileFinder] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not fullname.startswith(_NAME + "."):
            return None
        for entry in path:
            finder = self._finders.get(entry)
            if finder is None:
                finder = self._finders[entry] = FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname, target)
            if spec is not None and spec.loader is not None:
                return spec
        return None

    def invalidate_caches(self) -> None:
        for finder in self._finders.values():
            finder.invalidate_caches()


def install() -> None:
    """Make this process run the sources, if it was asked to; `hidma/__init__.py` calls it first of all."""
    if asked and not any(isinstance(finder, SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceFinder())


def _modules() -> Iterator[tuple[str, bool]]:
    """Each module that the build compiled, and whether its extension module is there."""
    for name in _note().get("modules", ()):
        base = _HERE.joinpath(*name.split(".")[1:])
        yield name, any(base.with_suffix(suffix).is_file() for suffix in EXTENSION_SUFFIXES)


@functools.cache
def _missing() -> tuple[list[str], bool]:
    """The modules without an extension module, and whether any module has one."""
    state = list(_modules())
    return [name for name, there in state if not there], any(there for _, there in state)


def compiled() -> bool:
    """True when the hot modules of this process are C extensions, False when all of them run as Python."""
    missing, some = _missing()
    return not asked and some and not missing


def why() -> str:
    """One sentence on `compiled()`: compiled by what, or why not."""
    missing, some = _missing()
    note = _note()
    if asked:
        return "interpreted, because HIDMA_INTERPRETED asks for it"
    if not some:
        because = note.get("why_not")
        return "interpreted, because no extension modules were built" + (f": {because}" if because else "")
    if missing:
        return f"partly compiled, which does not work: no extension module for {', '.join(missing)}; build again"
    if "cython" in note:
        return f"compiled by Cython {note['cython']} and {note['cc']} with {note['cflags']}"
    return "compiled"


def _note() -> dict[str, Any]:
    """What setup.py noted about the build; empty when there was none."""
    try:
        note = json.loads((_HERE / "_built.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
