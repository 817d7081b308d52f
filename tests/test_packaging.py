# SPDX-License-Identifier: GPL-2.0-only
"""setup.py, the loader and the two commands, from outside: what is folded, compiled and shipped, and when."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hidma
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="the tests run outside of a checkout")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_{path.stem}_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """setup.py as a module: nothing is built by importing it."""
    return load(ROOT / "setup.py")


# --- folding ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fold(build: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    """fold(text, other="...", pxd="...") -> the folded text of hidma.x, beside hidma.other and its own .pxd."""

    def run(text: str, other: str = "", pxd: str = "", other_pxd: str = "") -> Any:
        package = tmp_path / "hidma"
        package.mkdir(exist_ok=True)
        for name, content in {"__init__.py": "", "x.py": text, "other.py": other}.items():
            (package / name).write_text(content, encoding="utf-8")
        for name, content in {"x.pxd": pxd, "other.pxd": other_pxd}.items():
            if content:
                (package / name).write_text(content, encoding="utf-8")
        return build.Folder(tmp_path).fold("hidma.x")

    return run


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("A = 32", "0x20"),
        ("A = 7", "7"),
        ("A = 0x10 | 1 << 2", "0x14"),
        ("B = 3\nA = B * 4 + 1 - 2", "0xb"),
        ("A = ~0", "(-1)"),
        ("A = -(5)", "(-5)"),
        ("A = 0xF0 & ~0x30 ^ 1", "0xc1"),
        ("A = 100 // 7 % 9", "5"),
        ("A = 256 >> 4", "0x10"),
        ("A: int = 11", "0xb"),
        ("A: Final = 11", "0xb"),
        ("A = BIT(5)", "0x20"),
        ("A = bitops.GENMASK(6, 4)", "0x70"),
        ("from errno import EINVAL as A", "0x16"),
        ("from hidma.other import OTHER as A", "0x21"),
        ("from .other import OTHER as A", "0x21"),
        ("from hidma.other import OTHER\nA = OTHER + 1", "0x22"),
    ],
)
def test_a_constant_is_folded(fold: Callable[..., Any], definition: str, value: str) -> None:
    text = f"{definition}\ndef f(x):\n    return x + A\n"
    assert fold(text, other="OTHER = 33\n").text == f"{definition}\ndef f(x):\n    return x + {value}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A = 1\nA = 2\ndef f():\n    return A\n", "bound twice"),
        ("A = 1\nA += 1\ndef f():\n    return A\n", "changed"),
        ("if x:\n    A = 1\ndef f():\n    return A\n", "bound under a condition"),
        ("A = 1\ndef g():\n    global A\n    A = 2\ndef f():\n    return A\n", "rebound by a function"),
        ("A = 1\ndef f(A):\n    return A\n", "a parameter"),
        ("A = 1\ndef f():\n    A = g()\n    return lambda: A\n", "a local"),
        ("A = 1\ndef f(y):\n    return [A for A in y]\n", "a variable of a comprehension"),
        ("a = 1\ndef f():\n    return a\n", "not upper case"),
        ("A = 1.5\ndef f():\n    return A\n", "a float"),
        ("A = True\ndef f():\n    return A\n", "a bool"),
        ("A = g(3)\ndef f():\n    return A\n", "a call"),
        ("A = 1 << -1\ndef f():\n    return A\n", "a shift that fails"),
        ("A = 1\ndef f(x):\n    return x.A\n", "an attribute"),
        ("A = 1\ndef f(x):\n    return x(A=x)\n", "a keyword"),
        ("A = 1\ndef f(x=A):\n    return x\n", "a default, outside of the body"),
        ("A = 1\nB = [A]\nclass C:\n    D = A\n", "no function"),
        ("A = 1\ndef f(x: A) -> A:\n    y: A = x\n    return y\n", "annotations"),
        ("A = 1\ndef f():\n    return f'{A} A' 'A'\n", "strings"),
        ("from hidma.other import lower\ndef f():\n    return lower\n", "an import that is no constant"),
    ],
    ids=lambda value: value.replace(" ", "-") if "\n" not in value else "",
)
def test_what_is_no_constant_stays(fold: Callable[..., Any], text: str, why: str) -> None:
    assert fold(text, other="lower = 3\n").text == text, why


@pytest.mark.parametrize(
    ("body", "folded"),
    [
        ("return A|B", "return 0x30"),
        ("return (A | B) & x", "return (0x30) & x"),
        ("return x[A:B, C]", "return x[0x20:0x10, (-4)]"),
        ("return A.bit_length()", "return (0x20).bit_length()"),
        ("return not-C", "return not 4"),
        ("return x if A else y", "return x if 0x20 else y"),
        ("return x(A, k=A)", "return x(0x20, k=0x20)"),
        ("return [A for z in x]", "return [0x20 for z in x]"),
        ("return lambda: A", "return lambda: 0x20"),
        ("return 'äöü', A, '€', B", "return 'äöü', 0x20, '€', 0x10"),
        ("x.A = A", "x.A = 0x20"),
        ("return other.OTHER + x", "return 0x21 + x"),
        ("return x.other.OTHER", "return x.other.OTHER"),
        ("return errno.EIO", "return 5"),
        ("return 1 + 2", "return 3"),
        ("return 12", "return 12"),
        ("return A + \\\n        x", "return 0x20 + \\\n        x"),
        ("return A + \\\n        B", "return 0x20 + \\\n        0x10"),
        ("class D:\n        E = A\n        def g(self):\n            return A", None),
    ],
)
def test_where_a_constant_is_folded(fold: Callable[..., Any], body: str, folded: str | None) -> None:
    head = "import errno\nfrom hidma import other\nA = 32\nB = 16\nC = -4\ndef f(x):\n    "
    if folded is None:
        folded = body.replace("return A", "return 0x20")
    result = fold(f"{head}{body}\n", other="OTHER = 33\n").text
    assert result == f"{head}{folded}\n"
    compile(result, "x.py", "exec")


def test_folding_keeps_the_number_of_every_line(fold: Callable[..., Any]) -> None:
    text = (
        "from hidma.other import (\n    OTHER,  # why\n    more,\n)\ndef f():\n    x = '''\n    '''\n    return OTHER\n"
    )
    pxd, other_pxd = "from hidma.other cimport more\n", "cdef int more(int x)\n"
    result = fold(text, other="OTHER = 7\n", pxd=pxd, other_pxd=other_pxd).text
    assert result.splitlines()[7] == "    return 7"
    assert len(result.splitlines()) == len(text.splitlines())


def test_constants_are_followed_through_modules_that_import_each_other(fold: Callable[..., Any]) -> None:
    result = fold(
        "from hidma.other import OTHER\nA = 3\ndef f():\n    return A + OTHER\n",
        other="from hidma.x import A\nOTHER = 4\n",
    )
    assert result.text.endswith("return 7\n")


def test_a_wide_number_gets_a_c_type_and_the_same_value(fold: Callable[..., Any]) -> None:
    result = fold(
        "ALL = (1 << 64) - 1\n"
        "def f(x):\n"
        "    return x & 0xFFFFFFFF, x & ALL, x & ~0xFFFFFFFF, x + (1 << 64), x & 0x7FFFFFFF, -1 << 63\n"
    )
    assert "x & _c_0xFFFFFFFF," in result.text
    assert "x & _c_0xFFFFFFFFFFFFFFFF," in result.text
    assert f"x + ({1 << 64})," in result.text, "no C type is wide enough"
    assert "x & 0x7FFFFFFF," in result.text
    assert result.wide == {
        "_c_0xFFFFFFFF": 0xFFFFFFFF,
        "_c_0xFFFFFFFFFFFFFFFF": 0xFFFFFFFFFFFFFFFF,
        "_c_minus_0x100000000": -0x100000000,
        "_c_minus_0x8000000000000000": -(1 << 63),
    }
    assert 'unsigned long long _c_0xFFFFFFFFFFFFFFFF "0xFFFFFFFFFFFFFFFFULL"' in result.declarations()
    assert ' long long _c_0xFFFFFFFF "(4294967295LL)"' in result.declarations()


def test_an_import_of_a_c_function_is_left_to_the_pxd(fold: Callable[..., Any]) -> None:
    pxd = "from hidma.other cimport fast, Thing, both\n"
    other_pxd = (
        "cdef inline int fast(int x) noexcept:\n    return x\ncdef class Thing:\n    pass\ncpdef int both(int x)\n"
    )
    assert fold("from hidma.other import Thing, fast, both\n", pxd=pxd, other_pxd=other_pxd).text == (
        "from hidma.other import Thing, both\n"
    )
    assert fold("from hidma.other import fast\n", pxd=pxd, other_pxd=other_pxd).text == "pass\n"


def test_the_folded_sources_of_the_package_are_still_python(build: ModuleType) -> None:
    folder = build.Folder()
    for name in build.compiled_modules():
        folded = folder.fold(name)
        compile(folded.text, name, "exec")
        source = folder.path(name).read_text(encoding="utf-8")
        assert folded.text.count("\n") == source.count("\n"), name


# --- building in place ------------------------------------------------------------------------------------------------

SAMPLE = {
    "one.py": """\
