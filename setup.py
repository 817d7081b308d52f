# SPDX-License-Identifier: GPL-2.0-only
"""Builds hidma: every module `x.py` with an `x.pxd` beside it becomes a C extension, all others stay plain Python.

The sources are copied to `build/<abi>/src` on the way. In the copy of a compiled module constants are folded: an
UPPER_CASE name bound once at module level to an integer (there, in another hidma module or in errno) is replaced by its
value inside function bodies, and a number that needs more than 31 bits gets a C type (left alone, Cython computes with
it as a Python object). Lines keep their numbers. A function whose declaration in the .pxd ends with `# inline` is
compiled into its callers in other modules as well: their .pxd gets a C twin of it, made from the .py. Nothing is
compiled again whose folded source, .pxd files, compiler and flags are as before.

`HIDMA_PURE=1`, or a machine without Cython or a working C compiler, gives a build without extension modules, which runs
interpreted. In place, by hand: `python setup.py build_ext --inplace`. All metadata is in pyproject.toml.
"""

from __future__ import annotations

import ast
import errno
import fcntl
import filecmp
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import setuptools
from setuptools import Distribution, Extension, find_namespace_packages, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, LinkError

ROOT = Path(__file__).resolve().parent
PACKAGE = "hidma"

DIRECTIVES = {
    "boundscheck": True,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "annotation_typing": False,
}
CFLAGS = ["-O3", "-fno-tree-slp-vectorize", "-g0", "-w"]

#: The extension module that holds what Cython would else put into each of the others: it halves the time to compile.
SHARED = f"{PACKAGE}._cyshared"

# --- folding ----------------------------------------------------------------------------------------------------------

CONSTANT_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")
INT32_MAX = (1 << 31) - 1

BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {
    ast.Invert: operator.invert,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def _bit(n: int) -> int:
    return 1 << n


def _genmask(high: int, low: int) -> int:
    return (1 << (high + 1)) - (1 << low)


CALLS: dict[tuple[str, int], Callable[..., int]] = {
    ("BIT", 1): _bit,
    ("BIT_ULL", 1): _bit,
    ("GENMASK", 2): _genmask,
    ("GENMASK_ULL", 2): _genmask,
}


#: Line, first byte, byte after the last, and the bytes to stand there instead.
Edit = tuple[int, int, int, bytes]


@dataclass
class Scope:
    """What the top level of one module binds for good: integer constants, and names of modules that have some."""

    values: dict[str, int] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


@dataclass
class Folded:
    """The text of a module with its constants folded, and the C constants that it uses: name -> value."""

    text: str
    wide: dict[str, int]

    def declarations(self) -> str:
        """The lines that its .pxd needs in addition, so that the wide numbers have a C type."""
        if not self.wide:
            return ""
        lines = ["", "cdef extern from *:"]
        for name, value in sorted(self.wide.items()):
            if value > (1 << 63) - 1:
                lines.append(f'    unsigned long long {name} "{value:#X}ULL"'.replace("0X", "0x"))
            elif value == -(1 << 63):
                lines.append(f'    long long {name} "(-{(1 << 63) - 1}LL - 1)"')
            else:
                lines.append(f'    long long {name} "({value}LL)"')
        return "\n".join(lines) + "\n"


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, without the insides of functions, lambdas and classes below it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield ast.Name(child.name, ast.Store())
        elif not isinstance(child, ast.Lambda):
            yield from _same_scope(child)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that one node binds or unbinds by itself."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.arg(arg=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


class Folder:
    """Folds the constants of the modules below one root directory."""

    def __init__(self, root: Path = ROOT, package: str = PACKAGE) -> None:
        self.root = root
        self.package = package
        self._scopes: dict[str, Scope] = {}

    def path(self, module: str) -> Path | None:
        """The source file of a module of the package, None for any other module."""
        if module.partition(".")[0] != self.package:
            return None
        base = self.root.joinpath(*module.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
        return None

    def scope(self, module: str) -> Scope:
        """The constants of a module by its dotted name; empty for one that is unknown or just being read (a cycle)."""
        if module in self._scopes:
            return self._scopes[module]
        scope = self._scopes[module] = Scope()
        if module == "errno":
            scope.values.update({name: value for name, value in vars(errno).items() if isinstance(value, int)})
        elif (path := self.path(module)) is not None:
            self._read(ast.parse(path.read_bytes(), str(path)), module, path.name == "__init__.py", scope)
        return scope

    def _read(self, tree: ast.Module, module: str, is_package: bool, scope: Scope) -> None:
        times: dict[str, int] = {}
        for node in _same_scope(tree):
            for name in _bound(node):
                times[name] = times.get(name, 0) + 1
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):  # some function rebinds it
                times.update(dict.fromkeys(node.names, 2))
        for statement in tree.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ) if CONSTANT_NAME.match(name) and times[name] == 1:
                    constant = self.evaluate(value, scope)
                    if constant is not None:
                        scope.values[name] = constant
                case ast.ImportFrom(module=source, names=names, level=level):
                    base = self._absolute(source or "", level, module, is_package)
                    for alias in names:
                        name = alias.asname or alias.name
                        if times.get(name) != 1:
                            continue
                        if base == "errno" or self.path(base) is not None:
                            found = self.scope(base).values.get(alias.name)
                            if found is not None and CONSTANT_NAME.match(name):
                                scope.values[name] = found
                                continue
                        if self.path(f"{base}.{alias.name}") is not None:
                            scope.modules[name] = f"{base}.{alias.name}"
                case ast.Import(names=names):
                    for alias in names:
                        if alias.name == "errno" and times[alias.asname or alias.name] == 1:
                            scope.modules[alias.asname or alias.name] = "errno"
                        elif alias.asname and times[alias.asname] == 1 and self.path(alias.name) is not None:
                            scope.modules[alias.asname] = alias.name

    @staticmethod
    def _absolute(source: str, level: int, module: str, is_package: bool) -> str:
        if not level:
            return source
        parts = module.split(".")
        keep = len(parts) - level + (1 if is_package else 0)
        return ".".join([*parts[:keep], *([source] if source else [])])

    def evaluate(self, node: ast.expr, scope: Scope, hidden: frozenset[str] = frozenset()) -> int | None:
        """The integer that an expression of constants has, None when it is anything else.

        scope: where its names are looked up; hidden: names that mean something else where the expression stands.
        """
        match node:
            case ast.Constant(value=bool()):
                return None
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name, ctx=ast.Load()) if name not in hidden:
                return scope.values.get(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ast.Load()) if name not in hidden:
                module = scope.modules.get(name)
                return self.scope(module).values.get(attr) if module and CONSTANT_NAME.match(attr) else None
            case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
                a = self.evaluate(operand, scope, hidden)
                return None if a is None else UNARY[type(op)](a)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                a, b = self.evaluate(left, scope, hidden), self.evaluate(right, scope, hidden)
                if a is None or b is None:
                    return None
                if isinstance(op, ast.LShift | ast.RShift) and not 0 <= b <= 256:
                    return None
                if isinstance(op, ast.FloorDiv | ast.Mod) and b == 0:
                    return None
                return BINARY[type(op)](a, b)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=[]):
                call = CALLS.get((name, len(args)))
                if call is None or name in hidden:
                    return None
                numbers = [self.evaluate(arg, scope, hidden) for arg in args]
                known = [number for number in numbers if number is not None and 0 <= number <= 256]
                return call(*known) if len(known) == len(numbers) else None
        return None

    def fold(self, module: str, text: str | None = None) -> Folded:
        """Fold one module, given by its dotted name; text replaces what its file says."""
        path = self.path(module)
        if text is None:
            if path is None:
                raise FileNotFoundError(errno.ENOENT, "no such module below the root", module)
            text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path or module))
        scope = Scope()
        self._scopes[module] = scope
        self._read(tree, module, path is not None and path.name == "__init__.py", scope)
        lines = text.encode().split(b"\n")
        wide: dict[str, int] = {}
        edits = list(_Edits(self, scope, wide).of(tree))
        edits += self._without_c_functions(tree, module, lines)
        for line, start, end, new in sorted(edits, reverse=True):
            old = lines[line - 1]
            before, after = old[:start], old[end:]
            if new[:1].isdigit() and after.lstrip()[:1] == b".":  # 7.bit_length would be a float
                new = b"(" + new + b")"
            if new and before and chr(before[-1]).isidentifier():
                new = b" " + new
            if new and after and chr(after[0]).isidentifier():
                new += b" "
            lines[line - 1] = before + new + after
        return Folded(b"\n".join(lines).decode(), wide)

    def _without_c_functions(self, tree: ast.Module, module: str, lines: list[bytes]) -> Iterator[Edit]:
        """Edits that take out of import statements what the module's .pxd cimports from the same place as a C function.

        The interpreted module needs the import; for Cython the name is a C function by then, which cannot be bound.
        """
        path = self.path(module)
        if path is None or not path.with_suffix(".pxd").is_file():
            return
        cimported = cimports(path.with_suffix(".pxd"), self.root)
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.col_offset:
                continue
            base = self._absolute(node.module or "", node.level, module, path.name == "__init__.py")
            c_names = {
                alias.name for alias in node.names if (base, alias.name) in cimported and self._is_c(base, alias.name)
            }
            if not c_names:
                continue
            kept = [alias for alias in node.names if alias.name not in c_names]
            new = "from " + "." * node.level + (node.module or "") + " import "
            new += ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in kept)
            assert node.end_lineno is not None and node.end_col_offset is not None
            for line in range(node.lineno, node.end_lineno + 1):
                end = node.end_col_offset if line == node.end_lineno else len(lines[line - 1])
                yield line, 0, end, (new if kept else "pass").encode() if line == node.lineno else b""

    def _is_c(self, module: str, name: str) -> bool:
        """Whether the .pxd of a module declares a function that Python does not see."""
        path = self.path(module)
        if path is None or not path.with_suffix(".pxd").is_file():
            return False
        pxd = path.with_suffix(".pxd").read_text("utf-8")
        return name in inlines(pxd) or bool(re.search(rf"^cdef [^\n(:=]*\b{name}\(", pxd, re.MULTILINE))


