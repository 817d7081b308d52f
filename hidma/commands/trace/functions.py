# SPDX-License-Identifier: GPL-2.0-only
"""Makes functions of the port report that they are entered: in a module that runs as Python, each function of the C file
gets other code during a trace, and its own back afterwards. Line numbers stay. Functions of compiled modules do not report:
``hidma trace`` runs the sources. It stands for no C file.
"""

from __future__ import annotations

import ast
import copy
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from hidma.commands.portmap.series import SOURCES
from hidma.linux import ftrace

_ENTERED = "_ftrace_entered"
_CALLED = "_ftrace_called"


def modules() -> list[ModuleType]:
    """The modules of the port that are there and run as Python."""
    found = []
    for name in dict.fromkeys(source.module for source in SOURCES):
        module = sys.modules.get(name)
        if module is not None and str(getattr(module, "__file__", "")).endswith(".py"):
            found.append(module)
    return found


def wanted(name: str) -> bool:
    """Whether the entry of a function is an event: macros and container_of() helpers are none."""
    return not name.isupper() and not name.startswith(("to_", "_")) and name != "lldev_of"


def _report(call: str, argument: ast.expr, at: ast.stmt) -> ast.stmt:
    made = ast.Expr(ast.Call(ast.Name(call, ast.Load()), [argument], []))
    return ast.fix_missing_locations(ast.copy_location(made, at))


def instrument(node: ast.FunctionDef, name: str) -> None:
    inner = name.startswith("hidma_ll_")
    for above in ast.walk(node):
        for attribute in ("body", "orelse", "finalbody"):
            block = getattr(above, attribute, None)
            if not isinstance(block, list) or inner:
                continue
            for statement in [s for s in block if isinstance(s, ast.stmt)]:
                match statement:
                    case ast.Expr(value=ast.Call(func=ast.Name(id="call"), args=[callback, _])):
                        if ast.unparse(callback).endswith("callback"):
                            block.insert(block.index(statement), _report(_CALLED, copy.deepcopy(callback), statement))
    start = 1 if ast.get_docstring(node, clean=False) is not None else 0
    at = node.body[start] if len(node.body) > start else node.body[0]
    node.body.insert(start, _report(_ENTERED, ast.Constant(name), at))


def _codes(code: CodeType) -> list[CodeType]:
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _codes(constant)
    return found


def reporting(module: ModuleType) -> dict[FunctionType, CodeType]:
    """The code that the functions of a module get."""
    path = str(module.__file__)
    text = Path(path).read_text(encoding="utf-8")
    functions = {name: value for name, value in vars(module).items()
                 if isinstance(value, FunctionType) and value.__module__ == module.__name__ and wanted(name)}

    def compiled(tree: ast.Module) -> dict[tuple[str, int], CodeType]:
        return {(code.co_name, code.co_firstlineno): code for code in _codes(compile(tree, path, "exec", dont_inherit=True))}

    found: dict[FunctionType, CodeType] = {}
    tree = ast.parse(text, path)
    plain = {name: f for name, f in functions.items() if f.__code__.co_name == name}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in plain:
            instrument(node, node.name)
    codes = compiled(tree)
    for function in plain.values():
        code = codes.get((function.__code__.co_name, function.__code__.co_firstlineno))
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            found[function] = code
    for name, function in functions.items():  # made by a macro: one piece of source, many functions
        if name in plain:
            continue
        tree = ast.parse(text, path)
        for inner in ast.walk(tree):
            if isinstance(inner, ast.FunctionDef) and (inner.name, inner.lineno) == (
                    function.__code__.co_name, function.__code__.co_firstlineno):
                instrument(inner, name)
        code = compiled(tree).get((function.__code__.co_name, function.__code__.co_firstlineno))
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            found[function] = code
    return found


class Entries:
    """Functions report while a ``with`` lasts; several may last at once."""

    depth = 0
    saved: dict[FunctionType, CodeType] = {}
    prepared: dict[str, dict[FunctionType, CodeType]] = {}

    def __enter__(self) -> Entries:
        Entries.depth += 1
        self.add()
        return self

    @staticmethod
    def add() -> None:
        """Take in modules that have come since."""
        for module in modules():
            if module.__name__ not in Entries.prepared:
                Entries.prepared[module.__name__] = reporting(module)
            vars(module)[_ENTERED] = ftrace.entered
            vars(module)[_CALLED] = ftrace.called
            for function, code in Entries.prepared[module.__name__].items():
                if function not in Entries.saved:
                    Entries.saved[function] = function.__code__
                    function.__code__ = code

    def __exit__(self, *_: object) -> None:
        Entries.depth -= 1
        if Entries.depth == 0:
            for function, code in Entries.saved.items():
                function.__code__ = code
            Entries.saved.clear()