from errno import EINVAL

SIZE = 32
ALL = (1 << 32) - 1


class Box:
    def __init__(self, n):
        self.n = n

    def add(self, x):
        self.n = (self.n + x) & ALL
        return self.n


def half(x):
    if x > SIZE:
        raise ValueError(-EINVAL)
    return x // 2
""",
    "one.pxd": """\
cdef class Box:
    cdef public unsigned int n
    cpdef unsigned int add(self, unsigned int x) except? 0xdead

cdef int half(int x) except -1
""",
    "two.py": """\
from hidma.one import SIZE, Box, half


def run(n):
    box = Box(n)
    return box.add(SIZE) + half(2)


def fail(n):
    return half(n)
""",
    "two.pxd": """\
cimport cython
from hidma.one cimport Box, half

@cython.locals(box=Box)
cpdef long run(long n) except? -1
""",
    "three.py": "def f():\n    return 3\n",
    "three.pxd": "cpdef int f() except? -1\n",
}


class Sample:
    """A checkout with our build files and loader and three small modules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "hidma"
        if self.package.is_dir():
            return
        self.package.mkdir(parents=True)
        for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md"):
            shutil.copy(ROOT / name, root)
        shutil.copytree(ROOT / "tools" / "staging", root / "tools" / "staging", ignore=shutil.ignore_patterns("__pycache__"))
        (self.package / "machine").mkdir()
        for name in ("__init__.py", "machine/__init__.py", "machine/__init__.pxd", "machine/_mode.py"):
            shutil.copy(ROOT / "hidma" / name, self.package / name)
        for name, text in SAMPLE.items():
            (self.package / name).write_text(text, encoding="utf-8")

    def build(self, **env: str) -> str:
        """Build in place; what is said about it."""
        return self.run("setup.py", "-q", "build_ext", "--inplace", env=env).stderr

    def run(
        self, *args: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HIDMA_", "PYTHON"))}
        done = subprocess.run(
            [sys.executable, *args], cwd=self.root, env=clean | (env or {}), capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def change(self, name: str, old: str, new: str) -> None:
        path = self.package / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def python(self, code: str, check: bool = True, **env: str) -> str:
        done = self.run("-c", code, check=check, env=env)
        return done.stdout + done.stderr

    def extensions(self) -> set[str]:
        return {path.name.removesuffix(SUFFIX) for path in self.package.glob("*.so")}


def compiled_now(said: str) -> set[str]:
    return set(re.findall(r"compiling hidma\.(\w+) ", said))


@pytest.fixture(scope="module")
def no_compiler(build: ModuleType) -> str:
    return build.why_not_compiled()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, no_compiler: str) -> Sample:
    """A sample that was built once; tests leave it as they found it."""
    if no_compiler:
        pytest.skip(f"compiled mode needs what is missing here: {no_compiler}")
    sample = Sample(tmp_path_factory.mktemp("built dir") / "checkout")
    assert compiled_now(sample.build()) == {"_cyshared", "one", "two", "three"}
    return sample


@pytest.fixture
def copy(built: Sample, tmp_path: Path) -> Sample:
    """A built sample to change."""
    shutil.copytree(built.root, tmp_path / "checkout", symlinks=True)
    return Sample(tmp_path / "checkout")


def test_a_built_module_runs_compiled_and_says_by_what(built: Sample) -> None:
    said = built.python(
        "from hidma import two; from hidma.machine import _mode; print(two.__file__); print(_mode.compiled());"
        "print(_mode.why());"
        "print(two.run(2**32 - 1))"
    ).splitlines()
    assert said[0].endswith(SUFFIX)
    assert said[1] == "True"
    assert re.fullmatch(r"compiled by Cython [\d.]+\S* and .+ with .*-O\d.*", said[2])
    assert said[3] == "32", "32 + 0xFFFFFFFF wraps, and half(2) is 1"


def test_hidma_interpreted_passes_the_extension_modules_over(built: Sample) -> None:
    said = built.python(
        "from hidma import one, two; from hidma.machine import _mode; print(one.__file__, two.__file__);"
        "print(_mode.compiled());"
        "print(_mode.why()); print(two.run(2**32 - 1))",
        HIDMA_INTERPRETED="1",
    ).splitlines()
    assert re.fullmatch(r"\S.*one\.py .*two\.py", said[0])
    assert said[1:] == ["False", "interpreted, because HIDMA_INTERPRETED asks for it", "32"]


def test_hidma_interpreted_0_is_the_default(built: Sample) -> None:
    assert built.python("from hidma.machine import _mode; print(_mode.compiled())", HIDMA_INTERPRETED="0") == "True\n"


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_a_traceback_shows_the_lines_of_the_source(built: Sample, interpreted: str) -> None:
    said = built.python("from hidma import two\ntwo.fail(99)", check=False, HIDMA_INTERPRETED=interpreted)
    assert re.search(r'hidma/two\.py", line 10, in .*fail\n    return half\(n\)\n', said)
    assert re.search(r'hidma/one\.py", line 18, in .*half\n    raise ValueError\(-EINVAL\)\n', said)
    assert said.endswith("ValueError: -22\n")


def test_nothing_is_compiled_again_when_nothing_has_changed(built: Sample) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.package.glob("*.so")}
    for path in built.package.glob("*.p*"):
        os.utime(path)
    assert built.build() == ""
    assert {path: path.stat().st_mtime_ns for path in built.package.glob("*.so")} == before


