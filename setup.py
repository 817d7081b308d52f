# SPDX-License-Identifier: GPL-2.0-only
"""Builds hidma: each `x.py` with an `x.pxd` beside it becomes a C extension by stock Cython, all others stay plain Python.

`HIDMA_PURE=1`, or a machine without Cython or a C compiler, gives a build without extensions, which runs interpreted. In
place, an extension is made again when its source, a .pxd that it cimports, the compiler or a flag has changed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# A .pxd that holds inline functions only, for the modules that cimport it: its .py is for interpreted runs.
HEADERS = {"hidma/hw/cmem", "hidma/hw/faults", "hidma/hw/realtime", "hidma/hw/registers", "hidma/linux/jiffies"}
SHARED = "hidma._cyshared"  # holds what Cython would else repeat in every extension: half the time to compile
OPTIONS = {"nthreads": len(os.sched_getaffinity(0)), "force": True, "quiet": True, "shared_utility_qualified_name": SHARED}
OPTIONS["compiler_directives"] = {"cdivision": True, "wraparound": False, "annotation_typing": False, "auto_pickle": False}
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
CFLAGS = ["-fno-tree-slp-vectorize", "-g0", "-w"]
# As far as the path of a descriptor gains by it: optimising is most of the work of a first start.
LEVELS = {"-O3 --param=max-inline-insns-single=1000 --param=inline-unit-growth=300": "channel ll",
          "-O3": "commands.bench.core hw.engine", "-O2": "hw.arbiter hw.channel linux.interrupt", "-O1": "_cyshared hw.block "
          "hw.clock hw.line hw.smmu hw.watch linux.dmaengine linux.io linux.sched linux.types machine.batch"}
LEVEL = {f"hidma.{name}": level.split() for level, names in LEVELS.items() for name in names.split()}


def look_around() -> dict[str, str]:
    """What the extensions are made with, for `hidma info`; or `why_not`, the reason why none are made."""
    if os.environ.get("HIDMA_PURE", "0") not in ("", "0"):
        return {"why_not": "HIDMA_PURE is set"}
    try:
        from Cython import __version__ as cython
    except ImportError:
        return {"why_not": "Cython is missing: pip install 'Cython>=3.3,<4'"}
    cc = (os.environ.get("CC") or sysconfig.get_config_var("CC")).split()
    trial = [*cc, "-shared", "-fPIC", "-I", sysconfig.get_path("include"), "-xc", "-", "-o", "build/trial.so"]
    Path("build").mkdir(exist_ok=True)
    try:
        subprocess.run(trial, input="#include <Python.h>\n", capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or getattr(error, "strerror", "") or "it fails").strip().splitlines()[0]
        return {"why_not": f"no C compiler that works ({cc[0]}: {said}): apt-get install gcc libc6-dev python3-dev"}
    version = subprocess.run([*cc, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    flags = [*map(os.environ.get, ("CPPFLAGS", "CFLAGS", "LDFLAGS")), "-O0 to -O3", *CFLAGS]
    return {"cython": cython, "cc": version, "cflags": " ".join(filter(None, flags))}


class BuildExt(build_ext):
    def run(self):
        if self.inplace:
            self.build_temp = self.build_lib = os.path.join("build", SUFFIX.strip(".").removesuffix(".so"))
        super().run()
        base = Path("." if self.inplace else self.build_lib, "hidma")
        for path in {*base.rglob("*" + SUFFIX)} - {base.parent / self.get_ext_filename(name) for name in SOURCES}:
            path.unlink()  # of an earlier build: it would run in place of its source
        (base / "_built.json").write_text(json.dumps(MADE_WITH | {"modules": [*SOURCES]}, indent=1) + "\n")

    def build_extensions(self):
        from Cython.Build import Dependencies, cythonize
        self.force, every, tree = True, self.extensions, Dependencies.create_dependency_tree(quiet=True)
        for ext in every:
            files = ["setup.py", *(sorted(tree.all_dependencies(ext.sources[0])) if ext.name != SHARED else ())]
            key = hashlib.sha256(b"".join([repr(MADE_WITH).encode(), *(Path(file).read_bytes() for file in files)]))
            ext.stamp = Path(self.build_temp, f"{ext.name}.{key.hexdigest()}")
        self.extensions = [e for e in every if not (e.stamp.exists() and Path(self.get_ext_fullpath(e.name)).exists())]
        if self.extensions:
            print(f"hidma: compiling {len(self.extensions)} modules", file=sys.stderr, flush=True)
            for new in cythonize(self.extensions, build_dir=self.build_temp, **OPTIONS):
                next(ext for ext in every if ext.name == new.name).sources = new.sources
            super().build_extensions()
        self.extensions = every

    def build_extension(self, ext):
        for stamp in Path(self.build_temp).glob(f"{ext.name}.*"):
            stamp.unlink()
        super().build_extension(ext)
        ext.stamp.touch()

    def copy_file(self, infile, outfile, **options):  # in one step: running programs keep the one that they have loaded
        os.replace(super().copy_file(infile, f"{outfile}.part")[0], outfile)


MADE_WITH = look_around()
PAIRS = [(path.stat().st_size, str(path)[:-3]) for path in Path("hidma").rglob("[!_]*.py") if path.with_suffix(".pxd").exists()]
SOURCES = {SHARED: "hidma/_cyshared.c"} | {n.replace("/", "."): n + ".py" for _, n in sorted(PAIRS)[::-1] if n not in HEADERS}
if "why_not" in MADE_WITH:
    print(f"hidma: no extensions, the sources run interpreted: {MADE_WITH['why_not']}", file=sys.stderr, flush=True)
    SOURCES = {}
for path in Path("build").glob("lib*") if "bdist_wheel" in sys.argv else ():
    shutil.rmtree(path)  # a module that an earlier build left there must not come along
extensions = [Extension(n, [file], extra_compile_args=[*LEVEL.get(n, ["-O0"]), *CFLAGS]) for n, file in SOURCES.items()]
setup(ext_modules=extensions, cmdclass={"build_ext": BuildExt}, options={"build_ext": {"parallel": OPTIONS["nthreads"]}})
