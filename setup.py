# SPDX-License-Identifier: GPL-2.0-only
"""Builds hidma: each `x.py` with an `x.pxd` beside it becomes a C extension by stock Cython, all others stay plain Python.

`HIDMA_PURE=1`, or a machine without Cython or a working C compiler, gives a build without extensions: the same sources
run interpreted. In place, C and object files are kept in `build/`, and only those extensions are made again of which
the source, a .pxd that it cimports, the compiler or a flag changed. All metadata is in pyproject.toml.
"""

import hashlib
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

# A .pxd that holds inline functions only, for the modules that cimport it: its .py is for interpreted runs.
HEADERS = {"hidma.hw.cmem", "hidma.hw.faults", "hidma.hw.realtime", "hidma.hw.registers"}
DIRECTIVES = {"language_level": 3, "wraparound": False, "initializedcheck": False, "cdivision": True}
DIRECTIVES |= {"boundscheck": True, "annotation_typing": False}
CFLAGS = ["-O3", "-fno-tree-slp-vectorize", "-g0", "-w"]
SHARED = "hidma._cyshared"  # holds what Cython would else repeat in every extension: half the time to compile
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def look_around() -> dict[str, str]:
    """What the extensions are made with, for `hidma info`; or `why_not`, the reason why none are made."""
    if os.environ.get("HIDMA_PURE", "0") not in ("", "0"):
        return {"why_not": "HIDMA_PURE is set"}
    try:
        from Cython import __version__ as cython
    except ImportError:
        return {"why_not": "Cython is missing: pip install 'Cython>=3.3,<4'"}
    cc = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as scratch:
        trial = [*cc, "-shared", "-fPIC", "-I", sysconfig.get_path("include"), "-xc", "-", "-o", f"{scratch}/trial.so"]
        try:
            subprocess.run(trial, input="#include <Python.h>\n", capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
            return {"why_not": f"no C compiler that works ({said}): apt-get install gcc libc6-dev python3-dev"}
    version = subprocess.run([*cc, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    flags = filter(None, map(os.environ.get, ("CPPFLAGS", "CFLAGS", "LDFLAGS")))
    return {"cython": cython, "cc": version, "cflags": " ".join([*flags, *CFLAGS])}


class BuildPy(build_py):
    def run(self):
        if not self.editable_mode:  # a module that an earlier build left there must not come along
            shutil.rmtree(Path(self.build_lib, "hidma"), ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or len(os.sched_getaffinity(0))
        if self.inplace:
            self.build_temp = self.build_lib = os.path.join("build", sysconfig.get_config_var("SOABI"))

    def run(self):
        super().run()
        base = Path("." if self.inplace else self.build_lib)
        for path in set(base.glob(f"hidma/**/*{SUFFIX}")) - {base / self.get_ext_filename(name) for name in NAMES}:
            path.unlink()  # it would run in place of its source
        (base / "hidma" / "_built.json").write_text(json.dumps(MADE_WITH, indent=1) + "\n")

    def build_extensions(self):
        from Cython.Build import cythonize
        from Cython.Build.Dependencies import create_dependency_tree

        self.todo, self.force, tree = {}, True, create_dependency_tree(quiet=True)
        for ext in self.extensions:
            files = ["setup.py", *(sorted(tree.all_dependencies(ext.sources[0])) if ext.name != SHARED else ())]
            key = hashlib.sha256(b"".join([repr(MADE_WITH).encode(), *(Path(file).read_bytes() for file in files)]))
            stamp = Path(self.build_temp, f"{ext.name}.{key.hexdigest()}")
            if not stamp.exists() or not os.path.exists(self.get_ext_fullpath(ext.name)):
                self.todo[ext.name] = stamp
        if changed := [ext for ext in self.extensions if ext.name in self.todo]:
            print(f"hidma: compiling {len(changed)} modules", file=sys.stderr, flush=True)
            options = {"compiler_directives": DIRECTIVES, "shared_utility_qualified_name": SHARED, "quiet": True}
            made = cythonize(changed, nthreads=self.parallel, force=True, build_dir=self.build_temp, **options)
            for ext in changed:
                ext.sources = next(built.sources for built in made if built.name == ext.name)
        super().build_extensions()

    def build_extension(self, ext):
        if ext.name in self.todo:
            for stamp in Path(self.build_temp).glob(f"{ext.name}.*"):
                stamp.unlink()
            super().build_extension(ext)
            self.todo[ext.name].touch()

    def copy_file(self, infile, outfile, **options):
        shutil.copyfile(infile, f"{outfile}.part")
        os.replace(f"{outfile}.part", outfile)  # in one step: running programs keep the one that they have loaded


os.chdir(Path(__file__).resolve().parent)
MADE_WITH, NAMES = look_around(), []
if "why_not" in MADE_WITH:
    print(f"hidma: no extensions, the sources run interpreted: {MADE_WITH['why_not']}", file=sys.stderr, flush=True)
else:
    pairs = [path.with_suffix("") for path in Path("hidma").rglob("*.pxd") if path.with_suffix(".py").is_file()]
    NAMES = sorted({".".join(path.parts) for path in pairs if path.name != "__init__"} - HEADERS | {SHARED})
sources = {name: name.replace(".", "/") + (".c" if name == SHARED else ".py") for name in NAMES}
setup(
    ext_modules=[Extension(name, [source], extra_compile_args=CFLAGS) for name, source in sources.items()],
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
)
