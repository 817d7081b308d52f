# SPDX-License-Identifier: GPL-2.0-only
"""`hidma portmap`: the map against the inventory, the port and the recorded runs, and trees and patches that people give
it, among them those that are something else."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c_tree
import pytest

from hidma.commands.main import main
from hidma.commands.portmap import measure, names, port, series, tokens
from hidma.commands.portmap.compare import compare
from hidma.commands.portmap.csource import evaluate, read_file
from hidma.commands.portmap.series import PATCHES, SOURCES, v14
from hidma.commands.portmap.tree import TreeError, from_kernel, from_patch

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
LL = "drivers/dma/qcom/hidma_ll.c"
MGMT = "drivers/dma/qcom/hidma_mgmt.c"
SYS = "drivers/dma/qcom/hidma_mgmt_sys.c"
SHIPPED = series.bodies()


@pytest.fixture(autouse=True)
def made_bodies(request: pytest.FixtureRequest) -> Iterator[None]:
    """Trees that are made here count as V14; a real kernel is compared with V14's own hashes."""
    if {"kernel_source", "v14_s_own"} & set(request.fixturenames):
        yield
        return
    with c_tree.as_v14():
        yield


@pytest.fixture
def v14_s_own() -> None:
    """For a test that looks at the facts that are shipped."""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """`hidma ARGUMENTS`: status, stdout, stderr."""
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """`hidma portmap --json ARGUMENTS`."""
    status, out, err = run(capsys, "portmap", "--json", *arguments)
    assert (status, err) == (0, "")
    loaded: dict[str, Any] = json.loads(out)
    return loaded


# --- the map ----------------------------------------------------------------------------------------------------------


def test_facts_are_those_of_the_inventory() -> None:
    assert [source.path for source in SOURCES] == list(c_tree.INVENTORY["files"])
    assert {path for patch in PATCHES for path in patch.files} == {source.path for source in SOURCES}


def test_every_function_has_a_place_that_is_its_definition(capsys: pytest.CaptureFixture[str]) -> None:
    checked = 0
    for file in facts(capsys)["files"]:
        if file["here"] is None:
            continue
        text = (port.TOP / file["here"]).read_text().splitlines()
        for function in file["functions"]:
            if function["without"]:
                assert function["here"] is None
                continue
            place = function["here"]
            first = text[place["first"] - 1]
            assert re.match(rf"(def )?{function['name']}\b|.*\b{function['name']}\b.*=", first), (first, function["name"])
            checked += 1
    assert checked >= 80


def test_constants_structs_parameters_and_ids_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for file in facts(capsys)["files"]:
        if file["here"] is None:
            continue
        inventory = c_tree.INVENTORY["files"][file["path"]]
        values = {c["name"]: c["value"] for c in file["constants"]}
        assert values == inventory.get("defines", {}) | {
            n: v for e in inventory.get("enums", {}).values() for n, v in e.items()}
        assert all(c["here"] for c in [*file["constants"], *file["structs"], *file["macros"], *file["parameters"]])
        assert file["ids"]["device_tree"] == inventory.get("dt_ids", [])