class _Edits:
    """Collects the edits for the function bodies of one module."""

    def __init__(self, folder: Folder, scope: Scope, wide: dict[str, int]) -> None:
        self.folder = folder
        self.scope = scope
        self.wide = wide

    def of(self, node: ast.AST) -> Iterator[Edit]:
        """Outside of functions: look for function bodies only."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from self._function(child, frozenset())
            else:
                yield from self.of(child)

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, hidden: frozenset[str]
    ) -> Iterator[Edit]:
        body: list[ast.stmt] | list[ast.expr] = [node.body] if isinstance(node, ast.Lambda) else node.body
        local = {name for part in ast.walk(node.args) for name in _bound(part)}
        for statement in body:
            local.update(name for part in _same_scope(statement) for name in _bound(part))
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                local.add(statement.name)
        for statement in body:
            yield from self._inside(statement, hidden | local)

    def _inside(self, node: ast.AST, hidden: frozenset[str]) -> Iterator[Edit]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._function(node, hidden)
                return
            case ast.ClassDef():
                yield from self.of(node)
                return
            case ast.JoinedStr():  # the places inside an f-string are not exact before Python 3.12
                return
            case ast.AnnAssign(target=target, value=value):
                yield from self._inside(target, hidden)
                if value is not None:
                    yield from self._inside(value, hidden)
                return
            case ast.MatchValue(value=value):  # a name in a pattern would be a capture
                number = self.folder.evaluate(value, self.scope, hidden)
                if number is not None and 0 <= number <= INT32_MAX and value.lineno == value.end_lineno:
                    yield self._edit(value, str(number))
                return
            case ast.expr():
                number = self.folder.evaluate(node, self.scope, hidden)
                small = number is not None and -INT32_MAX <= number <= INT32_MAX
                if number is not None and node.lineno == node.end_lineno:
                    if not (small and isinstance(node, ast.Constant)):
                        yield self._edit(node, self._spell(number))
                    return
        for child in ast.iter_child_nodes(node):
            yield from self._inside(child, hidden)

    @staticmethod
    def _edit(node: ast.expr, new: str) -> Edit:
        assert node.end_col_offset is not None
        return node.lineno, node.col_offset, node.end_col_offset, new.encode()

    def _spell(self, number: int) -> str:
        if 0 <= number <= INT32_MAX:
            return f"{number}" if number < 10 else f"{number:#x}"
        if -INT32_MAX <= number < 0 or not -(1 << 63) <= number < 1 << 64:
            return f"({number})" if number < 0 else str(number)
        name = f"_c_0x{number:X}" if number >= 0 else f"_c_minus_0x{-number:X}"
        self.wide[name] = number
        return name


# --- functions that are compiled into their callers -------------------------------------------------------------------


INLINE = re.compile(
    r"^(?:@cython\.locals\((?P<locals>[^()]*)\)\n)?"
    r"cp?def (?P<type>[^\n(:=]*?)\b(?P<name>\w+)\((?P<args>[^\n()]*)\)(?P<tail>[^\n#]*?)[ \t]*# inline$",
    re.MULTILINE,
)


def inlines(pxd: str) -> dict[str, re.Match[str]]:
    """The declarations of a .pxd that end with `# inline`, by name."""
    return {found["name"]: found for found in INLINE.finditer(pxd)}


def twins(pxd: str, text: str) -> str:
    """The C twins of the functions that a .pxd wants compiled into their callers: `_inline_f` for each `f`.

    text: the folded source, where their bodies are. A body sees what the .pxd sees: C names only. Twins call twins.
    """
    there = inlines(pxd)
    if not there:
        return ""
    calls = re.compile(rf"(?<![\w.])({'|'.join(there)})(?=\()")
    bodies = {node.name: node.body for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    lines = text.encode().split(b"\n")
    made = []
    for name, found in there.items():
        if name not in bodies:
            raise CompileError(f"the .pxd says `# inline` of {name}(), which the .py does not define")
        body = bodies[name]
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):  # the docstring
            body = body[1:]
        made.append(f"\ncdef inline {found['type']}_inline_{name}({found['args']}){found['tail']}:")
        call = ast.parse(f"f({found['locals'] or ''})", mode="eval").body
        for keyword in call.keywords if isinstance(call, ast.Call) else ():
            c_type = keyword.value.value if isinstance(keyword.value, ast.Constant) else ast.unparse(keyword.value)
            made.append(f"    cdef {c_type} {keyword.arg}")
        end = body[-1].end_lineno
        made += [calls.sub(r"_inline_\1", line.decode()) for line in lines[body[0].lineno - 1 : end]]
    return "\n".join([*made, ""])


def with_twins(text: str, pxds: dict[Path, bytes]) -> str:
    """The text of a .pxd, cimporting the twins of other modules where there are some; pxds: all of them, by path."""
    for found in CIMPORT.finditer(text):
        source, names = found[1], found[2]
        other = pxds.get(Path(*source.split(".")).with_suffix(".pxd")) if source and source[0] != "." else None
        there = inlines(other.decode()) if other else {}
        parts = []
        for part in filter(None, (part.strip() for part in names.strip("() \t\n").split(","))):
            name, _, alias = part.partition(" as ")
            parts.append(f"_inline_{name} as {alias or name}" if name in there else part)
        if any(part.startswith("_inline_") for part in parts):
            new = f"from {source} cimport ({', '.join(parts)})"
            text = text.replace(found[0], new + "\n" * found[0].count("\n"), 1)
    return text


# --- entries of functions ---------------------------------------------------------------------------------------------


ENTRIES = re.compile(r"^from hidma\.linux cimport ftrace$", re.MULTILINE)


def with_entries(text: str) -> str:
    """The text of a module whose .pxd cimports `ftrace`: each function of the driver (`hidma_*`) reports that it is
    entered, and those of the channel which callback of a client they call, if `ftrace.here`: a C int of the module's own,
    which `_ftrace_switch()` sets. Lines keep their numbers.
    """
    lines = text.encode().split(b"\n")
    edits: list[tuple[int, int, bytes]] = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("hidma_"):
            continue
        test = f'ftrace.unlikely(ftrace.here) and ftrace.entered("{node.name}")'.encode()
        first = node.body[0]
        match first:
            case ast.Expr(value=ast.Constant(value=str())):  # the docstring
                edits.append((first.end_lineno or 0, first.end_col_offset or 0, b"; " + test))
            case ast.If(test=condition):
                edits.append((condition.lineno, condition.col_offset, b"(" + test + b") or ("))
                edits.append((condition.end_lineno or 0, condition.end_col_offset or 0, b")"))
            case ast.With(items=[ast.withitem(context_expr=expression), *_]):
                edits.append((expression.lineno, expression.col_offset, b"(" + test + b") or "))
            case ast.While() | ast.For() | ast.Try() | ast.FunctionDef() | ast.Match():
                raise CompileError(f"{node.name}() begins with a loop or the like; a docstring before it would do")
            case _:
                edits.append((first.lineno, first.col_offset, test + b"; "))
        for call in ast.walk(node) if not node.name.startswith("hidma_ll_") else ():  # there it is the driver's own
            match call:
                case ast.Expr(value=ast.Call(func=ast.Name(id="call"), args=[callback, _])):
                    name = ast.unparse(callback)
                    if name.endswith("callback"):
                        report = f"ftrace.unlikely(ftrace.here) and ftrace.called({name}); ".encode()
                        edits.append((call.lineno, call.col_offset, report))
    for line, column, new in sorted(edits, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:column] + new + old[column:]
    return b"\n".join(lines).decode() + "\n\ndef _ftrace_switch(value):\n    ftrace.here = value\n"


# --- functions in which objects are C structs -------------------------------------------------------------------------


FUNCTION = re.compile(
    r"^(?:@cython\.locals\((?P<locals>[^()]*)\)\n)?"
    r"(?P<kind>cp?def) (?!class\b)(?P<type>[^\n(:=]*?)\b(?P<name>\w+)\((?P<args>[^\n()]*)\)(?P<tail>[^\n#:]*?)"
    r"[ \t]*(?:# (?P<mark>inline|struct|struct inline|struct inline beside))?$",
    re.MULTILINE,
)
CLASS = re.compile(r"^cdef class (?P<name>\w+)(?:\((?P<base>\w+)\))?:\n(?P<body>(?:[ \t]+[^\n]*\n|\n)*)", re.MULTILINE)
FIELD = re.compile(
    r"^    cdef (?:public |readonly )?(?P<type>\w[\w ]*?[ *]+)(?P<name>[a-zA-Z]\w*|_[a-z]\w*)(?P<size>\[\d+\])?$",
    re.MULTILINE,
)
GLOBAL = re.compile(r"^cdef (\w+) (\w+)$", re.MULTILINE)
TOLD = "ftrace.unlikely(ftrace.here)"
C_TYPES = ("unsigned", "signed", "char", "short", "int", "long", "bint", "size_t", "float", "double", "*")
OBJECTS = ("object", "str", "list", "dict", "set", "tuple", "bytes")


def _arguments(args: str) -> list[tuple[str, str]]:
    """(type, name) of the arguments of a C declaration."""
    pairs = []
    for arg in filter(None, (arg.strip() for arg in args.split(","))):
        found = re.fullmatch(r"(.*?[ *])(\w+)", arg)
        assert found is not None, arg
        pairs.append((found[1].strip(), found[2]))
    return pairs


def _local_types(text: str | None) -> dict[str, str]:
    """The types that an `@cython.locals` gives."""
    call = ast.parse(f"f({text or ''})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {
        keyword.arg or "": keyword.value.value
        if isinstance(keyword.value, ast.Constant)
        else ast.unparse(keyword.value)
        for keyword in call.keywords
    }


class Structs:
    """Makes C of functions whose declaration in the .pxd ends with `# struct`, with objects as pointers to structs.

    Cython counts references wherever an object is looked at. In these functions it does not: an object of a cdef class
    is the pointer to its C struct there (`struct_X *` for an X), any other a `void *`; None is a pointer like others, and
    whoever calls keeps alive what he passes. Storing an object counts, in a field and in a list. They can only use what
    is in C: fields of such structs, items of lists, constants, C functions.

    The function itself is made from the .py like a twin, `_struct_f` in the .pxd (`_inline_f`, and compiled into its
    callers, with `# struct inline`). What the .py defines becomes the door for those who come with objects: it calls
    that; with `# struct inline beside` it stays what it is (one that gives away an object which nobody else may hold).
    A C function that is not `# struct` can be called with such pointers, they are objects again there.

    pxds: the text of each .pxd by module.
    """

    def __init__(self, pxds: dict[str, str]) -> None:
        self.pxds = pxds
        self.classes: dict[str, str] = {}
        self.bases: dict[str, str] = {}
        self.fields: dict[str, dict[str, tuple[str, str, str]]] = {}
        self.functions: dict[tuple[str, str], re.Match[str]] = {}
        self.globals: dict[tuple[str, str], str] = {}
        self.outlined: dict[str, list[str]] = {}
        for module, text in pxds.items():
            for found in CLASS.finditer(text):
                name = found["name"]
                self.classes[name] = module
                self.bases[name] = found["base"] or ""
                self.fields[name] = {
                    f["name"]: (f["type"].strip(), f["name"], f["size"] or "") for f in FIELD.finditer(found["body"])
                }
            self.functions.update({(module, found["name"]): found for found in FUNCTION.finditer(text)})
        for module, text in pxds.items():
            self.globals.update({(module, name): kind for kind, name in GLOBAL.findall(text) if kind in self.classes})

    def any(self) -> bool:
        """Whether there is such a function at all."""
        return any((found["mark"] or "").startswith("struct") for found in self.functions.values())

    def c_type(self, kind: str) -> str:
        """What stands for a declared type."""
        if kind in self.classes:
            return f"struct_{kind} *"
        return "void *" if kind in OBJECTS else kind + " "

    def field(self, name: str, attr: str) -> tuple[str, str, str] | None:
        """Type, C name and array size of a field of class `name`."""
        prefix = ""
        while name in self.fields:
            if attr in self.fields[name]:
                kind, cname, size = self.fields[name][attr]
                return kind, prefix + cname, size
            name, prefix = self.bases[name], prefix + "__pyx_base."
        return None

    def names(self, module: str) -> dict[str, tuple[str, str]]:
        """What a .pxd cimports or declares: name -> (module, name there)."""
        found = {}
        for source, names in CIMPORT.findall(self.pxds[module]):
            for part in filter(None, (part.strip() for part in names.strip("() \t\n").split(","))):
                name, _, alias = part.partition(" as ")
                if source:
                    found[alias.strip() or name] = (source, name)
        for there, name in self.functions:
            if there == module:
                found[name] = (module, name)
        return found

    def mark(self, where: tuple[str, str] | None) -> str:
        """How a function is marked in its .pxd; "cold" for one that takes objects."""
        found = self.functions.get(where) if where else None
        if found is None:
            return ""
        if found["mark"]:
            return str(found["mark"])
        kinds = [kind for kind, _ in _arguments(found["args"])]
        return "cold" if any(kind in self.classes or kind in OBJECTS for kind in kinds) else ""

    def c_name(self, where: tuple[str, str]) -> str:
        """The name under which such a function is called with pointers."""
        prefix = {"": "", "struct": "_struct_", "cold": "_cold_"}
        return prefix.get(self.mark(where), "_inline_") + where[1]

    def extra(self, module: str, text: str) -> tuple[str, str]:
        """What the .pxd of a module gets in addition; text: its folded source.

        The structs go first: of modules that cimport each other one is read before the other's rest is known.
        """
        if not self.any():
            return "", ""
        names = self.names(module)
        wanted: dict[str, None] = {}

        def need(kind: str) -> str:
            if kind in self.classes and self.classes[kind] != module:
                wanted[f"from {self.classes[kind]} cimport struct_{kind}"] = None
            return self.c_type(kind)

        mine = [name for name, there in self.classes.items() if there == module]
        lines = [
            'cdef extern from "hidma/structs.h":',
            "    void *NONE",
            "    void *item_of(void *, size_t) except NULL",
            "    int set_item_of(void *, size_t, void *) except -1",
            "    void set_field(void *, void *) noexcept",
            "    size_t len_of(void *) noexcept",
        ]
        mangled = "_".join(f"{len(part)}{part}" for part in module.split("."))
        if mine:
            lines.append("cdef extern from *:")
            lines += [f'    struct struct_{name} "__pyx_obj_{mangled}_{name}"' for name in mine]
            for name in mine:
                lines.append(f'    struct struct_{name} "__pyx_obj_{mangled}_{name}":')
                seen: dict[str, str] = {}
                base = name
                while base in self.fields:
                    for attr in self.fields[base]:
                        if attr not in seen:
                            kind, cname, size = self.field(name, attr) or ("", "", "")
                            c_type = kind if all(word in C_TYPES for word in kind.split()) else "void *"
                            seen[attr] = f'        {c_type} {attr} "{cname}"{size}'
                    base = self.bases[base]
                lines += list(seen.values()) or ["        pass"]
        bodies = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        made = []
        for (there, name), found in self.functions.items():
            if there != module:
                continue
            mark = self.mark((there, name))
            args = _arguments(found["args"])
            result = found["type"].strip()
            tail = found["tail"]
            if self.c_type(result)[-1] == "*":
                tail = " except NULL"
            passed = ", ".join(need(kind) + arg for kind, arg in args)
            if mark == "cold" and result not in self.classes and result not in OBJECTS:
                given = ", ".join(
                    f"<{kind}>{arg}" if kind in self.classes or kind in OBJECTS else arg for kind, arg in args
                )
                made += ["", f"cdef inline {result} _cold_{name}({passed}){tail}:", f"    return {name}({given})"]
            if not mark.startswith("struct"):
                continue
            if name not in bodies:
                raise CompileError(f"the .pxd says `# {mark}` of {name}(), which the .py does not define")
            locals_ = _local_types(found["locals"])
            made += ["", f"cdef inline {self.c_type(result)}{self.c_name((there, name))}({passed}){tail}:"]
            made += [f"    cdef {need(kind)}{local}" for local, kind in locals_.items()]
            types = {**locals_, **{arg: kind for kind, arg in args}}
            writer = _StructWriter(self, module, name, names, types, result)
            body = bodies[name].body
            if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body = body[1:]
            for statement in body:
                written = writer.visit(statement)
                for part in written if isinstance(written, list) else [written]:
                    lines_of_it = ast.unparse(ast.fix_missing_locations(part)).split("\n")
                    made += ["    " + line for line in lines_of_it]
            wanted.update(writer.wanted)
            for number, (names_used, source) in enumerate(writer.outlined):
                outlined = f"_out_{name}_{number}"
                declared = ", ".join(f"{types[n]} {n}" for n in names_used)
                given = ", ".join(f"<{types[n]}>{n}" if self.c_type(types[n])[-1] == "*" else n for n in names_used)
                passed = ", ".join(need(types[n]) + n for n in names_used)
                made += [
                    "",
                    f"cdef int {outlined}({declared}) except -1",
                    f"cdef inline int _cold_{outlined}({passed}) except -1:",
                    f"    return {outlined}({given})",
                ]
                self.outlined.setdefault(module, []).extend(
                    ["", f"def {outlined}({', '.join(names_used)}):", f"    {source}", "    return 0"]
                )
            given = ", ".join(
                f"<struct_{kind} *><void *>{arg}"
                if kind in self.classes
                else f"<void *>{arg}"
                if kind in OBJECTS
                else arg
                for kind, arg in args
            )
            back = f"<{result}>" if self.c_type(result)[-1] == "*" else ""
            if mark.endswith("beside"):
                continue
            tail = found["tail"]
            made += [
                "",
                f"cdef inline {result} _door_{name}({found['args']}){tail}:".replace("inline  ", "inline "),
                f"    return {back}{self.c_name((there, name))}({given})",
            ]
        return "\n".join([*lines, ""]), "\n".join(["", *wanted, *made, ""])

    def doors(self, module: str, text: str) -> str:
        """The folded source of a module, in which the functions marked `# struct` are doors."""
        lines = text.split("\n")
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef) or self.mark((module, node.name)) not in (
                "struct",
                "struct inline",
            ):
                continue
            first = (
                node.body[1]
                if isinstance(node.body[0], ast.Expr)
                and len(node.body) > 1
                and isinstance(node.body[0].value, ast.Constant)
                else node.body[0]
            )
            assert node.end_lineno is not None
            arguments = ", ".join(arg.arg for arg in node.args.args)
            before = lines[first.lineno - 1].encode()[: first.col_offset].decode()
            for number in range(first.lineno, node.end_lineno + 1):
                lines[number - 1] = ""
            lines[first.lineno - 1] = f"{before}return _door_{node.name}({arguments})"
        return "\n".join(lines + self.outlined.get(module, []))


class _StructWriter(ast.NodeTransformer):
    """Writes one function body in terms of pointers to structs."""

    def __init__(
        self,
        structs: Structs,
        module: str,
        function: str,
        names: dict[str, tuple[str, str]],
        types: dict[str, str],
        result: str,
    ) -> None:
        self.structs = structs
        self.module = module
        self.function = function
        self.outlined: list[tuple[list[str], str]] = []
        self.names = names
        self.types = types
        self.result = result
        self.wanted: dict[str, None] = {}

    def kind(self, node: ast.expr) -> str:
        """The declared type of an expression, as far as it matters here."""
        structs = self.structs
        match node:
            case ast.Constant(value=None):
                return "object"
            case ast.Name(id=name):
                return (
                    self.types.get(name)
                    or structs.globals.get((self.module, name))
                    or structs.globals.get(self.names.get(name, ("", "")), "")
                )
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if not self.kind(node.value):
                module = ".".join(self.names.get(name, ("", "")))
                return structs.globals.get((module, attr), "")
            case ast.Attribute(value=value, attr=attr):
                field = structs.field(self.kind(value), attr)
                return field[0] if field else ""
            case ast.Subscript(value=value):
                return "object" if self.kind(value) == "list" else ""
            case ast.Call(func=ast.Name(id="len")):
                return ""
            case ast.Call(func=ast.Name(id=name)):
                found = structs.functions.get(self.names.get(name, ("", "")))
                return found["type"].strip() if found else ""
        return ""

    def is_object(self, kind: str) -> bool:
        return kind in self.structs.classes or kind in OBJECTS

    def cast(self, kind: str, node: ast.expr) -> ast.expr:
        if kind in self.structs.classes and self.structs.classes[kind] != self.module:
            self.wanted[f"from {self.structs.classes[kind]} cimport struct_{kind}"] = None
        return ast.Call(ast.Name(f"<{self.structs.c_type(kind).strip()}>", ast.Load()), [node], [])

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name("NONE", ast.Load()) if node.value is None else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        kind = "" if node.id in self.types else self.kind(node)
        if kind in self.structs.classes:
            where = self.names.get(node.id)
            if where is not None and where[0] != self.module:
                self.wanted[f"from {where[0]} cimport {where[1]}"] = None
            return self.cast(kind, ast.Call(ast.Name("<void *>", ast.Load()), [node], []))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and not self.kind(node.value) and self.kind(node) in self.structs.classes:
            return self.cast(self.kind(node), ast.Call(ast.Name("<void *>", ast.Load()), [node], []))
        kind = self.kind(node.value)
        value = self.visit(node.value)
        if kind in self.structs.classes and not isinstance(value, ast.Name):
            if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id[:1] == "<"):
                value = self.cast(kind, value)
            value = ast.Call(ast.Name("", ast.Load()), [value], [])  # parentheses
        node.value = value
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if isinstance(node.ops[0], ast.Is | ast.IsNot) and len(node.ops) == 1:
            sides = [self.cast("object", self.visit(side)) for side in (node.left, node.comparators[0])]
            return ast.Compare(sides[0], [ast.Eq() if isinstance(node.ops[0], ast.Is) else ast.NotEq()], [sides[1]])
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if self.kind(node.value) == "list":
            return ast.Call(ast.Name("item_of", ast.Load()), [self.visit(node.value), self.visit(node.slice)], [])
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "len":
            return ast.Call(ast.Name("len_of", ast.Load()), [self.visit(node.args[0])], [])
        if isinstance(node.func, ast.Name):
            where = self.names.get(node.func.id)
            found = self.structs.functions.get(where) if where else None
            mark = self.structs.mark(where)
            if found is not None and where is not None:
                kinds = [kind for kind, _ in _arguments(found["args"])]
                arguments = [
                    self.cast(kind, self.visit(arg)) if self.is_object(kind) else self.visit(arg)
                    for kind, arg in zip(kinds, node.args, strict=True)
                ]
                name = self.structs.c_name(where)
                if mark in ("", "cold", "inline") and self.is_object(found["type"].strip()):
                    raise CompileError(
                        f"{self.function}() is `# struct` and cannot hold what {where[1]}() gives: mark that, too"
                    )
                if mark == "inline":  # takes objects
                    arguments = [
                        ast.Call(ast.Name(f"<{kind}>", ast.Load()), [arg], []) if self.is_object(kind) else arg
                        for kind, arg in zip(kinds, arguments, strict=True)
                    ]
                if where[0] != self.module and (mark or where not in self.names.values()):
                    self.wanted[f"from {where[0]} cimport {name}"] = None
                return ast.Call(ast.Name(name, ast.Load()), arguments, [])
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        kind = self.kind(target)
        value = self.visit(node.value)
        if isinstance(target, ast.Subscript) and self.kind(target.value) == "list":
            given = [self.visit(target.value), self.visit(target.slice), self.cast("object", value)]
            return ast.Expr(ast.Call(ast.Name("set_item_of", ast.Load()), given, []))
        if isinstance(target, ast.Attribute):
            place = self.visit(target)
            if self.is_object(kind):
                slot = ast.Call(ast.Name("<void *>&", ast.Load()), [place], [])
                return ast.Expr(ast.Call(ast.Name("set_field", ast.Load()), [slot, self.cast("object", value)], []))
            return ast.Assign([place], value)
        if isinstance(target, ast.Name):
            return ast.Assign([target], self.cast(kind, value) if self.is_object(kind) else value)
        return ast.Assign([self.visit(target)], value)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> list[ast.AST]:
        entry: list[ast.AST] = []
        match node.test:
            case ast.BoolOp(op=ast.Or(), values=[ast.BoolOp(op=ast.And(), values=[test, _]) as told, *rest]) if (
                ast.unparse(test) == TOLD
            ):  # with_entries() has put this before the condition
                entry = [self.visit_Expr(ast.Expr(told))]
                node.test = ast.BoolOp(ast.Or(), rest) if len(rest) > 1 else rest[0]
        self.generic_visit(node)
        return [*entry, node]

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.BoolOp(op=ast.And(), values=[test, report]) if ast.unparse(test) == TOLD:
                return ast.If(test, [self.outline(ast.Expr(report))], [])
            case ast.Call(func=ast.Name(id=name), args=args) if self.names.get(
                name
            ) in self.structs.functions and not any(
                isinstance(arg, ast.Constant) and isinstance(arg.value, str) for arg in args
            ):
                return ast.Expr(self.visit(node.value))
        return self.outline(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self.outline(node)

    def outline(self, node: ast.stmt) -> ast.AST:
        """What needs Python, and is rare: a function of its own, made from the .py."""
        used = [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in self.types]
        used = list(dict.fromkeys(used))
        name = f"_cold__out_{self.function}_{len(self.outlined)}"
        self.outlined.append((used, ast.unparse(node)))
        return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Name(n, ast.Load()) for n in used], []))

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None:
            value = self.visit(node.value)
            node.value = self.cast(self.result, value) if self.is_object(self.result) else value
        return node


# --- which modules, and what each depends on --------------------------------------------------------------------------


INLINE_ONLY = re.compile(r"^# inline-only", re.MULTILINE)


def compiled_modules(root: Path = ROOT, package: str = PACKAGE) -> list[str]:
    """Dotted names of the modules that have a .pxd beside their .py.

    A .pxd with a line `# inline-only` holds inline C functions that stand for those of the .py: nothing to compile.
    """
    return sorted(
        ".".join(pxd.relative_to(root).with_suffix("").parts)
        for pxd in (root / package).rglob("*.pxd")
        if pxd.name != "__init__.pxd"
        and pxd.with_suffix(".py").is_file()
        and not INLINE_ONLY.search(pxd.read_text(encoding="utf-8"))
    )


CIMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?cimport[ \t]+(\([^)]*\)|[^\n#]*)", re.MULTILINE)


def cimports(pxd: Path, root: Path = ROOT) -> list[tuple[str, str]]:
    """What a .pxd cimports: (module, name), and (module, "") where it is the module itself."""
    package = list(pxd.relative_to(root).parent.parts)
    found = []
    for source, names in CIMPORT.findall(pxd.read_text(encoding="utf-8")):
        dots = len(source) - len(source.lstrip("."))
        if dots:
            source = ".".join([*package[: len(package) - dots + 1], *filter(None, [source[dots:]])])
        for part in names.strip("() \t").split(","):
            name = part.split(" as ")[0].strip()
            if name:
                found.append((source, name) if source else (name, ""))
    return found


def pxd_files(module: str, root: Path = ROOT) -> list[Path]:
    """The .pxd files of the package that a compiled module sees, its own first: found through `cimport`."""
    found: dict[Path, None] = {}

    def add(name: str) -> None:
        base = root.joinpath(*name.split("."))
        for path in (base.with_suffix(".pxd"), base / "__init__.pxd"):
            if path not in found and path.is_file():
                found[path] = None
                for source, part in cimports(path, root):
                    add(source)
                    if part:
                        add(f"{source}.{part}")

    add(module)
    for depth in range(1, module.count(".") + 1):
        add(module.rsplit(".", depth)[0])
    return list(found)


# --- compiling --------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"hidma: {text}", file=sys.stderr, flush=True)


def bring(debian: str, fedora: str) -> str:
    """What brings a package, in the words of this system."""
    if shutil.which("apt-get"):
        return f"`apt-get install {debian}` brings it"
    if shutil.which("dnf"):
        return f"`dnf install {fedora}` brings it"
    return f"your system's package for Debian's {debian} brings it"


def c_compiler() -> list[str]:
    """The command of the C compiler that extensions are built with."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def why_not_compiled() -> str:
    """Why this build makes no extension modules; empty when it makes them."""
    if os.environ.get("HIDMA_PURE", "0") not in ("", "0"):
        return "HIDMA_PURE is set"
    if importlib.util.find_spec("Cython") is None:
        return "Cython is not installed; `pip install Cython` brings it"
    compiler = c_compiler()
    if shutil.which(compiler[0]) is None:
        return f"no C compiler here; {bring('gcc python3-dev', 'gcc python3-devel')}"
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        return f"no Python.h in {include}; {bring('python3-dev', 'python3-devel')}"
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "try.c")
        source.write_text("#include <Python.h>\nint hidma_try(void) { return (int)PyLong_AsLong(Py_None); }\n")
        command = [*compiler, "-fPIC", "-shared", f"-I{include}", str(source), "-o", str(source.with_suffix(".so"))]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            return f"the C compiler {compiler[0]} does not run: {error}"
        if done.returncode:
            first = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
            return f"the C compiler {compiler[0]} does not work: {first}; {bring('gcc libc6-dev', 'gcc glibc-devel')}"
    return ""


