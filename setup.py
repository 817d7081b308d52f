# SPDX-License-Identifier: GPL-2.0-only
"""Builds hidma: every module `x.py` with an `x.pxd` beside it becomes a C extension, all others stay plain Python.

The sources are copied to `build/<abi>/src` on the way. In the copy of a compiled module constants are folded: an
UPPER_CASE name bound once at module level to an integer (there, in another hidma module or in errno) is replaced by its
value inside function bodies, and a number that needs more than 31 bits gets a C type (left alone, Cython computes with
it as a Python object). Lines keep their numbers. A function whose declaration in the .pxd ends with `# inline` is
compiled into its callers in other modules as well: their .pxd gets a C twin of it, made from the .py. What does that is
in tools/staging. Nothing is compiled again whose folded source, .pxd files, compiler and flags are as before.

`HIDMA_PURE=1`, or a machine without Cython or a working C compiler, gives a build without extension modules, which runs
interpreted. In place, by hand: `python setup.py build_ext --inplace`. All metadata is in pyproject.toml.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import setuptools
from setuptools import Distribution, Extension, find_namespace_packages, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, LinkError

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

from staging.entries import ENTRIES, with_entries  # noqa: E402
from staging.fold import Folded, Folder  # noqa: E402
from staging.pxd import PACKAGE, compiled_modules, pxd_files  # noqa: E402
from staging.structs import Structs  # noqa: E402
from staging.twins import twins, with_twins  # noqa: E402

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
