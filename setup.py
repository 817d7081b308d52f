# SPDX-License-Identifier: GPL-2.0-only
"""Builds hidma: each `x.py` with an `x.pxd` beside it becomes a C extension by stock Cython, all others stay plain Python.

`HIDMA_PURE=1`, or a machine without Cython or a working C compiler, gives a build without extensions: the same sources
run interpreted. A build in place (`pip install -e .`, `setup.py build_ext --inplace`) keeps its C and object files in
`build/` and makes only those extensions again whose sources, compiler or flags changed. Metadata is in pyproject.toml.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

#: A .pxd that holds nothing but inline functions for the modules that cimport it; its .py serves interpreted runs only.
HEADERS = ("hidma.hw.cmem", "hidma.hw.realtime", "hidma.hw.registers")
DIRECTIVES = {"language_level": 3, "wraparound": False, "initializedcheck": False, "cdivision": True}
DIRECTIVES |= {"boundscheck": True, "annotation_typing": False}
CFLAGS = ["-O3", "-fno-tree-slp-vectorize", "-g0", "-w"]
#: Holds the code that Cython would else repeat in every extension, which halves the time to compile.
SHARED = "hidma._cyshared"

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
JOBS = len(os.sched_getaffinity(0))


def why_not_compiled() -> str:
    """The reason why this build makes no extensions; empty when it makes them."""
    if os.environ.get("HIDMA_PURE", "0") not in ("", "0"):
        return "HIDMA_PURE is set"
    if importlib.util.find_spec("Cython") is None:
        return "Cython is missing: pip install 'Cython>=3.3,<4'"
    if shutil.which(CC[0]) is None:
        return f"there is no C compiler {CC[0]}: apt-get install gcc libc6-dev python3-dev"
    with tempfile.TemporaryDirectory() as scratch:
        command = [*CC, "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", "-xc", "-", "-o", f"{scratch}/try.so"]
        done = subprocess.run(command, input="#include <Python.h>\n", capture_output=True, text=True)
    said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
    return f"the C compiler cannot build one: {said}; apt-get install gcc libc6-dev python3-dev" * bool(done.returncode)


def finish(base: str) -> None:
    """Leave a note of the build in `base` for `hidma info`, and no extension of an earlier build beside the sources."""
    Path(base, "hidma", "_built.json").write_text(json.dumps(NOTE, indent=1) + "\n", encoding="utf-8")
    for path in Path(base, "hidma").rglob("*" + SUFFIX):
        if ".".join(path.relative_to(base).parts).removesuffix(SUFFIX) not in NAMES:
            path.unlink(missing_ok=True)


class BuildPy(build_py):
    def run(self) -> None:
        if not self.editable_mode:  # a module that was removed since must not come along
            shutil.rmtree(Path(self.build_lib, "hidma"), ignore_errors=True)
        super().run()
        finish("." if self.editable_mode else self.build_lib)


class BuildExt(build_ext):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS
        self.keys = Path("build", SUFFIX.strip(".").removesuffix(".so")) if self.inplace else None
        if self.keys:
            self.build_temp, self.build_lib = str(self.keys), str(self.keys / "lib")

    def run(self) -> None:
        super().run()
        if self.inplace:
            finish(".")

    def key(self, ext: Extension) -> str:
        """A hash of everything that this extension is made of."""
        from Cython.Build.Dependencies import create_dependency_tree

        files = create_dependency_tree(quiet=True).all_dependencies(ext.sources[0]) if ext.name != SHARED else ()
        said = [sys.version, *CC, *(os.environ.get(name, "") for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS")), str(NOTE)]
        data = [Path(path).read_bytes() for path in ("setup.py", *sorted(files))]
        return hashlib.sha256(b"\0".join([*(text.encode() for text in said), *data])).hexdigest()

    def build_extensions(self) -> None:
        from Cython.Build import cythonize

        self.todo = {ext.name: self.key(ext) for ext in self.extensions}
        for name, key in list(self.todo.items()) if self.keys else ():
            path = self.keys / f"{name}.key"
            if path.is_file() and path.read_text() == key and Path(self.get_ext_fullpath(name)).is_file():
                del self.todo[name]
        changed = [ext for ext in self.extensions if ext.name in self.todo]
        if changed:
            print(f"hidma: compiling {len(changed)} modules", file=sys.stderr, flush=True)
            options = {"compiler_directives": DIRECTIVES, "shared_utility_qualified_name": SHARED}
            made = cythonize(changed, nthreads=JOBS, force=True, quiet=True, build_dir=self.build_temp, **options)
            sources = {ext.name: ext.sources for ext in made}
            for ext in changed:
                ext.sources = sources[ext.name]
        self.force = True
        self.extensions.sort(key=lambda ext: -Path(ext.sources[0]).stat().st_size * (ext.name in self.todo))
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        if ext.name in self.todo:
            if self.keys:
                (self.keys / f"{ext.name}.key").unlink(missing_ok=True)
            super().build_extension(ext)
            if self.keys:
                (self.keys / f"{ext.name}.key").write_text(self.todo[ext.name])

    def copy_file(self, infile: str, outfile: str, **options: object) -> None:
        """Put an extension beside its source in one step: running programs keep the one that they have loaded."""
        shutil.copyfile(infile, f"{outfile}.part")
        os.replace(f"{outfile}.part", outfile)


os.chdir(Path(__file__).resolve().parent)
WHY_NOT = why_not_compiled()
if WHY_NOT:
    print(f"hidma: no extension modules, the sources run interpreted: {WHY_NOT}", file=sys.stderr, flush=True)
    NOTE, NAMES = {"why_not": WHY_NOT}, []
else:
    version = subprocess.run([*CC, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    NOTE = {"cython": importlib.metadata.version("Cython"), "cc": version, "cflags": " ".join(CFLAGS)}
    PAIRS = [path.with_suffix("") for path in sorted(Path("hidma").rglob("*.pxd")) if path.with_suffix(".py").is_file()]
    NAMES = [SHARED, *({".".join(path.parts) for path in PAIRS if path.name != "__init__"} - {*HEADERS})]
setup(
    ext_modules=[
        Extension(name, [name.replace(".", "/") + (".c" if name == SHARED else ".py")], extra_compile_args=CFLAGS)
        for name in NAMES
    ],
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
)