@pytest.mark.slow
def test_runs_and_lines_are_what_is_measured() -> None:
    """Replays every recording once more. `python -m hidma.commands.portmap.measure tests/data/golden tests/data/quirks` renews."""
    code = ("import sys, hidma.commands.portmap.measure as m; "
            "sys.stdout.write(m.text(m.measure(sys.argv[1:])))")
    done = subprocess.run([sys.executable, "-c", code, str(DATA / "golden"), str(DATA / "quirks")], capture_output=True,
                          text=True, env={**os.environ, "HIDMA_INTERPRETED": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == measure.RESULT.read_text(), "the port has changed: measure again"


def test_a_function_lists_its_runs_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "portmap", "hidma_cleanup_pending_tre")
    assert status == 0
    assert "drivers/dma/qcom/hidma_ll.c, lines " in out
    assert "hidma/ll.py:" in out
    assert "ll_cleanup_skips_empty_slot" in out
    assert "row 5, V14:" in out and "row 38, V14:" in out
    assert "read it at sbourdelin/linux" in out


def test_function_made_by_a_macro(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "portmap", "set_max_wr_xactions")
    assert "made by IMPLEMENT_GETSET" in out and "hidma/mgmt_sys.py:" in out


@pytest.mark.parametrize("name", ["hidma_ll.c", LL, "hidma/ll.py", "ll.py", "hidma.ll", "./hidma/ll.py"])
def test_a_file_by_any_of_its_names(capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, out, _ = run(capsys, "portmap", name)
    assert status == 0
    assert out.startswith(f"{LL}: 927 lines -> hidma/ll.py\n")
    assert "FUNCTION" in out and "TRCA_DOORBELL_OFFSET" in out
    assert "hidma.c:" not in out


def test_whole_map_says_how_to_get_the_series(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "portmap")
    flat = " ".join(out.split())
    assert "lore.kernel.org" in flat and "gcc at -O2 and -O0" in flat
    assert all(source.path in out for source in SOURCES)


def test_constant_struct_field_and_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    assert "TRE_SIZE = 0x20" in run(capsys, "portmap", "TRE_SIZE")[1]
    assert "tre_write_offset: u32" in run(capsys, "portmap", "hidma_lldev")[1]
    assert "struct hidma_lldev" in run(capsys, "portmap", "tre_write_offset")[1]
    assert "nr_desc_prm" in run(capsys, "portmap", "nr_desc_prm")[1]


def test_unknown_name_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "portmap", "hidma_ll_setpu") == (
        2, "", "hidma: neither V14 nor the port has a file, function, constant, struct, field, parameter, id or attribute called "
               "'hidma_ll_setpu'; did you mean hidma_ll_setup?\n")


# --- reading C --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [
    ("0x10", 16), ("010", 8), ("10UL", 10), ("BIT(3) | BIT(1)", 10), ("GENMASK(7, 4)", 0xF0), ("(1 << 5) - 1", 31),
    ('"text"', "text"), ("SIZE * 2", 64), ("~0", -1), ("S_IRUGO | S_IWUSR", 0o644), ("(u64)(1) << 40", 1 << 40),
    ("sizeof(u32)", "sizeof(u32)"), ("1 <<", "1 <<"), ("BIT(1000000000)", "BIT(1000000000)"), ("1 / 0", "1 / 0"), ("", ""),
])
def test_expressions(text: str, value: Any) -> None:
    assert evaluate(text, {"SIZE": 32}) == value


def test_both_sides_of_every_if_are_read() -> None:
    file = read_file("x.c", b"""
#ifdef CONFIG_A
static int one(void)
{
	return 1;
}
#else
static int one(int x)
{
	return x;
}
#if IS_ENABLED(CONFIG_B)
int two(void) { return 2; }
#endif
#endif
#ifndef CONFIG_C
static void __init three(struct x __iomem *p) { }
#endif
""")
    assert [(f.name, f.first, f.last, f.condition) for f in file.functions] == [
        ("one", 3, 6, "CONFIG_A"), ("one", 8, 11, "!(CONFIG_A)"), ("two", 13, 13, "!(CONFIG_A) && IS_ENABLED(CONFIG_B)"),
        ("three", 17, 17, "!CONFIG_C")]
    assert file.functions[-1].signature == "static void three(struct x *)"


def test_functions_that_macros_make() -> None:
    file = read_file("x.c", (c_tree.GETSET + """
#define NOTHING(name) do { } while (0)
IMPLEMENT_GETSET(first)
IMPLEMENT_GETSET(second)
DEFINE_SHOW_ATTRIBUTE(third);
static int plain(void)
{
	return 0;
}
""").encode())
    made = [(f.name, f.first, f.macro) for f in file.functions]
    assert made == [("get_first", 12, "IMPLEMENT_GETSET"), ("set_first", 12, "IMPLEMENT_GETSET"),
                    ("get_second", 13, "IMPLEMENT_GETSET"), ("set_second", 13, "IMPLEMENT_GETSET"),
                    ("third_open", 14, "DEFINE_SHOW_ATTRIBUTE"), ("plain", 15, "")]
    assert file.functions[1].params == ("struct hidma_mgmt_dev *", "u64")


# --- comparing --------------------------------------------------------------------------------------------------------


def kinds(tree: Path, change: Any = None) -> list[tuple[str, str, str]]:
    """The differences of a tree that is not V14's lines."""
    top = c_tree.write(tree, change) if change is not None else c_tree.write(tree)
    return [(d.kind, d.what, d.name) for d in compare(from_kernel(top)).differences
            if not (d.kind == "moved" and d.what == "function")]


