# SPDX-License-Identifier: GPL-2.0-only
"""setup.py and the choice of the mode, from outside: what is compiled and shipped, and when. tools/ are in test_tools.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import hidma
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="the tests run outside of a checkout")

SAMPLE = {
    "one.py": """\
import cython

if not cython.compiled:
    SIZE = 32


class Box:
    def __init__(self, n):
        self.n = n

    def add(self, x):
        self.n = (self.n + x) & ~(~0 << 32)
        return self.n


def half(x):
    if x > SIZE:
        raise ValueError(-22)
    return x // 2
""",
    "one.pxd": """\
cpdef enum:
    SIZE = 32

cdef class Box:
    cdef public unsigned int n
    cpdef unsigned int add(self, unsigned int x) except? 0xdead

cpdef int half(int x) except -1
""",
    "two.py": """\
import cython

if not cython.compiled:
    from hidma.one import SIZE, Box, half


def run(n):
    box = Box(n)
    return box.add(SIZE) + half(2)


def fail(n):
    return half(n)
""",
    "two.pxd": """\
cimport cython
from hidma.one cimport SIZE, Box, half

@cython.locals(box=Box)
cpdef long run(long n) except? -1
""",
    "three.py": "def f():\n    return 3\n",
    "three.pxd": "cpdef int f() except? -1\n",
}


class Sample:
    """A checkout with the build files of this one, the choice of the mode, and three small modules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "hidma"
        if self.package.is_dir():
            return
        (self.package / "machine").mkdir(parents=True)
        for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "hidma/__init__.py",
                     "hidma/machine/__init__.py", "hidma/machine/_mode.py"):
            shutil.copy(ROOT / name, root / name)
        for name, text in SAMPLE.items():
            (self.package / name).write_text(text, encoding="utf-8")

    def run(self, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HIDMA_", "PYTHON", "CFLAGS"))}
        done = subprocess.run([sys.executable, *args], cwd=self.root, env=clean | env, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done

    def build(self, **env: str) -> str:
        """Build in place; what hidma's setup.py says about it."""
        said = self.run("setup.py", "-q", "build_ext", "--inplace", **env).stderr
        return "".join(line for line in said.splitlines(True) if line.startswith("hidma: "))

    def change(self, name: str, old: str, new: str) -> None:
        """Change a file; its time becomes older, as when a backup is put back."""
        path = self.package / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        os.utime(path, (1, 1))

    def python(self, code: str, check: bool = True, **env: str) -> str:
        done = self.run("-c", code, check=check, **env)
        return done.stdout + done.stderr

    def extensions(self) -> dict[str, int]:
        return {path.name.removesuffix(SUFFIX): path.stat().st_mtime_ns for path in self.package.glob("*.so")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A sample that was built once; tests leave it as they found it."""
    sample = Sample(tmp_path_factory.mktemp("built dir") / "checkout")
    said = sample.build()
    if "no C compiler that works" in said:
        pytest.skip(f"compiled mode needs what is missing here: {said}")
    assert said == "hidma: compiling 4 modules\n"
    return sample


@pytest.fixture
def copy(built: Sample, tmp_path: Path) -> Sample:
    """A built sample to change."""
    shutil.copytree(built.root, tmp_path / "checkout", symlinks=True)
    return Sample(tmp_path / "checkout")


SAY = ("from hidma import two; from hidma.machine import _mode\n"
       "print(two.__file__, _mode.compiled(), _mode.why(), two.run(2**32 - 1), sep='\\n')")


@pytest.mark.slow
def test_a_built_module_runs_compiled_and_says_by_what(built: Sample) -> None:
    for interpreted in ("", "0"):
        file, compiled, why, result = built.python(SAY, HIDMA_INTERPRETED=interpreted).splitlines()
        assert file.endswith(SUFFIX) and compiled == "True"
        assert re.fullmatch(r"compiled by Cython [\d.]+\S* and .+ with .*-O\d.*", why)
        assert result == "32", "32 + 0xFFFFFFFF wraps, and half(2) is 1"


@pytest.mark.slow
def test_hidma_interpreted_passes_the_extension_modules_over(built: Sample) -> None:
    file, *said = built.python(SAY, HIDMA_INTERPRETED="1").splitlines()
    assert file.endswith("two.py")
    assert said == ["False", "interpreted, because HIDMA_INTERPRETED asks for it", "32"]


@pytest.mark.slow
@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_a_traceback_shows_the_lines_of_the_source(built: Sample, interpreted: str) -> None:
    said = built.python("from hidma import two\ntwo.fail(99)", check=False, HIDMA_INTERPRETED=interpreted)
    assert re.search(r'hidma/two\.py", line 13, in .*fail\n    return half\(n\)\n', said)
    assert re.search(r'hidma/one\.py", line 18, in .*half\n    raise ValueError\(-22\)\n', said)
    assert said.endswith("ValueError: -22\n")


@pytest.mark.slow
def test_nothing_is_compiled_again_when_no_content_has_changed(built: Sample) -> None:
    before = built.extensions()
    for path in built.package.glob("*.p*"):
        os.utime(path)
    assert built.build() == ""
    assert built.extensions() == before


@pytest.mark.slow
def test_what_depends_on_a_change_is_compiled_again(copy: Sample) -> None:
    copy.change("three.py", "return 3", "return 4")
    assert copy.build() == "hidma: compiling 1 modules\n"
    copy.change("one.pxd", "SIZE = 32", "SIZE = 33")
    assert copy.build() == "hidma: compiling 2 modules\n", "one, and two, which has a constant of one"
    assert copy.python("from hidma import three, two; print(three.f(), two.run(1))") == "4 35\n"


@pytest.mark.slow
def test_other_flags_compile_all_again_and_a_failed_build_goes_on(copy: Sample) -> None:
    three = (copy.package / "three.py").read_text()
    copy.change("three.py", "return 3", "return undefined_name")
    done = copy.run("setup.py", "-q", "build_ext", "--inplace", check=False, CFLAGS="-DX")
    assert done.returncode != 0 and "hidma: compiling 4 modules\n" in done.stderr
    assert re.search(r"hidma/three\.py:2:\d+: undeclared name", done.stderr + done.stdout)
    (copy.package / "three.py").write_text(three)
    assert copy.build() == ""
    (copy.root / "setup.py").write_text((copy.root / "setup.py").read_text().replace('"-O3"', '"-O0"'))
    assert copy.build() == "hidma: compiling 4 modules\n"


@pytest.mark.slow
def test_a_module_that_is_no_longer_compiled_loses_its_extension_module(copy: Sample) -> None:
    (copy.package / "three.pxd").unlink()
    assert copy.build() == ""
    assert set(copy.extensions()) == {"_cyshared", "one", "two"}
    assert copy.python(SAY).splitlines()[1] == "True"


@pytest.mark.slow
def test_a_lost_extension_module_comes_back(copy: Sample) -> None:
    (copy.package / f"three{SUFFIX}").unlink()
    assert copy.python("from hidma.machine import _mode; print(_mode.compiled()); print(_mode.why())") == (
        "False\npartly compiled, which does not work: no extension module for hidma.three; build again\n"
    )
    assert copy.build() == "", "it is still in the build directory"
    assert "three" in copy.extensions()


def test_hidma_pure_builds_no_extension_module(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    stale = sample.package / f"one{SUFFIX}"
    stale.touch()
    assert sample.build(HIDMA_PURE="1") == "hidma: no extensions, the sources run interpreted: HIDMA_PURE is set\n"
    assert not stale.exists()
    assert sample.python(SAY).splitlines()[1:] == [
        "False", "interpreted, because no extension modules were built: HIDMA_PURE is set", "32"]


@pytest.mark.parametrize("compiler", ["there-is-no-such-cc", "false"])
def test_without_a_working_compiler_the_build_goes_on_in_one_line(tmp_path: Path, compiler: str) -> None:
    sample = Sample(tmp_path)
    said = sample.build(CC=compiler)
    assert said.startswith("hidma: no extensions, the sources run interpreted: no C compiler that works (")
    assert said.endswith("): apt-get install gcc libc6-dev python3-dev\n") and said.count("\n") == 1
    assert sample.extensions() == {}


def test_without_cython_the_build_goes_on_in_one_line(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    code = "import sys; sys.modules['Cython'] = None; sys.argv = ['setup.py', '-q', 'build_ext', '--inplace']; import setup"
    said = sample.run("-c", code).stderr
    assert "hidma: no extensions, the sources run interpreted: Cython is missing: pip install 'Cython>=3.3,<4'\n" in said
    assert sample.extensions() == {}


# --- the public face of the package -----------------------------------------------------------------------------------


def test_mode_of_this_process_is_consistent() -> None:
    assert _mode.why().startswith("compiled by " if _mode.compiled() else "interpreted, ")


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hidma' has no attribute 'nonsense'"):
        _ = hidma.nonsense


def test_public_names_are_listed_before_they_are_used() -> None:
    assert set(hidma.__all__) <= set(dir(hidma))


# --- what is shipped --------------------------------------------------------------------------------------------------

OFFLINE = re.compile(r"NewConnectionError|name resolution|ConnectTimeout|Network is unreachable|Connection refused")


def distribute(root: Path, out: Path, *args: str, **env: str) -> Path:
    """`python -m build`: an sdist and a wheel made from it, in an environment of their own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HIDMA_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "build", *args, "--outdir", str(out), str(root)],
        env=clean | env,
        cwd=out.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode and OFFLINE.search(done.stdout + done.stderr):
        pytest.skip("the build requirements cannot be fetched: no package index is reached")
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def installed(wheel: Path, where: Path) -> Path:
    """The Python of a new environment with a wheel in it and nothing else."""
    venv.create(where, with_pip=False)
    site = next(where.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return where / "bin" / "python"


@pytest.mark.slow
@pytest.mark.network
def test_sdist_and_wheel_of_a_compiled_build_install_and_work(built: Sample, tmp_path: Path) -> None:
    wheel = distribute(built.root, tmp_path / "dist")
    python = installed(wheel, tmp_path / "env")
    said = subprocess.run(
        [python, "-P", "-c",
         "from hidma import two; from hidma.machine import _mode; print(two.__file__, _mode.compiled(), two.run(1))"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert said.stdout == f"{tmp_path}/env/lib/{python_lib()}/site-packages/hidma/two{SUFFIX} True 34\n", said.stderr


def python_lib() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def shipped() -> set[str]:
    """The package files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "hidma", "reset_plugins"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("what belongs to the package is known in a git checkout only")
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.mark.slow
@pytest.mark.network
def test_sdist_and_pure_wheel_hold_every_file_of_the_package(tmp_path: Path) -> None:
    wanted = shipped()
    wheel = distribute(ROOT, tmp_path / "dist", "--no-isolation", HIDMA_PURE="1")
    assert wheel.name == f"hidma-{hidma.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= names
    # the C floor of the bench is a source; no other C file is
    assert sorted(name for name in names if name.endswith((".so", ".c", ".part"))) == [
        "hidma/commands/bench/floor.c", "hidma/commands/qemu/vfio_platform_qcomhidma.c", "hidma/commands/qemu/vfio_user.c"]
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    others = {"setup.py", "pyproject.toml", "LICENSE", "README.md", "tools/hidma", "tools/_env.py", ".ci/run"}
    assert wanted | others <= source
    assert not [name for name in source if name.startswith(("build/", ".venv/")) or name.endswith(".so")]
    metadata = zipfile.ZipFile(wheel).read(f"hidma-{hidma.__version__}.dist-info/METADATA").decode()
    assert "\nLicense-Expression: GPL-2.0-only\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    entry_points = zipfile.ZipFile(wheel).read(f"hidma-{hidma.__version__}.dist-info/entry_points.txt").decode()
    assert "hidma = hidma.__main__:main" in entry_points
    python = installed(wheel, tmp_path / "env")
    said = subprocess.run(
        [python, "-P", "-c", "import hidma; from hidma.machine import _mode; print(hidma.__version__, _mode.why())"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert said.stdout == (f"{hidma.__version__} interpreted, because no extension modules were built\n"), said.stderr
