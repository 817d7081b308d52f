# SPDX-License-Identifier: GPL-2.0-only
"""V14 against the user's tree: what is missing there, renamed, has another value, another type or another place, and
what is new. A difference that docs/quirks knows carries the numbers of its rows. It stands for no C file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hidma.commands.portmap.series import CFile, Function, v14
from hidma.commands.portmap.tree import Tree
from hidma.quirks import BY_NUMBER, ROWS

#: Rows behind differences of names that no row's ``where`` has.
KNOWN: dict[str, tuple[int, ...]] = {
    "HIDMA_QOS_N_OFFSET": (25,),
    "nr_desc_prm": (22,),
    "max_write_request": (25,), "max_read_request": (25,), "max_wr_xactions": (25,), "max_rd_xactions": (25,),
    "hidma_prep_dma_memset": (19,),
    "hidma_shutdown": (21,), "hidma_sysfs_uninit": (21,), "hidma_sysfs_init": (23,),
    "hidma_txn_is_success": (18,),
    "hidma_post_completed": (8,),
    "hidma_tx_status.err_info": (8,), "hidma_tx_status.err_code": (8,), "struct hidma_tx_status": (8,),
    "hidma_tre.err_info": (8,), "hidma_tre.err_code": (8,),
    "hidma_lldev.tx_status_list": (8,), "hidma_lldev.pending_tre_count": (8,),
    "hidma_chan.queued": (15,), "hidma_chan.last_success": (18,),
    "hidma_ll_pause": (13,), "hidma_ll_disable": (13,), "hidma_ll_enable": (12,),
    "hidma_ll_status": (8,), "hidma_ll_queue_request": (8,), "hidma_ll_chstats": (8,), "hidma_ll_devstats": (8,),
    "hidma_chan_init": (15,), "hidma_create_sysfs_entry": (23,), "hidma_mgmt_probe": (25,),
    "vfio_platform_probe_acpi": (30,), "vfio_platform_probe_of": (30,), "vfio_platform_put_reset": (31,),
    "hidma_issue_task": (44,),
    "vfio_platform_qcomhidma.c": (34,), "vfio_platform_qcomhidma_reset": (34,),
    "vfio_platform_register_reset": (31,), "module_vfio_reset_handler": (31,),
    "struct vfio_platform_reset_node": (31,), "vfio_platform_reset_node.acpihid": (31,),
    "vfio_platform_lookup_reset": (31,), "vfio_platform_probe_common": (30,),
}

#: What later versions call it, where the names are not alike.
LATER: dict[str, str] = {
    "hidma_ll_pause": "hidma_ll_disable",
    "hidma_chan_stats": "hidma_chan_show", "hidma_dma_info": "hidma_dma_show",
    "tre_ring_handle": "tre_dma", "evre_ring_handle": "evre_dma",
    "vfio_platform_open": "vfio_platform_open_device", "vfio_platform_release": "vfio_platform_close_device",
    "vfio_platform_probe_common": "vfio_platform_init_common",
    "vfio_platform_remove_common": "vfio_platform_release_common",
}

#: Prefixes and endings that later versions put on the names of the series, or took away.
_DECORATION = re.compile(r"^(?:HIDMA_|hidma_)?(?:ll_)?|_(?:OFFSET|REG)$")

ALIKE = 0.72
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Difference:
    """One difference.

    :ivar kind: ``missing``, ``renamed``, ``value``, ``type`` (a signature or a field's type), ``body`` (of a function, or an
        initialiser), ``moved`` or ``new``
    :ivar what: ``file``, ``function``, ``initialiser``, ``constant``, ``macro``, ``struct``, ``field``, ``parameter`` or ``id``
    :ivar name: in V14; of what is new, its name there
    :ivar v14: what V14 has
    :ivar there: what the tree has
    :ivar rows: rows of docs/quirks that explain it
    """

    kind: str
    what: str
    file: str
    name: str
    v14: str = ""
    there: str = ""
    rows: tuple[int, ...] = ()


@dataclass
class Comparison:
    """V14 and one tree.

    :ivar pairs: functions of the tree by C file and V14 name; a renamed one too
    """

    differences: list[Difference] = field(default_factory=list)
    pairs: dict[tuple[str, str], Function] = field(default_factory=dict)

    def of(self, path: str, name: str = "") -> list[Difference]:
        """Those of one file, or of one name in it."""
        return [d for d in self.differences if d.file == path and (not name or d.name == name)]


def rows_of(*names: str) -> tuple[int, ...]:
    found: set[int] = set()
    for name in names:
        found.update(KNOWN.get(name, ()))
        found.update(row.number for row in ROWS if name in row.where)
    return tuple(sorted(found))


def bare(name: str) -> str:
    """A name without what versions decorate it with."""
    return _DECORATION.sub("", name).lower()


def show(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return repr(value) if value is None else f'"{value}"' if value else "nothing"


def renames(old: Iterable[str], new: Iterable[str], same: Any) -> dict[str, str]:
    """Names that only ``old`` has to those that only ``new`` has: equal but for the decoration, or alike and ``same(old, new)``."""
    gone, left = [name for name in old if name not in new], {name: None for name in new if name not in old}
    found: dict[str, str] = {}
    for old in gone:
        words = sorted(bare(old).split("_"))
        twin = LATER.get(old)
        if twin not in left:
            twin = next((name for name in left if sorted(bare(name).split("_")) == words), None)
        if twin is not None:
            found[old] = twin
            del left[twin]
    for old in gone:
        if old in found:
            continue
        near = sorted(((difflib.SequenceMatcher(None, bare(old), bare(name)).ratio(), name) for name in left), reverse=True)
        twin = next((name for ratio, name in near if ratio >= ALIKE and same(old, name)), None)
        if twin is not None:
            found[old] = twin
            del left[twin]
    return found


class _Comparer:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.result = Comparison()

    def add(self, kind: str, what: str, file: str, name: str, v14: str = "", there: str = "", *more: str) -> None:
        # a struct may be called as a function is
        rows = rows_of(*((f"struct {name}",) if what == "struct" else (name, *more)))
        self.result.differences.append(Difference(kind, what, file, name, v14, there, rows))

    def paired(self, what: str, theirs: CFile, old: Mapping[str, Any], new: Mapping[str, Any], named: Mapping[str, str] = NONE,
               shown: Callable[[Any], str] = lambda value: "", prefix: str = "") -> Iterator[tuple[str, str]]:
        """Names of both sides that are the same thing; the others are missing, or new.

        :param named: names of V14 that are others there
        :param shown: what is said of a thing that only one side has
        """
        for name in old:
            there = named.get(name, name)
            if there in new:
                if there != name:
                    more = (there,) if what == "function" else ()
                    self.add("renamed", what, theirs.path, prefix + name, name, there, *more)
                yield name, there
            elif not theirs.partial:
                self.add("missing", what, theirs.path, prefix + name, shown(old[name]))
        for name in new:
            if name not in old and name not in named.values():
                self.add("new", what, theirs.path, prefix + name, "", shown(new[name]))

    def changed(self, what: str, file: str, *names: str) -> None:
        """Other tokens; a row that says that a later kernel does the same explains nothing."""
        rows = tuple(n for n in rows_of(*names) if not BY_NUMBER[n].later.startswith("The same"))
        self.result.differences.append(Difference("body", what, file, names[0], rows=rows))

    def run(self) -> Comparison:
        for path, mine in v14().items():
            theirs = self.tree.files.get(path)
            if theirs is None:
                if not self.tree.change:
                    self.add("missing", "file", path, path.rpartition("/")[2])
                continue
            self._functions(path, mine, theirs)
            self._initialisers(path, mine, theirs)
            self._constants(path, mine, theirs)
            self._structs(path, mine, theirs)
            self._rest(path, mine, theirs)
        self._moved_files()
        return self.result

    def _functions(self, path: str, mine: CFile, theirs: CFile) -> None:
        old = {f.name: f for f in mine.functions}
        new = {f.name: f for f in theirs.functions}
        named = renames(old, new, lambda a, b: old[a].params == new[b].params)

        def place(function: Function) -> str:
            return _lines(function) + (f", under {function.condition}" if function.condition else "")

        for name, twin in self.paired("function", theirs, old, new, named, place):
            function, there = old[name], new[twin]
            self.result.pairs[path, name] = there
            if (there.returns, there.params) != (function.returns, function.params):
                self.add("type", "function", path, name, function.signature, there.signature, twin)
            if function.body and there.body and function.body != there.body:
                self.changed("function", path, name, twin)
            if function.first and (there.first, there.last) != (function.first, function.last):
                self.add("moved", "function", path, name, _lines(function), _lines(there))

    def _constants(self, path: str, mine: CFile, theirs: CFile) -> None:
        old, new = mine.constants, theirs.constants
        for name, there in self.paired("constant", theirs, old, new, renames(old, new, lambda a, b: False), show):
            if new[there] != old[name] and not (old[name] == "" and not isinstance(new[there], int)):
                self.add("value", "constant", path, name, show(old[name]), show(new[there]))
        for name, _ in self.paired("macro", theirs, mine.macros, theirs.macros):
            if theirs.macros[name] != mine.macros[name]:
                self.add("type", "macro", path, name, ", ".join(mine.macros[name]), ", ".join(theirs.macros[name]))

    def _initialisers(self, path: str, mine: CFile, theirs: CFile) -> None:
        for name, _ in self.paired("initialiser", theirs, mine.initialisers, theirs.initialisers):
            if theirs.initialisers[name] and theirs.initialisers[name] != mine.initialisers[name]:
                self.changed("initialiser", path, name)

    def _structs(self, path: str, mine: CFile, theirs: CFile) -> None:
        for struct, _ in self.paired("struct", theirs, mine.structs, theirs.structs):
            old, new = dict(mine.structs[struct]), dict(theirs.structs[struct])
            named = renames(old, new, lambda a, b, old=old, new=new: old[a] == new[b])
            for name, there in self.paired("field", theirs, old, new, named, str, f"{struct}."):
                if _plain(new[there]) != _plain(old[name]):
                    self.add("type", "field", path, f"{struct}.{name}", old[name], new[there])

    def _rest(self, path: str, mine: CFile, theirs: CFile) -> None:
        for name, _ in self.paired("parameter", theirs, mine.module_params, theirs.module_params):
            if theirs.module_params[name] != mine.module_params[name]:
                self.add("value", "parameter", path, name, str(mine.module_params[name]), str(theirs.module_params[name]))
        for old, new in ((mine.dt_ids, theirs.dt_ids), (mine.acpi_ids, theirs.acpi_ids),
                         (mine.properties, theirs.properties), (mine.exported, theirs.exported)):
            list(self.paired("id", theirs, dict.fromkeys(old), dict.fromkeys(new)))
        if mine.driver_name and theirs.driver_name and mine.driver_name != theirs.driver_name:
            self.add("value", "id", path, mine.driver_name, mine.driver_name, theirs.driver_name)

    def _moved_files(self) -> None:
        """What is missing in one file and new in another has moved."""
        found = self.result.differences
        for gone in [d for d in found if d.kind == "missing" and d.what != "file"]:
            names = {gone.name, *(n for n in (d.name for d in found if d.kind == "new" and d.what == gone.what)
                                  if gone.what == "constant" and bare(n) == bare(gone.name))}
            new = next((d for d in found if d.kind == "new" and d.what == gone.what and d.name in names), None)
            if new is not None:
                there = new.file.rpartition("/")[2]
                where = there if new.name == gone.name else f"{there} as {new.name}"
                found[found.index(gone)] = Difference("moved", gone.what, gone.file, gone.name,
                                                      gone.file.rpartition("/")[2], where, gone.rows)
                found.remove(new)


def _plain(kind: str) -> str:
    """A type without the names of constants that only their decoration changed."""
    return re.sub(r"\bHIDMA_(?=[A-Z])", "", kind).replace(" ", "")


def _lines(function: Function) -> str:
    if not function.first:
        return f"made by {function.macro}"
    where = f"line {function.first}" if function.first == function.last else f"lines {function.first}-{function.last}"
    return f"{where}, made by {function.macro}" if function.macro else where


def compare(tree: Tree) -> Comparison:
    return _Comparer(tree).run()
