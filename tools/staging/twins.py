# SPDX-License-Identifier: GPL-2.0-only
"""C twins: a function whose declaration ends with `# inline` is compiled into its callers in other modules as well."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from setuptools.errors import CompileError

from staging.pxd import CIMPORT, inlines


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