def test_tree_with_all_the_facts_has_no_difference(tmp_path: Path) -> None:
    top = c_tree.write(tmp_path / "linux")
    tree = from_kernel(top)
    assert tree.called == "Linux 4.5-rc1"
    assert kinds(tmp_path / "again") == []
    for path, file in tree.files.items():
        made = [f for f in v14()[path].functions if f.macro]
        assert len([f for f in file.functions if f.macro]) == len(made)
        assert len(file.functions) == len(v14()[path].functions)


def edit(wanted: str, *replacements: tuple[str, str]) -> Any:
    """A change of one file."""
    def change(path: str, text: str) -> str:
        if path == wanted:
            for old, new in replacements:
                assert old in text
                text = text.replace(old, new)
        return text
    return change


@pytest.mark.parametrize(("change", "found"), [
    (edit(MGMT, ("#define HIDMA_QOS_N_OFFSET 0x300", "#define HIDMA_QOS_N_OFFSET 0x700")),
     ("value", "constant", "HIDMA_QOS_N_OFFSET")),
    (edit(LL, ("#define TRCA_CTRLSTS_OFFSET", "#define HIDMA_TRCA_CTRLSTS_REG")), ("renamed", "constant", "TRCA_CTRLSTS_OFFSET")),
    (edit(LL, ("hidma_ll_pause(", "hidma_ll_disable(")), ("renamed", "function", "hidma_ll_pause")),
    (edit(LL, ("hidma_ll_isenabled(", "completely_else(")), ("missing", "function", "hidma_ll_isenabled")),
    (edit(LL, ("static void hidma_ll_enable_irq(", "static int hidma_ll_enable_irq(")),
     ("type", "function", "hidma_ll_enable_irq")),
    (edit("drivers/dma/qcom/hidma.h", ("\ts32 pending_tre_count;", "\tatomic_t pending_tre_count;")),
     ("type", "field", "hidma_lldev.pending_tre_count")),
    (edit("drivers/dma/qcom/hidma.c", ("nr_desc_prm", "nr_descriptors")), ("missing", "parameter", "nr_desc_prm")),
    (edit("drivers/dma/qcom/hidma.c", ("qcom,hidma-1.0", "qcom,hidma-1.1")), ("missing", "id", "qcom,hidma-1.0")),
    (edit("drivers/dma/qcom/hidma.c", ("qcom,hidma-1.0", "qcom,hidma-1.1")), ("body", "initialiser", "ids_of")),
    (edit(LL, ("u32 p1)\n{\n", "u32 p1)\n{ return;\n")), ("body", "function", "hidma_ll_free")),
])
def test_what_differs_is_found(tmp_path: Path, change: Any, found: tuple[str, str, str]) -> None:
    assert found in kinds(tmp_path / "linux", change)


def test_constant_that_moved_to_another_file(tmp_path: Path) -> None:
    def change(path: str, text: str) -> str:
        if path == LL:
            return text.replace("\tTRE_MEMCPY = 3,\n", "")
        return text.replace("#define TRE_SIZE 0x20\n", "#define TRE_SIZE 0x20\n#define HIDMA_TRE_MEMCPY 3\n")
    top = c_tree.write(tmp_path / "linux", change)
    moved = [d for d in compare(from_kernel(top)).differences if d.name == "TRE_MEMCPY"]
    assert [(d.kind, d.v14, d.there) for d in moved] == [("moved", "hidma_ll.c", "hidma.h as HIDMA_TRE_MEMCPY")]


def test_difference_that_quirks_know_is_explained_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", edit(MGMT, ("HIDMA_QOS_N_OFFSET 0x300", "HIDMA_QOS_N_OFFSET 0x700")))
    status, out, err = run(capsys, "portmap", "hidma_mgmt.c", "--kernel", str(top))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    at = lines.index("        value constant HIDMA_QOS_N_OFFSET: 0x300 -> 0x700")
    assert lines[at + 1].startswith("            row 25, V14: QOS_N is at 0x300 + 4n.")
    assert "later: QOS_N is at 0x700 + 4n" in lines[at + 2]