def write_if_changed(path: Path, data: bytes) -> None:
    """Write a file, in one step for those who read it at the same time; leave it alone when it already says so."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    os.replace(part, path)


class HidmaDistribution(Distribution):
    """Has extension modules only where they can be made; asked late, since a compiler is tried for it."""

    _why_not: str | None = None

    def why_not_compiled(self) -> str:
        if self._why_not is None:
            self._why_not = why_not_compiled()
            if self._why_not:
                say(f"builds no extension modules, the same sources run interpreted: {self._why_not}")
        return self._why_not

    def has_ext_modules(self) -> bool:
        return bool(self.ext_modules) and not self.why_not_compiled()


class BuildPy(build_py):
    """Copies the Python files; what an earlier build left in the same place does not come along."""

    def run(self) -> None:
        if not getattr(self, "editable_mode", False):
            for package in (PACKAGE, "reset_plugins"):
                shutil.rmtree(Path(self.build_lib, package), ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """Folds, cythonizes and compiles, in parallel, what has changed."""

    def run(self) -> None:
        if self.distribution.has_ext_modules():
            super().run()
        if self.inplace:
            self.remove_stale()

    def get_source_files(self) -> list[str]:
        return []  # .py and .pxd files are package files already

    def remove_stale(self) -> None:
        """In place, an extension module without a .pxd or that was not built now would run in place of the source."""
        keep = set()
        if self.distribution.has_ext_modules():
            keep = {Path(ROOT, self.get_ext_filename(extension.name)) for extension in self.extensions}
        else:
            self.write_note(ROOT, {"why_not": self.distribution.why_not_compiled()})
        for path in (ROOT / PACKAGE).rglob("*" + sysconfig.get_config_var("EXT_SUFFIX")):
            if path not in keep:
                path.unlink(missing_ok=True)

    @staticmethod
    def write_note(base: str | Path, note: dict[str, str]) -> None:
        """What `hidma info` tells of this build."""
        write_if_changed(Path(base, PACKAGE, "_built.json"), (json.dumps(note, indent=1) + "\n").encode())

    def copy_file(self, infile: Any, outfile: Any, *args: Any, **kwargs: Any) -> tuple[str, bool]:
        """A changed extension module takes the old one's place in one step: a running program keeps its own."""
        if os.path.exists(outfile) and filecmp.cmp(infile, outfile, shallow=False):
            return str(outfile), False
        part = f"{outfile}.{os.getpid()}.part"
        shutil.copyfile(infile, part)
        shutil.copymode(infile, part)
        os.replace(part, outfile)
        return str(outfile), True

    def copy_extensions_to_source(self) -> None:
        super().copy_extensions_to_source()
        self.copy_file(Path(self.build_lib, PACKAGE, "_built.json"), ROOT / PACKAGE / "_built.json")

    def build_extensions(self) -> None:
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        work = ROOT / "build" / suffix.strip(".").removesuffix(".so")
        work.mkdir(parents=True, exist_ok=True)
        with open(work / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            note = self._build_all(work, suffix)
        self.write_note(self.build_lib, note)

    def _build_all(self, work: Path, suffix: str) -> dict[str, str]:
        version = subprocess.run([*c_compiler(), "--version"], capture_output=True, text=True).stdout
        note = {
            "cython": importlib.metadata.version("Cython"),
            "cc": next(iter(version.splitlines()), c_compiler()[0]),
            "cflags": " ".join([os.environ.get("CFLAGS", ""), *CFLAGS]).strip(),
        }
        fixed = json.dumps([note, DIRECTIVES, SHARED, suffix, sys.version, c_compiler(), os.environ.get("LDFLAGS", "")])
        names = [extension.name for extension in self.extensions]
        keys = self._stage(work / "src", names, fixed)
        todo = []
        for name in names:
            built, key = work / "lib" / (name + suffix), work / "lib" / (name + ".key")
            if self.force or not built.is_file() or not key.is_file() or key.read_text() != keys[name]:
                key.unlink(missing_ok=True)
                todo.append(name)

        jobs = self.parallel if isinstance(self.parallel, int) and not isinstance(self.parallel, bool) else 0
        jobs = jobs or max(2, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(jobs) as pool:
            failures = self._translate(pool, work, todo, jobs)
            ready = [name for name in todo if self._c_file(work, name).is_file()]
            ready.sort(key=lambda name: self._c_file(work, name).stat().st_size, reverse=True)  # the longest first

            def build(item: tuple[int, str]) -> str:
                number, name = item
                say(f"compiling {name} ({number} of {len(ready)})")
                try:
                    self._build_one(work, name, suffix)
                except (CompileError, LinkError) as error:
                    return f"{name}: {error}"
                write_if_changed(work / "lib" / (name + ".key"), keys[name].encode())
                return ""

            failures += filter(None, pool.map(build, enumerate(ready, 1)))
        if failures:
            raise CompileError("\n".join(failures))
        for name in names:
            target = Path(self.get_ext_fullpath(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(work / "lib" / (name + suffix), target)
        return note

    @staticmethod
    def _stage(src: Path, names: list[str], fixed: str) -> dict[str, str]:
        """Lay out the folded tree; give each module the hash of all that its extension is made of."""
        folder = Folder()
        wanted: dict[Path, bytes] = {}
        for path in (ROOT / PACKAGE).rglob("*"):
            if path.suffix in (".pxd", ".h"):
                wanted[path.relative_to(ROOT)] = path.read_bytes()
            elif path.name == "__init__.py":
                wanted[path.relative_to(ROOT)] = b""  # only says that the directory is a package
        folded: dict[str, Folded] = {}
        keys = {name: hashlib.sha256(fixed.encode()).hexdigest() for name in names if name == SHARED}
        for name in names:
            if name == SHARED:
                continue
            base = Path(*name.split("."))
            folded[name] = folder.fold(name)
            if ENTRIES.search((ROOT / base).with_suffix(".pxd").read_text(encoding="utf-8")):
                folded[name].text = with_entries(folded[name].text)
            wanted[base.with_suffix(".py")] = folded[name].text.encode()
        headers = b"".join(data for path, data in sorted(wanted.items()) if path.suffix == ".h")
        pxds = {path: data for path, data in wanted.items() if path.suffix == ".pxd"}
        structs = Structs({".".join(path.with_suffix("").parts): data.decode() for path, data in pxds.items()})
        for path, data in pxds.items():
            wanted[path] = with_twins(data.decode(), pxds).encode()
        for name in folded:
            path = Path(*name.split(".")).with_suffix(".pxd")
            wanted[path] += twins(pxds[path].decode(), folded[name].text).encode()
            before, after = structs.extra(name, folded[name].text)
            wanted[path] = before.encode() + wanted[path] + after.encode()
            folded[name].text = structs.doors(name, folded[name].text)
            wanted[path.with_suffix(".py")] = folded[name].text.encode()
        for name in folded:
            digest = hashlib.sha256(fixed.encode() + headers + folded[name].text.encode())
            digest.update(folded[name].declarations().encode())
            for path in (path.relative_to(ROOT) for path in pxd_files(name)):
                digest.update(f"\0{path}\0".encode() + wanted.get(path, b""))
            keys[name] = digest.hexdigest()
        for name in folded:
            wanted[Path(*name.split(".")).with_suffix(".pxd")] += folded[name].declarations().encode()
        for path, data in wanted.items():
            write_if_changed(src / path, data)
        for path in list(src.rglob("*")):
            if path.is_file() and path.suffix not in (".c", ".o") and path.relative_to(src) not in wanted:
                path.unlink()
        return keys

    @staticmethod
    def _c_file(work: Path, name: str) -> Path:
        return work / "src" / Path(*name.split(".")).with_suffix(".c")

    def _translate(self, pool: ThreadPoolExecutor, work: Path, names: list[str], jobs: int) -> list[str]:
        """Make a fresh .c of each module that Cython takes; return what it says of the others.

        It runs in the staged tree, so that tracebacks name `hidma/x.py`, which Python finds on its path; and for many
        modules at once, since most of its time for one goes into getting started.
        """
        if names:
            say(f"translating {len(names)} modules to C")
        directives = ",".join(f"{key}={value}" for key, value in DIRECTIVES.items())
        cython = [sys.executable, "-m", "cython", "-3", "-X", directives]
        commands = []
        for name in names:
            self._c_file(work, name).unlink(missing_ok=True)
        if SHARED in names:
            commands.append([*cython, "--generate-shared", str(self._c_file(work, SHARED))])
        sources = [str(Path(*name.split(".")).with_suffix(".py")) for name in names if name != SHARED]
        for share in (sources[job::jobs] for job in range(jobs)):
            if share:
                commands.append([*cython, "--shared", SHARED, "-I", ".", *share])

        def run(command: list[str]) -> str:
            done = subprocess.run(command, cwd=work / "src", capture_output=True, text=True)
            return f"Cython refuses this:\n{done.stdout}{done.stderr}" if done.returncode else ""

        return [said for said in pool.map(run, commands) if said]

    def _build_one(self, work: Path, name: str, suffix: str) -> None:
        c_file = self._c_file(work, name)
        # Cython 3.3 may write the suffix of a 64-bit exception value twice: -1LLLL
        text = re.sub(rb"\b(\d+U?LL)U?LL\b", rb"\1", c_file.read_bytes())
        # left alone, gcc makes calls of the twins and of these checks, of which there are several for each descriptor
        inline = rb"__Pyx_TypeTest|__Pyx_IsSubtype|__pyx_f_\w+__inline_\w+"
        always = rb"static inline __attribute__((always_inline)) \1"
        text = re.sub(rb"static CYTHON_INLINE ([\w* ]+\b(?:" + inline + rb")\()", always, text)
        # and an object of just the type that is asked for is what there nearly always is: look for it first
        text = re.sub(
            rb"\(\((\w+)\) == Py_None\) \|\| (likely\(__Pyx_TypeTest\(\1, ([\w>-]+)\)\))",
            rb"Py_TYPE(\1) == \3) || ((\1) == Py_None) || (\2",
            text,
        )
        # what a traceback is made of is kept by number of the line; lines of several files meet in a module with twins
        text = text.replace(
            b"c_line ? -c_line : py_line", b"(int)(((size_t)funcname * 2654435761u + (size_t)py_line) & 0x7fffffff)"
        )
        c_file.write_bytes(text)
        include = [str(work / "src"), *self.compiler.include_dirs]
        objects = self.compiler.compile(
            [os.path.relpath(c_file)], output_dir="", include_dirs=include, extra_postargs=CFLAGS
        )
        target = work / "lib" / (name + suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, str(target), target_lang="c")


def main() -> None:
    if int(setuptools.__version__.partition(".")[0]) < 77:  # cannot read the licence of pyproject.toml
        sys.exit(f"hidma: setuptools {setuptools.__version__} is too old: pip install -U 'setuptools>=77'")
    os.chdir(ROOT)
    # the names of the reset plugins' entry points are compatible strings, with commas, which it warns of each time
    logging.getLogger("setuptools.config._validate_pyproject.formats").setLevel(logging.ERROR)
    packages = find_packages(include=[PACKAGE, f"{PACKAGE}.*"])
    if any((ROOT / "reset_plugins").glob("*.py")):
        packages += find_namespace_packages(include=["reset_plugins", "reset_plugins.*"])
    names = compiled_modules()
    extensions = [Extension(name, [str(Path(*name.split(".")).with_suffix(".py"))]) for name in names]
    setup(
        packages=packages,
        ext_modules=[Extension(SHARED, ["setup.py"]), *extensions] if extensions else [],
        distclass=HidmaDistribution,
        cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    )


if __name__ == "__main__":
    main()
