# SPDX-License-Identifier: GPL-2.0-only
"""Where the names of the C files stand in the port: each module is read as text, so that the lines are those
of the source, also of compiled modules. It stands for no C file.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hidma

TOP = Path(hidma.__file__).resolve().parent.parent

#: Functions of the series that the port does without.
NO_FUNCTION = {"to_hidma_dev_from_lldev": "a container_of() helper that nothing in the series calls"}

_MARK = re.compile(r"#.*\bV14: .*")
_ROWS = re.compile(r"\brows? (\d+(?:(?:, | and )\d+)*)")


@dataclass(frozen=True)
class Place:
    """Lines of a file of the port.

    :ivar path: relative to what holds the packages, ``hidma/ll.py``
    :ivar first: the first line, from 1
    :ivar last: the last line
    """

    path: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.path}:{self.first}" + (f"-{self.last}" if self.last != self.first else "")


@dataclass
class PortModule:
    """One module of the port, read as text.

    :ivar functions: by C name
    :ivar structs: by C name
    :ivar values: constants and other names bound at module level
    """

    name: str
    path: str
    text: str
    functions: dict[str, Place] = field(default_factory=dict)
    structs: dict[str, Place] = field(default_factory=dict)
    values: dict[str, Place] = field(default_factory=dict)

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def text_of(self, place: Place) -> str:
        return "\n".join(self.lines[place.first - 1:place.last])

    def rows(self, place: Place) -> list[int]:
        """The rows of docs/quirks that the marks within a place name."""
        found: set[int] = set()
        comment = ""
        for line in self.lines[place.first - 1:place.last]:
            stripped = line.strip()
            if _MARK.search(line):
                comment = _MARK.search(line)[0]  # type: ignore[index]
            elif comment and stripped.startswith("#"):
                comment += " " + stripped.lstrip("# ")
            else:
                comment = ""
            for numbers in _ROWS.findall(comment):
                found.update(int(n) for n in re.findall(r"\d+", numbers))
        return sorted(found)

    def digest(self, place: Place) -> str:
        """Tells whether the lines of a place are those that were measured."""
        return hashlib.sha256(self.text_of(place).encode()).hexdigest()[:12]


def camel(name: str) -> str:
    """``hidma_tx_status`` as a class is called."""
    return "".join(part.capitalize() for part in name.split("_"))


def path_of(module: str) -> Path | None:
    """The source of a module of the port, None where it is not ported."""
    base = TOP.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, with those that stand for interpreted runs only: what a .pxd has for compiled ones."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "not cython.compiled":
            yield from node.body
        else:
            yield node


@functools.cache
def read(module: str) -> PortModule | None:
    """A module by its dotted name, None where it is not ported."""
    path = path_of(module)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    found = PortModule(module, path.relative_to(TOP).as_posix(), text)
    for node in statements(ast.parse(text)):
        end = node.end_lineno or node.lineno
        place = Place(found.path, node.lineno, end)
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.functions[node.name] = Place(found.path, first, end)
        elif isinstance(node, ast.ClassDef):
            for struct in re.findall(r"``struct (\w+)``", ast.get_docstring(node) or ""):
                found.structs.setdefault(struct, place)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(name, ast.Name):
                        found.values[name.id] = place
    return found