def test_table_shows_the_lines_of_the_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", edit(LL, ("/* made by a test */", "/* made\n * by a test */")))
    found = facts(capsys, "hidma_ll_setup", "--kernel", str(top))["files"][0]["functions"][0]
    assert found["there"]["first"] > found["first"] - 200
    assert found["there"]["last"] - found["there"]["first"] == found["last"] - found["first"]


# --- patches ----------------------------------------------------------------------------------------------------------


def test_series_as_an_mbox(tmp_path: Path) -> None:
    path = tmp_path / "series.mbox"
    path.write_text(c_tree.mbox())
    tree = from_patch(path)
    assert tree.called == "V14, 5 patches"
    differences = [d for d in compare(tree).differences if d.file in tree.files and d.what != "function"]
    assert differences == []
    assert len(tree.files[LL].functions) == len(v14()[LL].functions)


def test_gzipped_mbox_and_directory_of_patches(tmp_path: Path) -> None:
    packed = tmp_path / "t.mbox.gz"
    packed.write_bytes(gzip.compress(c_tree.mbox().encode()))
    assert from_patch(packed).called == "V14, 5 patches"
    directory = tmp_path / "patches"
    directory.mkdir()
    for number, text in enumerate(c_tree.mbox().split("From 0123456789")[1:], 1):
        (directory / f"{number:04}-x.patch").write_text("From 0123456789" + text)
    assert from_patch(directory).called == "V14, 5 patches"


def test_replies_and_older_versions_do_not_count(tmp_path: Path) -> None:
    old = c_tree.mail(5, "dma: old", c_tree.new_file(LL, "int wrong;\n"), "V13 ")
    reply = c_tree.mail(5, "x", c_tree.new_file(LL, "int wrong;\n")).replace("Subject: ", "Subject: Re: ")
    path = tmp_path / "series.mbox"
    path.write_text(old + c_tree.mbox() + reply)
    assert len(from_patch(path).files[LL].functions) == len(v14()[LL].functions)


def test_later_patch_changes_what_an_earlier_one_made(tmp_path: Path) -> None:
    text = c_tree.c_file(c_tree.INVENTORY["files"][LL])
    number = text.splitlines().index("#define EVRE_SIZE 0x10")
    change = (f"--- a/{LL}\n+++ b/{LL}\n@@ -{number + 1},1 +{number + 1},2 @@\n-#define EVRE_SIZE 0x10\n"
              "+#define EVRE_SIZE 0x20\n+#define EXTRA 1\n")
    path = tmp_path / "series.mbox"
    path.write_text(c_tree.mbox() + c_tree.mail(7, "more", change))
    tree = from_patch(path)
    assert tree.files[LL].defines["EVRE_SIZE"] == 32 and tree.files[LL].defines["EXTRA"] == 1
    path.write_text(c_tree.mbox() + c_tree.mail(7, "more", change.replace("-#define EVRE_SIZE 0x10", "-#define OTHER 1")))
    with pytest.raises(TreeError, match=r"'\[PATCH V14 7/9\] more' does not fit on the patches before it in .*hidma_ll.c"):
        from_patch(path)


def test_of_a_file_that_patches_only_change_nothing_is_said_to_be_missing(tmp_path: Path) -> None:
    common = "drivers/vfio/platform/vfio_platform_common.c"
    change = (f"--- a/{common}\n+++ b/{common}\n@@ -40,3 +40,4 @@ static int before(void)\n int a;\n-int b;\n+int c;\n+int d;\n"
              " int e;\n")
    path = tmp_path / "series.mbox"
    path.write_text(c_tree.mbox() + c_tree.mail(8, "vfio", change))
    tree = from_patch(path)
    assert tree.files[common].partial
    assert not compare(tree).of(common)


# --- what is something else -------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence."""
    status, out, err = run(capsys, "portmap", *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("hidma: ")
    return err


def test_tree_without_the_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "linux" / "drivers").mkdir(parents=True)
    (tmp_path / "linux" / "Makefile").write_text("VERSION = 4\nPATCHLEVEL = 4\nSUBLEVEL = 0\n")
    assert "(Linux 4.4) has not got the series" in refused(capsys, "--kernel", str(tmp_path / "linux"))
    assert "is no kernel tree: it has no directory drivers/" in refused(capsys, "--kernel", str(tmp_path))
    assert "there is no such directory" in refused(capsys, "--kernel", str(tmp_path / "nothing"))
    (tmp_path / "file").write_text("")
    assert "is a file; --patch reads patches" in refused(capsys, "--kernel", str(tmp_path / "file"))