def test_what_depends_on_a_change_is_compiled_again(copy: Sample) -> None:
    copy.change("three.py", "return 3", "return 4")
    assert compiled_now(copy.build()) == {"three"}
    copy.change("one.py", "SIZE = 32", "SIZE = 33")
    assert compiled_now(copy.build()) == {"one", "two"}, "two has the constant of one folded in"
    copy.change("one.pxd", "cdef public unsigned int n", "cdef public unsigned int n, m")
    assert compiled_now(copy.build()) == {"one", "two"}
    assert copy.python("from hidma import three, two; print(three.f(), two.run(1))") == "4 35\n"


def test_a_module_that_is_no_longer_compiled_loses_its_extension_module(copy: Sample) -> None:
    (copy.package / "three.pxd").unlink()
    assert copy.build() == ""
    assert copy.extensions() == {"_cyshared", "one", "two"}


def test_a_lost_extension_module_comes_back(copy: Sample) -> None:
    (copy.package / f"three{SUFFIX}").unlink()
    assert copy.python("from hidma.machine import _mode; print(_mode.compiled()); print(_mode.why())") == (
        "False\npartly compiled, which does not work: no extension module for hidma.three; build again\n"
    )
    assert copy.build() == "", "it is still in the build directory"
    assert "three" in copy.extensions()


