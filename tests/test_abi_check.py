# SPDX-License-Identifier: GPL-2.0-only
"""The entries against a machine: what they say is so, and a wrong entry or a wrong attribute is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hidma import mgmt_sys
from hidma.commands.abi import check as checks
from hidma.commands.abi import tree
from hidma.commands.abi.check import check, is_shown, writes
from hidma.commands.abi.cli import abi
from hidma.commands.abi.entries import read_file, render
from hidma.commands.abi.texts import AbiDoc, Value
from hidma.linux import base, dmatest, vfio, vfio_iommu_type1
from hidma.linux.errno import EBUSY, EINVAL, EIO
from hidma.linux.kstrtox import kstrtoul

HERE = Path(__file__).resolve().parent
PROJECT = HERE / "data" / "abi_project"
KERNEL = json.loads((HERE / "data" / "abi_kernel.json").read_text())


def entry(name: str) -> AbiDoc:
    """The entry of an attribute, or of an ioctl."""
    return next(doc for doc in tree.declared() if doc.what[0].endswith(name))


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["hidma-mgmt", "hidma", "dmatest", "vfio", "core"])
def test_every_entry_is_so_on_a_machine(driver: str) -> None:
    docs = tuple(doc for doc in tree.declared() if doc.driver == driver)
    assert docs and check(docs) == []
    for doc in docs:
        # each file that can be written, and each ioctl, is tried with something that is refused or taken
        if doc.values():
            assert list(writes(doc.value)) or doc.tries, doc.what
        assert doc.ioctl or doc.value.kind in ("number", "word", "bool", "text", "bytes"), doc.what


def test_every_errno_of_an_entry_is_provoked() -> None:
    """All but those that need a reader that does not wait, memory that is short, or a device without a reset function."""
    apart = {("/dev/kmsg", "EAGAIN"), ("VFIO_SET_IOMMU", "ENODEV"), ("VFIO_GROUP_SET_CONTAINER", "EBADF"),
             ("VFIO_GROUP_UNSET_CONTAINER", "EINVAL"), ("VFIO_GROUP_GET_DEVICE_FD", "EINVAL"), ("VFIO_DEVICE_RESET", "EINVAL"),
             ("VFIO_IOMMU_MAP_DMA", "ENOMEM")}
    left = set()
    for doc in tree.declared():
        tried = {errno for _, errno, _ in writes(doc.value)} | {one[1] for one in doc.tries}
        if doc.ioctl:
            tried = {errno for _, errno in doc.ioctl.wrong} | ({"EINVAL", "EFAULT"} if doc.ioctl.struct else set())
        name = doc.ioctl.name if doc.ioctl else doc.what[0]
        left |= {(name, errno) for errno, _ in doc.errors() if errno not in tried}
    assert left == apart


def test_a_number_is_tried_at_its_ends_and_beyond() -> None:
    value = Value("number", 1, 9, cut=32, beyond="EDOM", bad="EINVAL")
    tried = {text: (errno, shown) for text, errno, shown in writes(value)}
    assert tried["1"] == ("", "1") and tried["9"] == ("", "9") and tried["0x9"] == tried["011"] == ("", "9")
    assert tried["0"][0] == tried["10"][0] == "EDOM" and tried["x"][0] == tried["-1"][0] == "EINVAL"
    assert tried[str(1 << 64)][0] == "ERANGE" and tried[str((1 << 32) + 9)] == ("", "9")
    some = {text: errno for text, errno, _ in writes(Value("number", values=(128, 256), beyond="EINVAL"))}
    assert some["128"] == some["256"] == "" and some["127"] == some["129"] == some["257"] == "EINVAL"
    signed = {text: errno for text, errno, _ in writes(Value("number", -4, 3, bits=3))}
    assert signed["-4"] == signed["3"] == "" and signed["-5"] == signed["4"] == "ERANGE"
    assert is_shown(value, "9\n") and not is_shown(value, "10\n") and not is_shown(value, "nine\n")


Mutation = Callable[[pytest.MonkeyPatch], tuple[AbiDoc, ...]]


def said(name: str, **changes: Any) -> Mutation:
    """An entry that says something else: fields of the entry, of its value, or of its ioctl."""
    def mutate(monkeypatch: pytest.MonkeyPatch) -> tuple[AbiDoc, ...]:
        doc = entry(name)
        value = {key: new for key, new in changes.items() if hasattr(doc.value, key)}
        ioctl = {key: new for key, new in changes.items() if key not in value and hasattr(doc.ioctl, key)}
        rest = {key: new for key, new in changes.items() if key not in value and key not in ioctl}
        doc = replace(doc, value=replace(doc.value, **value), **rest)
        return (replace(doc, ioctl=replace(doc.ioctl, **ioctl)) if ioctl else doc,)
    return mutate


def made(thing: Any, name: str, new: Any, *docs: str) -> Mutation:
    """An attribute that is made in another way."""
    def mutate(monkeypatch: pytest.MonkeyPatch) -> tuple[AbiDoc, ...]:
        monkeypatch.setattr(thing, name, new)
        if name == "hidma_mgmt_files":  # other trees than those that are remembered
            monkeypatch.setattr(tree, "files", cache(tree.files.__wrapped__))
        return tuple(map(entry, docs))
    return mutate


def unchecked(mdev: Any, i: int, val: int) -> int:
    """set_weight() without the setup that looks at the range."""
    mdev.weight[i] = val
    return 0


def overlapping(iommu: Any, map: Any) -> int:
    return vfio_iommu_type1_map(iommu, map) and -EBUSY


vfio_iommu_type1_map = vfio_iommu_type1.vfio_dma_do_map
FILES = tuple(mgmt_sys.HidmaMgmtFileinfo(row.name, 0o644 if row.name == "max_rd_xactions" else row.mode, row.get, row.set)
              for row in mgmt_sys.hidma_mgmt_files)
PARAMS = tuple(replace(param, type="int") if param.name == "iterations" else param for param in dmatest.module.params)


@pytest.mark.parametrize(("mutation", "sentence"), [
    # what the documentation says
    (said("/weight", high=16), "chan0/weight: writing '16' gives EINVAL, its entry says no error"),
    (said("/weight", high=14), "chan0/weight: writing '15' gives no error, its entry says EINVAL"),
    (said("/weight", shown={}), "chan0/weight: after writing '0' shows '1', its entry says '0'"),
    (said("/max_rd_xactions", beyond="ERANGE"), "max_rd_xactions: writing '32' gives EINVAL, its entry says ERANGE"),
    (said("/max_rd_xactions", wide="EINVAL"), "writing '18446744073709551616' gives ERANGE, its entry says EINVAL"),
    (said("/max_read_request", values=(128, 256, 1024)), "max_read_request: writing '512' gives no error"),
    (said("/priority", bad="EIO"), "chan0/priority: writing 'x' gives EINVAL, its entry says EIO"),
    (said("/hidma.*/chid", mode=0o644), "chid: has mode 0444, its entry says 0644"),
    (said("/priority", mode=0o644), "chan0/priority: a write by another user gives no error, its entry says EACCES"),
    (said("/dma_channels", kind="word", values=("six",)), "dma_channels: shows '6', its entry says word: six"),
    (said("/driver_override", most=4096), "driver_override: writing '4096 bytes' gives EINVAL"),
    (said("/autosuspend_delay_ms", base=0), "autosuspend_delay_ms: writing '0x7fffffff' gives EINVAL, its entry says no error"),
    (said("debug/*/stats", lines={"nr_descriptors": "descriptors"}), "stats: the line 'dev_trca' is not explained"),
    (said("drivers/*/bind", tries=(("nothing", "EINVAL"),)), "bind: writing 'nothing' gives ENODEV, its entry says EINVAL"),
    (said("VFIO_DEVICE_GET_INFO", argsz=12), "VFIO_DEVICE_GET_INFO: a good call gives EINVAL"),
    (said("VFIO_DEVICE_GET_IRQ_INFO", wrong=(({"index": 0}, "EINVAL"),)), "the argument {'index': 0} gives no error"),
    # what the attributes are
    (made(mgmt_sys, "set_weight", unchecked, "/weight"), "chan0/weight: writing '16' gives no error, its entry says EINVAL"),
    (made(mgmt_sys, "hidma_mgmt_files", FILES, "/max_rd_xactions"), "max_rd_xactions: has mode 0644, its entry says 0666"),
    (made(mgmt_sys, "kstrtoul", lambda buf, b: (-EINVAL, 0) if kstrtoul(buf, b)[0] else kstrtoul(buf, b), "/priority"),
     "writing '18446744073709551616' gives EINVAL, its entry says ERANGE"),
    (made(base, "control_store", lambda dev, data: -EIO, "/power/control"), "writing 'auto' gives EIO, its entry says no error"),
    (made(base, "enabled_text", lambda dev: "maybe", "/power/runtime_enabled"), "runtime_enabled: shows 'maybe'"),
    (made(dmatest, "module", replace(dmatest.module, params=PARAMS), "/iterations"),
     "writing '4294967295' gives ERANGE, its entry says no error"),
    (made(vfio_iommu_type1, "vfio_dma_do_map", overlapping, "VFIO_IOMMU_MAP_DMA"), "gives EBUSY, its entry says EEXIST"),
])
def test_a_mutation_is_found(monkeypatch: pytest.MonkeyPatch, mutation: Mutation, sentence: str) -> None:
    assert any(sentence in line for line in check(mutation(monkeypatch))), check(mutation(monkeypatch))


@pytest.mark.slow
def test_a_file_or_an_ioctl_that_is_missing_on_either_side_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    without = tuple(row for row in mgmt_sys.hidma_mgmt_files if row.name != "dma_channels")
    docs = made(mgmt_sys, "hidma_mgmt_files", without, "/dma_channels")(monkeypatch)
    assert tree.undefined() == [f"the entry {path} has no file" for path in docs[0].what]
    monkeypatch.undo()
    few = tuple(doc for doc in tree.declared() if not doc.what[0].endswith(("dmatest/parameters/run", "VFIO_DEVICE_RESET")))
    assert {line.split(" (")[0] for line in tree.undefined(docs=few)} == {
        "/sys/module/dmatest/parameters/run", "the ioctl VFIO_DEVICE_RESET has no entry"}
    monkeypatch.setattr(vfio, "VFIO_DEVICE_RESET", vfio.VFIO_DEVICE_RESET + 100)
    assert tree.undefined() == ["the ioctl VFIO_DEVICE_RESET is 0x3bd3, its entry says 0x3b6f"]


def test_dates_and_contacts_are_the_kernels() -> None:
    for doc in tree.declared():
        known = KERNEL.get(doc.kernel, {"date": "", "version": "", "contact": ""})
        assert bool(doc.kernel) == (doc.kernel in KERNEL), doc.what
        assert {"date": doc.date, "version": doc.kernel_version, "contact": doc.contact} == known, doc.what
    assert {doc.kernel for doc in tree.declared()} - {""} == set(KERNEL)


def test_the_record_of_the_kernels_entries_is_what_the_kernel_has(kernel_source: Path) -> None:
    found: dict[str, set[tuple[str, str, str]]] = {name: set() for name in KERNEL}
    for path in sorted((kernel_source / "Documentation" / "ABI").rglob("sysfs-*")) + [
            kernel_source / "Documentation" / "ABI" / "testing" / "dev-kmsg"]:
        for one in read_file(path)[0]:
            for what in one.what:
                for name in KERNEL:
                    if what == name or name.endswith("hidma-mgmt*") and what.startswith(name):
                        date = one.fields.get("date", "").replace("Mai ", "May ").replace(",", "")
                        found[name].add((date, one.fields.get("kernelversion", ""), " ".join(one.fields["contact"].split())))
    assert found == {name: {(known["date"], known["version"], known["contact"])} for name, known in KERNEL.items()}


def test_a_generated_file_that_says_something_else_is_found(tmp_path: Path) -> None:
    tree.generate(tmp_path)
    assert tree.stale(tmp_path) == []
    file = tmp_path / "sysfs-platform-hidma-mgmt"
    file.write_text(file.read_text().replace("0 to 15", "0 to 16"))
    (tmp_path / "vfio").unlink()
    (tmp_path / "more").touch()
    assert tree.stale(tmp_path) == [f"{tmp_path / 'vfio'} is missing", f"{tmp_path / 'more'} is of no entry",
                                    f"{file} does not say what the entries say"]
    assert CliRunner().invoke(abi, ["generate", "--check", "-o", str(tmp_path)]).exit_code == 1


def test_the_command_says_what_is_wrong_and_how_much_it_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(abi, ["check", "chanops/chan*/weight"])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "1 entry\n")
    monkeypatch.setattr(mgmt_sys, "set_weight", unchecked)
    done = CliRunner().invoke(abi, ["check", "chanops/chan*/weight"])
    assert done.exit_code == 1 and "writing '16' gives no error" in done.stdout
    done = CliRunner().invoke(abi, ["check", "colour"])
    assert done.exit_code == 2 and "nothing in the tree is called 'colour'" in done.stderr


def test_an_ioctl_is_shown_with_its_request_and_its_errors() -> None:
    text = render(entry("VFIO_IOMMU_MAP_DMA"))
    for part in ("What:\t\t/dev/vfio/vfio: VFIO_IOMMU_MAP_DMA", "Request: 0x3b71.", "pointer to struct vfio_iommu_type1_dma_map",
                 "Error EINVAL: argsz is below 32.", "Error EEXIST:"):
        assert part in text
    assert checks.BOARD in tree.BOARDS


# --- entries of a third party ------------------------------------------------------------------------------------------


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(abi, ["--directory", str(PROJECT / "abi"), *args])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_directory_of_entries_is_listed_shown_searched_and_validated() -> None:
    assert run("list") == (0, "0644  sysfs-class-example /sys/class/example/card*/limit\n"
                              "0644  sysfs-class-example /sys/class/example/card*/limit_max\n"
                              "-     sysfs-class-example /sys/class/example/card*/mode\n")
    code, text = run("show", "/sys/class/example/card3/limit_max")
    assert code == 0 and "Date:\t\tMay, 2019" in text and "Mode: 0644." in text and "Example" not in text
    assert run("search", "percent")[1].startswith("/sys/class/example/card*/limit:")
    assert run("validate") == (0, "2 entries, 0 problems\n")
    assert run("validate", "--strict")[0] == 1
    assert run("show", "/sys/nothing")[0] == 1
    done = CliRunner().invoke(abi, ["--directory", "/no/such/place", "list"])
    assert done.exit_code == 2 and "/no/such/place is no directory" in done.output
    assert run("check")[0] == run("generate")[0] == 2 and "check is about the files of this tree" in run("check")[1]


def test_a_directory_of_entries_is_held_against_a_tree(tmp_path: Path) -> None:
    card = tmp_path / "sys" / "class" / "example" / "card0"
    card.mkdir(parents=True)
    for name in ("limit", "mode"):
        (card / name).touch(0o644)
    assert run("undefined", str(tmp_path)) == (0, "")
    (card / "limit").chmod(0o600)
    (card / "colour").touch()
    (card / "mode").unlink()
    code, text = run("undefined", str(tmp_path / "sys"))
    assert code == 1 and set(text.splitlines()) == {
        f"/sys/class/example/card0/colour ({tmp_path / 'sys'}) has no entry",
        f"/sys/class/example/card0/limit ({tmp_path / 'sys'}) has mode 0600, its entry says 0644",
        "the entry /sys/class/example/card*/mode has no file"}
    code, text = run("undefined")
    assert code == 2 and "name that tree too" in text


@pytest.mark.slow
def test_a_project_of_a_third_party_documents_its_files_with_two_lines(tmp_path: Path) -> None:
    assert [line for line in (PROJECT / "conf.py").read_text().splitlines() if not line.startswith("#")] == [
        'extensions = ["hidma.commands.abi.sphinx_ext"]', 'abi_directory = "abi"']

    def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(source), str(out)]
        return subprocess.run(command, capture_output=True, text=True)

    done = build(PROJECT, tmp_path / "html")
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "html" / "index.html").read_text()
    label = "abi-sys-class-example-card-limit"
    assert f'id="{label}"' in page and f'href="#{label}"' in page and page.count("<h2>") == 2
    assert "card_and *its* `greatest` value" in page and ">1 to 99 percent<" in page.replace("- ", "")
    assert "hidma-mgmt" not in page
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "conf.py").write_text((PROJECT / "conf.py").read_text())
    (copy / "index.rst").write_text("Page\n====\n")
    done = build(copy, tmp_path / "other")
    assert done.returncode != 0 and "has no such directory" in done.stderr