def test_directory_inside_the_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux")
    assert "name the top of the kernel tree" in refused(capsys, "--kernel", str(top / "drivers" / "dma" / "qcom"))


def test_half_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", lambda path, text: None if "_ll" in path or "_dbg" in path else text)
    assert ("has only a part of the series: drivers/dma/qcom/hidma_ll.c and drivers/dma/qcom/hidma_dbg.c are missing"
            in refused(capsys, "--kernel", str(top)))


def test_half_a_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "half.mbox"
    path.write_text(c_tree.mbox(lambda path, text: None if "_ll" in path else text))
    assert "hidma_ll.c is missing (patch 5 of 9)" in refused(capsys, "--patch", str(path))


def test_patch_of_another_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.patch"
    path.write_text(c_tree.mail(1, "net: something", c_tree.new_file("drivers/net/x.c", "int x;\n"), of=1))
    assert "is another series: it changes drivers/net/x.c and none of drivers/dma/qcom/hidma*" in refused(
        capsys, "--patch", str(path))


def test_file_that_is_no_patch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text"
    path.write_text("Dear list,\nthere is no patch here.\n")
    assert "holds no patch" in refused(capsys, "--patch", str(path))
    path.write_bytes(bytes(range(256)))
    assert "holds no patch" in refused(capsys, "--patch", str(path))
    path.write_text(c_tree.mail(4, "broken", f"--- a/{LL}\n+++ b/{LL}\n@@ -1,9 +1,9 @@\n one\n"))
    assert "is damaged" in refused(capsys, "--patch", str(path))
    assert "no such file" in refused(capsys, "--patch", str(tmp_path / "none"))


@pytest.mark.parametrize("data", [
    gzip.compress(b"x" * 1000)[:20],
    bytes.fromhex("1f8b0800000000000003") + b"garbagegarbage",
    gzip.compress(b"x" * 1000)[:-8] + bytes(8),
], ids=["cut", "garbage", "checksum"])
def test_damaged_gzip_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    (tmp_path / "bad.mbox.gz").write_bytes(data)
    assert "is damaged: its gzip data cannot be unpacked" in refused(capsys, "--patch", str(tmp_path / "bad.mbox.gz"))


def test_fix_of_one_file_is_compared_and_not_called_the_series(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "portmap", "hidma.c", "--patch", str(DATA / "cases" / "fix.patch"))
    assert status == 0 and "no differences" in out
    assert "is not the series but a change to hidma.c: only the lines that it shows are compared" in err
    status, out, err = run(capsys, "portmap", "--patch", str(DATA / "cases" / "fix.patch"))
    assert status == 0 and "missing file" not in out


def test_fix_that_changes_a_function_shows_what_it_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = "drivers/dma/qcom/hidma_ll.c"
    lines = c_tree.c_file(c_tree.INVENTORY["files"][path]).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("void hidma_ll_free("))
    body = [f" {line}" for line in lines[at:at + 18]]
    body.insert(2, "+\treturn;")
    diff = f"--- a/{path}\n+++ b/{path}\n@@ -{at + 1},18 +{at + 1},19 @@\n" + "\n".join(body) + "\n"
    (tmp_path / "fix.patch").write_text(c_tree.mail(1, "fix", diff, of=1))
    tree = from_patch(tmp_path / "fix.patch")
    assert [(d.kind, d.name) for d in compare(tree).differences if d.kind == "body"] == [("body", "hidma_ll_free")]


def test_latin_1_is_read_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", edit(LL, ("made by a test", "made by J\xf6rg")))
    status, out, err = run(capsys, "portmap", "hidma_ll.c", "--kernel", str(top))
    assert status == 0 and "no differences" in out or "moved functions" in out
    assert err == f"hidma: {LL} is not UTF-8 and was read as Latin-1\n"


def test_files_that_are_no_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", lambda path, text: "nothing\n")
    assert "no function was found in the files of the series; are they C?" in refused(capsys, "--kernel", str(top))
    again = c_tree.write(tmp_path / "nul", lambda path, text: "int x;\0\n")
    assert "has NUL bytes in it" in refused(capsys, "--kernel", str(again))