def test_a_mistake_in_a_module_fails_the_build_and_names_it(copy: Sample) -> None:
    copy.change("three.py", "return 3", "return undefined_name")
    done = copy.run("setup.py", "-q", "build_ext", "--inplace", check=False)
    assert done.returncode != 0
    assert re.search(r"hidma/three\.py:2:\d+: undeclared name", done.stderr)


STRUCTS = {
    "five.py": """\
from hidma.four import Node, push


class Holder:
    def __init__(self):
        self.node = None
        self.items = [None, None]
        self.done = 0


def told(holder, text):
    raise ValueError(f"{text}: {holder.done}")


def walk(holder, limit):
    \"\"\"How many nodes there are, up to a limit.\"\"\"
    node = holder.node
    holder.done = 0
    while node is not None:
        holder.done += 1
        if holder.done > limit:
            raise ValueError(f"more than {limit}")
        if node.value < 0:
            told(holder, "negative")
        node = node.next
    return holder.done


def keep(holder, index, node):
    holder.items[index] = node
    holder.node = push(node, holder.node)
    return len(holder.items)


def kept(holder, index):
    return holder.items[index]


def head(holder):
    return holder.node
""",
    "five.pxd": """\
cimport cython
from hidma.four cimport Node, push

@cython.final
cdef class Holder:
    cdef public Node node
    cdef public list items
    cdef public int done

@cython.locals(node=Node)
cpdef int walk(Holder holder, int limit) except -1  # struct
cpdef int keep(Holder holder, size_t index, Node node) except -1  # struct
cpdef object kept(Holder holder, size_t index)  # struct inline beside
cpdef Node head(Holder holder)  # struct inline
""",
    "four.py": """\
class Base:
    def __init__(self):
        self.value = 0


class Node(Base):
    def __init__(self, value):
        Base.__init__(self)
        self.value = value
        self.next = None


def push(node, head):
    node.next = head
    return node
""",
    "four.pxd": """\
cdef class Base:
    cdef public int value

cdef class Node(Base):
    cdef public Node next

cpdef Node push(Node node, Node head)  # struct inline
""",
}

