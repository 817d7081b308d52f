# SPDX-License-Identifier: GPL-2.0-only
"""Functions of the driver tell that they are entered, in modules whose .pxd cimports `ftrace`."""

from __future__ import annotations

import ast
import re

from setuptools.errors import CompileError

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