def test_both_copies_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give one of them" in refused(capsys, "--kernel", "a", "--patch", "b")


def test_without_the_extra_the_map_is_there_and_a_copy_says_what_is_missing(tmp_path: Path) -> None:
    top = c_tree.write(tmp_path / "linux")
    code = ("import sys; sys.modules['tree_sitter'] = sys.modules['tree_sitter_c'] = sys.modules['unidiff'] = None\n"
            "from hidma.commands.main import main; sys.exit(main(sys.argv[1:]))")
    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, "portmap", *arguments], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert start("hidma_ll_setup").returncode == 0
    for option in ("--kernel", "--patch"):
        done = start(option, str(top))
        assert done.returncode == 2
        assert "[source]'" in done.stderr and "this needs the Python module" in done.stderr and done.stderr.count("\n") == 1


def test_body_is_the_same_whatever_its_comments_spaces_and_decorations(tmp_path: Path) -> None:
    top = c_tree.write(tmp_path / "linux", edit(LL, ("u32 p1)\n{\n", "u32 p1)\n\n{ /* why */\n\n")))
    assert [d for d in compare(from_kernel(top)).differences if d.kind == "body"] == []
    assert tokens.digest('a(X_OFFSET, "b" "c"); // d') == tokens.digest('a ( HIDMA_X_REG,\n"bc" ) /* e */ ;')
    assert tokens.digest("a + b") != tokens.digest("a - b")
    assert tokens.digest("f(x)") != tokens.digest("f(y)")


def test_shipped_hashes_are_of_every_function_and_hold_no_text() -> None:
    for path, file in c_tree.INVENTORY["files"].items():
        functions = [f["name"] for key in ("functions", "macro_generated_functions") for f in file.get(key, [])]
        if not functions:
            continue
        shipped = SHIPPED[path]
        assert sorted(shipped["functions"]) == sorted(set(functions)), path
        for hashes in [*shipped["functions"].values(), shipped["initialisers"].values()]:
            assert all(re.fullmatch("[0-9a-f]{12}", each) for each in hashes), path
    assert len(SHIPPED["drivers/vfio/platform/vfio_platform_common.c"]["functions"]["vfio_platform_probe_acpi"]) == 2


