# SPDX-License-Identifier: GPL-2.0-only
"""The declarations beside the sources: which modules are compiled, what each .pxd cimports and wants inlined."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "hidma"


INLINE = re.compile(
    r"^(?:@cython\.locals\((?P<locals>[^()]*)\)\n)?"
    r"cp?def (?P<type>[^\n(:=]*?)\b(?P<name>\w+)\((?P<args>[^\n()]*)\)(?P<tail>[^\n#]*?)[ \t]*# inline$",
    re.MULTILINE,
)


def inlines(pxd: str) -> dict[str, re.Match[str]]:
    """The declarations of a .pxd that end with `# inline`, by name."""
    return {found["name"]: found for found in INLINE.finditer(pxd)}


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
