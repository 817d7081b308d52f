# SPDX-License-Identifier: GPL-2.0-only
"""The documentation of the files: complete in both directions, well formed, and what the kernel's own tool reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from hidma import firmware
from hidma.commands.abi import entries, tree
from hidma.commands.abi.cli import abi
from hidma.commands.abi.entries import matches, read_file, render, validate, warning, whats
from hidma.commands.abi.texts import AbiDoc

ROOT = Path(__file__).resolve().parent.parent
TESTING = ROOT / "docs" / "abi" / "testing"


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(abi, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_every_file_has_an_entry_and_every_entry_a_file() -> None:
    assert tree.undefined() == []


def test_the_tree_is_more_than_the_drivers_files() -> None:
    drivers = {doc.driver for doc in tree.declared()}
    assert drivers == {"hidma-mgmt", "hidma", "dmatest", "vfio", "core"}
    states = {(file.board, file.state) for file in tree.files()}
    assert states >= {(board, state) for board in tree.BOARDS for state in ("after boot", "with every module")}
    assert ("host", "with a device that VFIO has") in states
    paths = {file.path for file in tree.files() if file.board == "host"}
    for path in ("dmatest/parameters/run", "vfio_iommu_type1/parameters/allow_unsafe_interrupts", "vfio_platform_qcomhidma/refcnt"):
        assert f"/sys/module/{path}" in paths


def test_of_two_entries_that_match_the_closer_one_is_shown() -> None:
    path = "/sys/devices/platform/f9984000.hidma-mgmt/hidma.0/dma/dma0chan0/uevent"
    found = tree.entry_of(path)
    assert found is not None and found.description == "As the uevent file of a device."
    assert tree.entry_of("/sys/module/hdma/parameters/nr_desc_prm").value.unit == "descriptors"
    assert tree.entry_of("/sys/nothing") is None


@pytest.mark.parametrize(("path", "what"), [
    ("/sys/class/dma/dma0chan0/in_use", "/sys/devices/platform/*/dma/dma*chan*/in_use"),
    ("/sys/class/dma/dma3chan0/device/driver/unbind", "/sys/bus/platform/drivers/*/unbind"),
    ("/sys/bus/acpi/devices/QCOM8061:00/physical_node/driver_override", "/sys/devices/platform/*/driver_override"),
    ("/proc/device-tree/model", "/sys/firmware/devicetree/base/**"),
])
def test_show_follows_links(path: str, what: str) -> None:
    status, text = run("show", path)
    assert status == 0
    assert f"What:\t\t{what}\n" in text


def test_a_file_without_documentation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f for f in tree.files() if not (f.doc and f.doc.what[0].endswith("/chid"))]
    only = tuple(d for d in tree.declared() if not d.what[0].endswith("/chid"))
    monkeypatch.setattr(tree, "declared", lambda: only)
    assert len(rows) < len(tree.files())
    lines = tree.undefined()
    assert lines and all("chid" in line and line.endswith("has no entry") for line in lines)


def test_an_entry_without_a_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ghost = AbiDoc(("/sys/devices/platform/*/nothing",), 0o444, "Nothing.")
    assert tree.undefined(docs=(*tree.declared(), ghost)) == ["the entry /sys/devices/platform/*/nothing has no file"]


def test_a_mode_that_is_not_the_documented_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tuple(replace(d, mode=0o600) if d.what[0].endswith("/weight") else d for d in tree.declared())
    monkeypatch.setattr(tree, "declared", lambda: docs)
    assert any("weight (host) has mode 0666, its entry says 0600" in line for line in tree.undefined())


@pytest.mark.parametrize("board", ["host", "acpi"])
def test_a_directory_with_the_files_of_one_kind_of_firmware_lacks_nothing(board: str, tmp_path: Path) -> None:
    for file in tree.files():
        if file.board == board and file.state == "after boot":
            path = tmp_path / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text if file.path == "/proc/version" else "")
            path.chmod(file.mode)
    assert tree.undefined(tmp_path) == []
    victim = next(path for path in tmp_path.rglob("chid"))
    victim.rename(victim.with_name("stray"))
    assert [line.rpartition(" (")[0] for line in tree.undefined(tmp_path)] == [
        f"/{victim.with_name('stray').relative_to(tmp_path)}"]


def test_boards_are_all_that_are_bundled_with_acpi_or_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree.BOARDS == firmware.BOARDS
    names = {doc.what: [what for what in doc.what if tree.needs_acpi(what)] for doc in tree.declared()}
    wanted = {what for paths in names.values() for what in paths}
    if not any(tree.needs_acpi(file.path) for file in tree.files()):
        # as soon as one file of a board with ACPI is there, every entry of that kind has to have one
        top = "/sys/devices/platform/QCOM8060:00"
        one = tree.TreeFile("acpi", "after boot", f"{top}/max_rd_xactions", 0o666, None, "")
        rows = (*tree.files(), one)
        monkeypatch.setattr(tree, "files", lambda: rows)
        there = {what for what in wanted if what.endswith(":*/max_rd_xactions")}
        assert set(tree.undefined()) == {f"the entry {what} has no file" for what in wanted - there}


def copied(top: Path, *gone: str) -> Path:
    """The /sys of the bundled board, as files that anybody can look at; without those whose path ends like ``gone``."""
    for file in tree.files():
        wanted = file.path.startswith("/sys/") and not file.path.endswith(gone or "?")
        if (file.board, file.state) == ("host", "after boot") and wanted:
            path = top / file.path[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.chmod(file.mode)
    return top


def test_a_sys_of_another_kernel_is_held_against_the_drivers_entries(tmp_path: Path) -> None:
    top = copied(tmp_path / "one")
    assert run("undefined", str(top)) == (0, "")
    assert run("undefined", str(top / "sys")) == (0, "")
    top = copied(tmp_path / "two", "/chid", "/power/async")
    path = top / "sys/devices/platform/f9984000.hidma-mgmt"
    (path / "chanops/chan0/colour").touch()
    (path / "max_rd_xactions").chmod(0o644)
    code, out = run("undefined", str(top))
    assert code == 1
    assert set(out.splitlines()) == {
        f"/sys/devices/platform/f9984000.hidma-mgmt/chanops/chan0/colour ({top}) has no entry",
        f"/sys/devices/platform/f9984000.hidma-mgmt/max_rd_xactions ({top}) has mode 0644, its entry says 0666",
        "the entry /sys/devices/platform/*.hidma-mgmt/hidma.*/chid has no file",
        "the entry /sys/devices/platform/*.hidma/chid has no file",
    }


def test_a_sys_without_hidma_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    assert run("undefined", str(tmp_path)) == (1, f"{tmp_path} has no HIDMA device and no HIDMA driver\n")


def test_generated_files_say_what_the_attributes_say() -> None:
    assert tree.stale(TESTING) == []


def test_the_series_entries_keep_its_names_dates_and_versions() -> None:
    entries, problems = read_file(TESTING / "sysfs-platform-hidma-mgmt")
    assert problems == []
    by_path = {e.what[0]: e for e in entries}
    for name in (
        "chanops/chan*/priority",
        "chanops/chan*/weight",
        "chreset_timeout_cycles",
        "dma_channels",
        "hw_version_major",
        "hw_version_minor",
        "max_rd_xactions",
        "max_read_request",
        "max_wr_xactions",
        "max_write_request",
    ):
        for top in ("hidma-mgmt*", "QCOM8060:*"):
            entry = by_path[f"/sys/devices/platform/{top}/{name}"]
            assert (entry.fields["date"], entry.fields["kernelversion"]) == ("Nov 2015", "4.4")
    chid = {e.what[0]: e for e in read_file(TESTING / "sysfs-platform-hidma")[0]}
    assert chid["/sys/devices/platform/hidma-*/chid"].fields["date"] == "Dec 2015"


def test_a_documented_name_that_no_kernel_makes_carries_the_warning() -> None:
    for doc in tree.declared():
        gone = [path for path in doc.documented if path not in doc.what]
        assert bool(warning(doc)) == bool(gone)
        assert "row 27" in render(doc) if gone else True


def test_generated_entries_are_well_formed() -> None:
    assert validate(sorted(TESTING.iterdir())) == []
    # a date or a contact that the kernel does not have is left out and not made up
    strict = [problem.text.partition(" has no ")[2] for problem in validate(sorted(TESTING.iterdir()), strict=True)]
    assert set(strict) <= {"Date", "Contact"}


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("Date:\t\tMay 2015\n", 1, "What comes first, before Date"),
        ("What:\t\t/sys/a\nDate:\t\tMay 2015\nContact:\tx\n", 1, "/sys/a has no Description"),
        ("What:\t\t/sys/a\nContact:\tx\nDescription:\n\t\tText.\n", 1, "/sys/a has no Date"),
        ("What:\t\t/sys/a\nDate:\t\tMay 2015\nDescription:\n\t\tText.\n", 1, "/sys/a has no Contact"),
        (
            "What:\t\t/sys/a\nDate:\t\tsoon\nContact:\tx\nDescription:\n\t\tText.\n",
            1,
            "Date is a month and a year, not 'soon'",
        ),
        (
            "What:\t\tsys/a\nDate:\t\tMay 2015\nContact:\tx\nDescription:\n\t\tText.\n",
            1,
            "What names a path that begins with /, not 'sys/a'",
        ),
        (
            "What:\t\t/sys/a\nWhere:\t\there\n",
            2,
            "the tag 'Where' is none of What, Date, KernelVersion, Contact, Description, Users",
        ),
        (
            "What:\t\t/sys/a\nDate:\t\tMay 2015\nDate:\t\tMay 2015\nContact:\tx\nDescription:\n\t\tText.\n",
            3,
            "Date is there a second time",
        ),
        ("nothing\n", 1, "an entry begins with What, not with 'nothing'"),
        (
            "What:\t\t/sys/a\nDate:\t\tMay 2015\nContact:\tx\nDescription:\n\t\tText.\nloose\n",
            6,
            "a line that continues a field begins with a tab",
        ),
    ],
)
def test_malformed_entries_are_told_with_file_and_line(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    file = tmp_path / "entry"
    file.write_text(text)
    code, out = run("validate", "--strict", str(file))
    assert code == 1
    assert f"{file}:{line}: {sentence}" in out.splitlines()


HEAD = "What:\t\t/sys/a\nDate:\t\tMay 2015\nContact:\tx\nDescription:\n\t\tText.\n"


@pytest.mark.parametrize("text", [
    # two lines of What, blanks in place of tabs, a comma in the date; and an entry without a date or a contact
    "What:\t\t/sys/a/limit\n\t\t/sys/a/limit_max\nDate:\t\tMay, 2019\nKernelVersion:\t5.3\nContact:\tx\n"
    "Description:\n  A limit. The two lines here begin with blanks.\n  More.\n\nWhat:\t\t/sys/a/mode\nDescription:\tRead only.\n",
    "Note: this is a file of its own\n\n" + HEAD,
    "=====\nTitle\n=====\n\n" + HEAD,
    HEAD + "not indented\nNote: a colon\n",
    HEAD.replace("/sys/a", "sys/a"),
    HEAD.replace("May 2015", "12-March-2010"),
    HEAD.replace("May 2015", "May 2010 (scheduled), finally removed in kernel v2.6.37"),
    HEAD.replace("May 2015", "pre-git history"),
])
def test_what_the_kernel_takes_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "entry").write_text(text)
    code, out = run("validate", str(tmp_path / "entry"))
    assert code == 0 and out.splitlines()[:-1] == []
    assert HEAD in text or run("validate", "--strict", str(tmp_path / "entry"))[0] == 1


@pytest.mark.parametrize(("text", "sentence"), [
    (HEAD + "What;\t\t/sys/b\n", "6: 'What;' is no tag; What: is"),
    (HEAD.replace("Contact:", "Contact;"), "3: 'Contact;' is no tag; Contact: is"),
    (HEAD.replace("Date:", "WDate:"), "2: the tag 'WDate' is none of What, Date,"),
    (HEAD.replace("May 2015", "Mai 2012"), "1: Date is 'Mai 2012': May is meant?"),
    (HEAD.replace("May 2015", "Febuary 2006"), "1: Date is 'Febuary 2006': February is meant?"),
    (HEAD.replace("/sys/a", "/x[z-a]"), "1: /x[z-a]: [z-a] is no range; its begin is behind its end, or it is not complete"),
])
def test_mistakes_are_told_whatever_the_style(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "entry").write_text(text)
    code, out = run("validate", str(tmp_path / "entry"))
    assert code == 1 and f"{tmp_path / 'entry'}:{sentence}" in out


@pytest.mark.slow
def test_entries_of_the_kernel_have_mistakes_only_where_they_have_some(kernel_source: Path) -> None:
    files = [path for path in sorted((kernel_source / "Documentation" / "ABI").rglob("*"))
             if path.is_file() and path.name != "README"]
    assert sum(len(read_file(path)[0]) for path in files) == 4060
    problems = validate(files)
    assert {problem.text for problem in problems} == {
        "Date is 'Januar 2011': January is meant?", "Date is 'Mai 2012': May is meant?",
        "Date is 'Januarry, 2022': January is meant?", "Date is 'Febuary 2006': February is meant?",
        "Date is 'Januari 2021': January is meant?",
        "Date is 'Feburary 2018': February is meant?",
        "the tag 'WDate' is none of What, Date, KernelVersion, Contact, Description, Users", "'What;' is no tag; What: is",
        "'KernelVersion' is no tag; KernelVersion: is", "'Date' is no tag; Date: is", "'What' is no tag; What: is",
    }
    assert len(problems) == 29


@pytest.mark.parametrize(("case", "code", "sentence"), [
    ("abi-entry", 0, "2 entries, 0 problems"),
    ("bad-range.abi", 1, "bad-range.abi:1: /x[z-a]: [z-a] is no range; its begin is behind its end, or it is not complete"),
    ("slow-pattern.abi", 0, "1 entry, 0 problems"),
])
def test_small_files_that_were_trouble(case: str, code: int, sentence: str) -> None:
    path = ROOT / "tests" / "data" / "cases" / case
    found, out = run("validate", str(path))
    assert found == code and sentence in out
    assert [what for entry in read_file(path)[0] for what in entry.what if matches(what, "/" + "x" * 5000)] == []


def test_many_wildcards_match_in_a_time_that_is_linear() -> None:
    steps = 0

    class Counted(str):
        def __iter__(self) -> Iterator[str]:
            nonlocal steps
            for char in str(self):
                steps += 1
                yield char

    assert not matches("/" + "*a" * 20 + "b", Counted("/" + "a" * 2000))
    assert steps <= 2001
    assert not matches("/*****************      *    z", "/" + "x" * 5000)
    assert matches("/*a*a*a*z", "/" + "a" * 300 + "z") and not matches("/*a*a*a*z", "/" + "a" * 300)
    assert matches("/**/*a*/b", "/x/y/a/b") and not matches("/*a*a*/b", "/a/a/b")
    assert not matches("/x[z-a]", "/xz")


def test_regular_expression_and_walk_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(14)
    cases = [("".join(random.choices(["a", "b", "/", "*", "**", "?", "<n>", "[ab]", "[ab]+", "..."], k=random.randint(1, 6))),
              "".join(random.choices("ab/", k=random.randint(0, 8)))) for _ in range(2000)]
    monkeypatch.setattr(entries, "ONE_REGEX", 99)
    entries._regex.cache_clear()
    by_regex = [matches(*case) for case in cases]
    monkeypatch.setattr(entries, "ONE_REGEX", -1)
    entries._regex.cache_clear()
    assert [matches(*case) for case in cases] == by_regex
    entries._regex.cache_clear()
    assert 0 < sum(by_regex) < len(cases)


def test_a_path_that_two_entries_claim_is_told(tmp_path: Path) -> None:
    entry = "What:\t\t/sys/a\nDate:\t\tMay 2015\nContact:\tx\nDescription:\n\t\tText.\n"
    (tmp_path / "one").write_text(entry)
    (tmp_path / "two").write_text(entry)
    code, out = run("validate", "--strict", str(tmp_path))
    assert code == 1
    assert f"{tmp_path / 'two'}:1: /sys/a has an entry already, at {tmp_path / 'one'}:1" in out


@pytest.mark.parametrize(
    ("what", "path", "meant"),
    [
        ("/sys/*/a", "/sys/x/a", True),
        ("/sys/*/a", "/sys/x/y/a", False),
        ("/sys/**/a", "/sys/x/y/a", True),
        ("/sys/chan*/w", "/sys/chan12/w", True),
        ("/sys/chan*/w", "/sys/chan12/w2", False),
        ("/sys/chan[0-3]", "/sys/chan2", True),
        ("/sys/chan[0-3]", "/sys/chan4", False),
        ("/sys/<dev>/a", "/sys/x.1/a", True),
        ("/sys/a.b", "/sys/axb", False),
        ("/sys/.../power/control", "/sys/devices/x/power/control", True),
        ("/sys/.../power/control", "/sys/devices/x/control", False),
        ("/dev/fw[0-9]+", "/dev/fw12", True),
        ("/dev/fw[0-9]+", "/dev/fw", False),
        ("/sys/chan?/w", "/sys/chan1/w", True),
        ("/sys/chan?/w", "/sys/chan/w", False),
        ("/sys/a?b", "/sys/a/b", False),
    ],
)
def test_wildcards_match_whole_paths(what: str, path: str, meant: bool) -> None:
    assert matches(what, path) is meant


def test_show_gives_every_field_and_an_example_with_real_output() -> None:
    code, out = run("show", "/sys/devices/platform/f9984000.hidma-mgmt/chanops/chan3/weight")
    assert code == 0
    for part in (
        "What:",
        "Date:\t\tNov 2015",
        "KernelVersion:\t4.4",
        "Sinan Kaya",
        "Mode: 0666",
        "Accepts: 0 to 15",
        "EINVAL",
        "ERANGE",
        "Example:\t# cat /sys/devices/platform/f9984000.hidma-mgmt/chanops/chan0/weight",
    ):
        assert part in out, part
    assert out.rstrip().endswith("1")


def test_example_of_what_is_no_text_is_shown_as_bytes() -> None:
    code, out = run("show", "/sys/firmware/devicetree/base/hidma-mgmt@f9984000/reg")
    assert code == 0
    assert "hexdump -C /sys/firmware/devicetree/base/" in out
    assert re.search(r"^\t\t00000000  [0-9a-f ]{48}  \|.{1,16}\|$", out, re.MULTILINE), out
    assert all(char.isprintable() or char in "\n\t" for char in out)
    path = "/sys/firmware/devicetree/base/model"
    assert tree.shown(path, "ab\0")[1] == ["00000000  61 62 00" + " " * 42 + "|ab.|"]
    assert tree.shown(path, "one\ntwo\n") == (f"cat {path}", ["one", "two"])


def test_list_and_search_and_json() -> None:
    code, out = run("list", "--driver", "hidma")
    assert code == 0 and "0444  hidma       /sys/devices/platform/*.hidma-mgmt/hidma.*/chid" in out
    code, out = run("search", "round.robin")
    assert code == 0 and "chanops/chan*/weight" in out
    assert run("search", "no such words here")[0] == 1
    code, out = run("list", "--json")
    assert code == 0 and any(d["driver"] == "core" for d in json.loads(out))


@pytest.mark.parametrize("args", [("search", "("), ("list", "--driver", "nobody"), ("undefined", "/no/such/place")])
def test_bad_input_gets_a_sentence_and_exit_2(args: tuple[str, ...]) -> None:
    code, out = run(*args)
    assert code == 2
    assert "Error: " in out and "Traceback" not in out


def test_without_a_command_it_shows_its_commands() -> None:
    code, out = run()
    assert code == 0
    assert out.startswith("Usage: ") and "\n  undefined  Show files without an entry" in out


def test_show_of_nothing_says_so() -> None:
    code, out = run("show", "/sys/nothing")
    assert code == 1 and "nothing in the tree is called '/sys/nothing'" in out


def test_the_kernels_own_tool_reads_the_files_and_finds_each_symbol(kernel_source: Path) -> None:
    tool = kernel_source / "scripts" / "get_abi.pl"
    if shutil.which("perl") is None:
        pytest.skip("the kernel's tool is written in Perl: apt-get install perl")
    done = subprocess.run(["perl", tool, "--dir", TESTING.parent, "validate"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = subprocess.run(["perl", tool, "--dir", TESTING.parent, "search", "."], capture_output=True, text=True)
    assert found.stderr == ""
    titles = set(re.findall(r"^(/.*)\n-{3,}$", found.stdout, re.MULTILINE))
    assert titles == {path for doc in tree.declared() for path in whats(doc)}


def test_core_files_say_that_they_are_the_cores() -> None:
    modalias = tree.entry_of("/sys/devices/platform/hidma.0/modalias")
    assert modalias is not None and "of the kernel's core" in render(modalias)