@pytest.mark.slow
def test_changed_bodies_of_6_1(kernel_source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {(d.name): d for d in compare(from_kernel(kernel_source)).differences if d.kind == "body"}
    assert found["hidma_tx_status"].rows == (18,)
    assert (found["hidma_mgmt_files"].what, found["hidma_mgmt_files"].rows) == ("initialiser", (26,))
    assert found["hidma_ll_enable"].rows == (12,) and found["hidma_ll_pause"].rows == (13,)
    same = {"hidma_ll_free", "hidma_ll_reset", "hidma_mgmt_setup", "set_priority", "set_weight", "show_values_channel",
            "hidma_mgmt_init_sys", "hidma_chirq_handler", "hidma_terminate_all", "hidma_chan_stats", "get_max_wr_xactions"}
    assert not same & set(found)
    status, out, err = run(capsys, "portmap", "hidma_tx_status", "--kernel", str(kernel_source))
    assert (status, err) == (0, "") and "body   other tokens than in V14" in out
    status, out, err = run(capsys, "portmap", "hidma_mgmt_sys.c", "--kernel", str(kernel_source))
    assert "changed body of initialiser hidma_mgmt_files" in out and "row 26, V14: All users may write" in out


@pytest.mark.slow
def test_debian_s_own_source(kernel_source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {file["path"]: file for file in facts(capsys, "--kernel", str(kernel_source))["files"]}
    assert found[LL]["there"]["functions"] == 22
    assert found["drivers/dma/qcom/hidma.c"]["there"]["functions"] == 33
    assert found[SYS]["there"]["made_by_macros"] == 16
    values = [d for d in found[MGMT]["differences"] if d["kind"] == "value"]
    assert [(d["name"], d["there"], d["rows"][0]["row"]) for d in values] == [("HIDMA_QOS_N_OFFSET", "0x700", 25)]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "first"), [
    ("HIDMA_EVCA_WRITE_PTR_REG",
     "HIDMA_EVCA_WRITE_PTR_REG: V14 has it as EVCA_WRITE_PTR_OFFSET\nconstant EVCA_WRITE_PTR_OFFSET = 0x20"),
    ("EVCA_WRITE_PTR", "EVCA_WRITE_PTR: V14 has it as EVCA_WRITE_PTR_OFFSET"),
    ("hidma_ll_disable", "hidma_ll_disable: V14 has it as hidma_ll_pause\nint hidma_ll_pause(struct hidma_lldev *)"),
    ("hidma_ll_pause()", "int hidma_ll_pause(struct hidma_lldev *)"),
    ("HidmaLldev", "HidmaLldev: HidmaLldev is the class of struct hidma_lldev\nstruct hidma_lldev"),
    ("struct hidma_lldev", "struct hidma_lldev"),
    ("ch_state", "enum ch_state\n    C     drivers/dma/qcom/hidma_ll.c\n    here  hidma/ll.py:"),
    ("qcom,hidma-1.0", "id qcom,hidma-1.0\n    C     drivers/dma/qcom/hidma.c\n    here  hidma/channel.py:"),
    ("QCOM8060", "id QCOM8060\n    C     drivers/dma/qcom/hidma_mgmt.c\n    here  hidma/mgmt.py:"),
    ("desc-count", "property desc-count\n    C     drivers/dma/qcom/hidma.c\n    here  hidma/channel.py:"),
    ("chid", "attribute chid\n    C     drivers/dma/qcom/hidma.c\n    here  hidma/channel.py:"),
    ("hidma_mgmt_files", "initialiser hidma_mgmt_files\n    C     drivers/dma/qcom/hidma_mgmt_sys.c\n    here  hidma/mgmt_sys.py:"),
    ("vfio_platform_irq.c", "drivers/vfio/platform/vfio_platform_irq.c -> hidma/vfio_platform/irq.py"),
    ("reset_plugins/amdxgbe.py", "drivers/vfio/platform/reset/vfio_platform_amdxgbe.c -> reset_plugins/amdxgbe.py"),
    ("dmatest.c", "drivers/dma/dmatest.c -> hidma/linux/dmatest.py"),
    ("vfio_set_trigger", "drivers/vfio/platform/vfio_platform_irq.c -> hidma/vfio_platform/irq.py"),
])
@pytest.mark.usefixtures("v14_s_own")
def test_name_is_found(capsys: pytest.CaptureFixture[str], name: str, first: str) -> None:
    status, out, err = run(capsys, "portmap", name)
    assert (status, err) == (0, "") and out.startswith(first)


def test_every_ported_file_is_in_the_map() -> None:
    ported = [path for top in ("hidma", "hidma/vfio_platform", "reset_plugins") for path in sorted((ROOT / top).glob("*.py"))
              if "Stands for ``drivers/" in path.read_text()]
    assert len(ported) > 12
    assert {str(path.relative_to(ROOT)) for path in ported} <= set(names.files())


@pytest.mark.usefixtures("v14_s_own")
def test_place_of_a_name_has_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    for group in names.names().values():
        for each in group:
            place = each.place
            if each.name in port.NO_FUNCTION or place is None:
                assert each.kind in ("function", "initialiser", "driver", "macro", "field"), each
                continue
            text = "\n".join((ROOT / place.path).read_text().splitlines()[place.first - 1:place.last])
            assert each.kind == "enum" or each.name in text or port.camel(each.name) in text, each


def test_pattern_lists_names(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "portmap", "EVCA_IRQ_*")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", *["EVCA_IRQ_STAT_OFFSET", "EVCA_IRQ_CLR_OFFSET"],
                                                              *["EVCA_IRQ_EN_OFFSET"] * 2]
    listed = facts(capsys, "hidma_ll_[fs]*")["names"]
    assert {"hidma_ll_free", "hidma_ll_start", "hidma_ll_setup", "hidma_ll_status"} <= {each["name"] for each in listed}
    assert "no name of the series matches 'nothing_*'" in refused(capsys, "nothing_*")


def test_name_that_only_the_tree_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = c_tree.write(tmp_path / "linux", edit(LL, ("/* made by a test */", "void brand_new(void) { }")))
    status, out, err = run(capsys, "portmap", "brand_new", "--kernel", str(top))
    assert (status, err) == (0, "") and "new function brand_new: line 1" in out
    assert "called 'brand_new'" in refused(capsys, "brand_new")
