# SPDX-License-Identifier: GPL-2.0-only
"""Constants folded: an UPPER_CASE name bound once at module level to an integer is replaced by its value inside function bodies."""

from __future__ import annotations

import ast
import errno
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from staging.pxd import PACKAGE, ROOT, cimports, inlines

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