STRUCTS_RUN = """
import sys, traceback
from hidma import five, four
from hidma.machine import _mode
assert _mode.compiled() == (sys.argv[1] == "compiled")
holder = five.Holder()
nodes = [four.Node(n) for n in range(3)]
before = [sys.getrefcount(node) for node in nodes] + [sys.getrefcount(None)]
for times in range(2000):
    for i, node in enumerate(nodes):
        assert five.keep(holder, i & 1, node) == 2
    assert five.walk(holder, 5) == 3
    assert five.kept(holder, 0) is nodes[2] and five.kept(holder, 1) is nodes[1]
    assert five.head(holder) is nodes[2]
    holder.node = None
    holder.items[:] = [None, None]
    for node in nodes:
        node.next = None
    assert five.walk(holder, 5) == 0 and five.head(holder) is None
    del node
after = [sys.getrefcount(node) for node in nodes] + [sys.getrefcount(None)]
assert after[:3] == before[:3] and abs(after[3] - before[3]) < 100, (before, after)
for node in nodes:
    five.keep(holder, 0, node)
for call in (lambda: five.walk(holder, 2), lambda: five.keep(holder, 7, nodes[0]), lambda: five.kept(holder, 7)):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, str(error).removeprefix("list assignment ").removeprefix("list "))
nodes[1].value = -1
try:
    five.walk(holder, 9)
except ValueError as error:
    print(error)
"""


def test_functions_with_objects_as_structs_do_what_the_source_says(tmp_path: Path, no_compiler: str) -> None:
    if no_compiler:
        pytest.skip(f"compiled mode needs what is missing here: {no_compiler}")
    sample = Sample(tmp_path / "checkout")
    shutil.copy(ROOT / "hidma" / "structs.h", sample.package)
    for name, text in STRUCTS.items():
        (sample.package / name).write_text(text, encoding="utf-8")
    sample.build()
    made = (next((sample.root / "build").glob("cpython*")) / "src" / "hidma" / "five.pxd").read_text("utf-8")
    assert "cdef inline int _struct_walk(struct_Holder *holder, int limit)" in made
    assert "struct_Node *node" in made
    said = [
        sample.run("-c", STRUCTS_RUN, mode, env=env).stdout
        for mode, env in (("compiled", {}), ("interpreted", {"HIDMA_INTERPRETED": "1"}))
    ]
    assert said[0] == said[1]
    assert said[0].splitlines() == [
        "ValueError more than 2",
        "IndexError index out of range",
        "IndexError index out of range",
        "negative: 2",
    ]


def test_hidma_pure_builds_no_extension_module(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    stale = sample.package / f"one{SUFFIX}"
    stale.touch()
    said = sample.build(HIDMA_PURE="1")
    assert said == "hidma: builds no extension modules, the same sources run interpreted: HIDMA_PURE is set\n"
    assert not stale.exists()
    assert sample.python(
        "from hidma import two; from hidma.machine import _mode; print(_mode.compiled(), two.run(2**32 - 1)); print(_mode.why())"
    ) == ("False 32\ninterpreted, because no extension modules were built: HIDMA_PURE is set\n")


@pytest.mark.parametrize("compiler", ["there-is-no-such-cc", "false"])
def test_without_a_working_compiler_the_build_goes_on_in_one_line(tmp_path: Path, compiler: str) -> None:
    sample = Sample(tmp_path)
    said = sample.build(CC=compiler)
    assert said.count("\n") == 1
    assert said.startswith("hidma: builds no extension modules, the same sources run interpreted: ")
    assert "C compiler" in said
    assert sample.extensions() == set()


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
    wheel = distribute(ROOT, tmp_path / "dist", HIDMA_PURE="1")
    assert wheel.name == f"hidma-{hidma.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= names
    # the C floor of the bench is a source; no other C file is
    assert [name for name in names if name.endswith((".so", ".c", ".part"))] == ["hidma/commands/bench/floor.c"]
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    others = {"setup.py", "pyproject.toml", "LICENSE", "README.md", "tools/hidma", "tools/staging/fold.py", ".ci/run"}
    assert wanted | others <= source
    assert not [name for name in source if name.startswith(("build/", ".venv/")) or name.endswith(".so")]
    metadata = zipfile.ZipFile(wheel).read(f"hidma-{hidma.__version__}.dist-info/METADATA").decode()
    assert "\nLicense-Expression: GPL-2.0-only\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    entry_points = zipfile.ZipFile(wheel).read(f"hidma-{hidma.__version__}.dist-info/entry_points.txt").decode()
    assert "hidma = hidma.commands.main:main" in entry_points
    python = installed(wheel, tmp_path / "env")
    said = subprocess.run(
        [python, "-P", "-c", "import hidma; from hidma.machine import _mode; print(hidma.__version__, _mode.why())"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert said.stdout == (f"{hidma.__version__} interpreted, because no extension modules were built\n"), said.stderr
