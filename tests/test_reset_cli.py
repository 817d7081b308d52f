# SPDX-License-Identifier: GPL-2.0-only
"""``hidma reset-plugins``: what it shows and refuses, a plugin as it is generated, and somebody else's, installed and used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from hidma.commands.main import main
from hidma.plugin import sources, testing

ROOT = Path(__file__).resolve().parent.parent

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str, status: int = 0) -> tuple[str, str]:
    """(stdout, stderr) of ``hidma reset-plugins ARGUMENTS``."""
    assert main(["reset-plugins", *arguments]) == status, capsys.readouterr()
    out, err = capsys.readouterr()
    return out, err


@pytest.fixture(autouse=True)
def choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--plugin`` holds until the test ends."""
    monkeypatch.setattr(sources, "choice", sources.Choice())


# --- list and explain -----------------------------------------------------------------------------------------------------


def test_list_shows_match_module_and_distribution(capsys: Capture) -> None:
    out, _ = run(capsys, "list")
    assert "calxeda,hb-xgmac      vfio_platform_calxedaxgmac  hidma " in out
    rows = json.loads(run(capsys, "list", "--json")[0])
    assert {"match": "QCOM8061", "module": "vfio_platform_qcomhidma", "value": "reset_plugins.qcomhidma"}.items() <= next(
        row for row in rows if row["match"] == "QCOM8061").items()


def test_explain_tells_the_lookup_step_by_step(capsys: Capture) -> None:
    out, _ = run(capsys, "explain", "hidma.0")
    text = " ".join(out.split())
    for step in ("its compatible string is qcom,hidma-1.0", "No reset function is registered yet",
                 "asks for the module vfio-reset:qcom,hidma-1.0", "The entry point 'qcom,hidma-1.0' of hidma",
                 "is reset by vfio_platform_qcomhidma_reset()"):
        assert step in text
        text = text[text.index(step):]


def test_explain_with_the_plugin_loaded_before_asks_for_nothing(capsys: Capture) -> None:
    out, _ = run(capsys, "explain", "hidma.0", "--modprobe", "QCOM8061")
    assert "asks for the module" not in out
    assert "vfio_platform_qcomhidma for qcom,hidma-1.0 and QCOM8061" in " ".join(out.split())


def test_explain_on_acpi_tells_why_nothing_is_found_and_what_helps(capsys: Capture) -> None:
    text = " ".join(run(capsys, "explain", "--board", "acpi", "QCOM8061:00")[0].split())
    for step in ("has an ACPI companion with the hardware ID QCOM8061", "asks for the module vfio-reset:(null)",
                 "(row 32)", "QCOM8061:00 has no reset function", "--modprobe QCOM8061 here"):
        assert step in text
        text = text[text.index(step):]
    text = " ".join(run(capsys, "explain", "--board", "acpi", "QCOM8061:00", "--modprobe", "QCOM8061")[0].split())
    assert "QCOM8061:00 is reset by vfio_platform_qcomhidma_reset()" in text


def test_explain_of_a_device_that_cannot_be_bound(capsys: Capture) -> None:
    out, _ = run(capsys, "explain", "timer", status=1)
    text = " ".join(out.split())
    assert "No IOMMU of the board translates for timer" in text
    assert "vfio-platform does not bind it: VFIO: No IOMMU group for device timer." in text
    assert out.endswith("The kernel log of it:\n   VFIO: No IOMMU group for device timer\n"
                        "   vfio-platform: probe of timer failed with error -22\n")


def test_explain_of_a_device_that_is_not_there(capsys: Capture) -> None:
    _, err = run(capsys, "explain", "hidma.7", status=2)
    assert "there is no device 'hidma.7' on this board" in err and "hidma.5" in err


# --- check ----------------------------------------------------------------------------------------------------------------


def test_check_of_an_installed_plugin(capsys: Capture) -> None:
    out, _ = run(capsys, "check", "qcom,hidma-1.0")
    assert f"{len(testing.CHECKS)} of {len(testing.CHECKS)} checks hold" in out
    rows = json.loads(run(capsys, "check", "QCOM8061", "--json")[0])
    assert [row["status"] for row in rows] == ["ok"] * len(testing.CHECKS)


def test_check_fails_with_what_is_wrong(capsys: Capture, tmp_path: Path) -> None:
    run(capsys, "new", "acme-reset", "--hid", "ACME0001", "--directory", str(tmp_path / "acme-reset"))
    path = tmp_path / "lazy_reset.py"
    path.write_text((tmp_path / "acme-reset/src/acme_reset/__init__.py").read_text().replace(
        "    if vdev.num_regions != 1:", "    return 0\n    if vdev.num_regions != 1:").replace(
        "from .model import AcmeReset", "from hidma.testing import Xgbe as AcmeReset"))
    out, _ = run(capsys, "check", str(path), status=1)
    assert "failed" in out and "goes on writing to memory" in " ".join(out.split())


@pytest.mark.parametrize(("name", "sentence"), [
    ("nobody,knows", "no installed plugin is called 'nobody,knows'; there are QCOM8061"),
    ("./none.py", "there is no file or directory ./none.py"),
    ("{tmp}", "is neither a project nor a package: it has no pyproject.toml and no __init__.py"),
])
def test_check_of_what_is_not_there(capsys: Capture, tmp_path: Path, name: str, sentence: str) -> None:
    _, err = run(capsys, "check", name.format(tmp=tmp_path), status=2)
    assert sentence in err and "Traceback" not in err and err.count("\n") == 1


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "has no entry point"), ("[", "cannot be read"),
    ('[project]\nname = "x"\n[project.entry-points."hidma.reset"]\n"a,b" = "no_such_module"\n', "cannot be imported"),
    ('[project]\nname = "x"\n[project.entry-points."hidma.reset"]\n"a,b" = "no module:"\n',
     "ValueError: an entry point names a module, or MODULE:ATTRIBUTE"),
])
def test_check_of_a_project_that_is_none(capsys: Capture, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    _, err = run(capsys, "check", str(tmp_path), status=2)
    assert sentence in err and err.count("\n") == 1


def test_check_of_a_file_that_cannot_be_imported(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "bad_reset.py"
    path.write_text("1 / 0\n")
    _, err = run(capsys, "check", str(path), status=2)
    assert "cannot be imported: ZeroDivisionError" in err


FLEXRM = ROOT / "docs" / "examples" / "flexrm-reset"


@pytest.mark.slow
def test_a_driver_of_the_kernel_that_is_ported_line_by_line_passes(capsys: Capture) -> None:
    rows = json.loads(run(capsys, "check", "--json", str(FLEXRM))[0])
    # it takes regions[0] without a look at num_regions, as the C does
    assert [row["check"] for row in rows if row["status"] != "ok"] == ["wrong number of regions is an error"]
    assert [row["status"] for row in rows].count("note") == 1


def test_strict_makes_a_note_a_failure(capsys: Capture) -> None:
    notes = [row["check"] for row in json.loads(run(capsys, "check", "--json", "calxeda,hb-xgmac")[0]) if row["status"] == "note"]
    strict = json.loads(run(capsys, "check", "--strict", "--json", "calxeda,hb-xgmac", status=1)[0])
    assert notes and [row["check"] for row in strict if row["status"] == "failed"] == notes


@pytest.mark.parametrize(("text", "sentence"), [
    ("import os; os._exit(0)", "its process ends with status 0 in the middle of it"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt (plug.py, line 1)"),
    ("class Odd(BaseException): pass\nraise Odd('x')", "cannot be imported: Odd: x (plug.py, line 2)"),
    ("while True: pass", "it does not end: its processor time is over (plug.py, line 1)"),
])
def test_check_outlives_an_import_that_does_not_return(capsys: Capture, tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plug.py"
    path.write_text(text)
    _, err = run(capsys, "check", "--timeout", "1", str(path), status=2)
    assert f"{path}" in err and sentence in err and err.count("\n") == 1


def test_what_a_plugin_prints_is_no_part_of_json(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "plug.py"
    text = (FLEXRM / "src/flexrm_reset/__init__.py").read_text()
    path.write_text(text.replace("    ret = 0\n", "    ret = 0\n    print('reset')\n") + "print('imported')\n")
    for command in (["list", "--json"], ["check", "--json", str(path)]):
        assert main(["--plugin", str(path), "reset-plugins", *command]) in (0, 1)
        out, err = capsys.readouterr()
        assert json.loads(out)
        assert "check" in command or "imported" in err


def test_a_path_that_cannot_be_taken_is_a_note_wherever_a_plugin_is_looked_for(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "plug.py"
    path.write_text("import nosuchmodule\n")
    board = str(ROOT / "tests/data/firmware/cases/06-own-device-no-group.dts")
    for command in (["reset-plugins", "explain"], ["assign"]):
        assert main(["--plugin", str(path), *command, "--board", board, "a000000.frobnicator"]) == 0
        _, err = capsys.readouterr()
        assert err == (f"note: reset plugin 'plug' of {path} (plug) cannot be imported: ModuleNotFoundError: No module named "
                       "'nosuchmodule' (plug.py, line 1)\n")


# --- new ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "sentence"), [
    (("new", "acme"), "give one of them"),
    (("new", "1-acme!", "--hid", "ACME0001"), "a package is called something like acme-reset"),
    (("new", "class", "--hid", "ACME0001"), "a package is called something like acme-reset"),
    (("new", "acme", "--hid", "acme"), "--hid is something like ACME0001"),
    (("new", "acme", "--compatible", "acme frob"), "--compatible is something like acme,frobnicator-1.0"),
])
def test_new_that_cannot_be(capsys: Capture, arguments: tuple[str, ...], sentence: str) -> None:
    _, err = run(capsys, *arguments, status=2)
    assert sentence in err


def test_new_writes_over_nothing(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    _, err = run(capsys, "new", "acme", "--hid", "ACME0001", "--directory", str(tmp_path), status=2)
    assert "is there already" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


Pip = Callable[..., Path]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Pip:
    """``fresh(PROJECT)``: the Python of a fresh environment that has this hidma and nothing else but PROJECT, installed."""
    purelib = sysconfig.get_path("purelib")
    if not (Path(purelib) / "setuptools").is_dir():
        pytest.skip("setuptools, which builds the plugin, is not installed here")

    def make(project: Path) -> Path:
        place = tmp_path_factory.mktemp("environment")
        venv.create(place, with_pip=False)
        python = place / "bin" / "python"
        site = next((place / "lib").glob("python*/site-packages"))
        (site / "hidma-checkout.pth").write_text(f"{ROOT}\n{purelib}\n")
        source = tmp_path_factory.mktemp("source") / project.name
        shutil.copytree(project, source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-build-isolation", "--no-index",
             "--disable-pip-version-check", "-q", str(source)],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": purelib})
        assert done.returncode == 0, done.stderr
        return python

    return make


def hidma(python: Path, *arguments: str) -> str:
    """What ``hidma ARGUMENTS`` prints there."""
    done = subprocess.run([python, "-P", "-m", "hidma", *arguments], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--compatible", "acme,frob-1.0"), ("--hid", "ACME0001"),
                                       ("--compatible", "acme,frob-1.0", "--hid", "ACME0001")], ids=len)
def test_generated_plugin_is_green_in_a_fresh_environment(capsys: Capture, tmp_path: Path, fresh: Pip,
                                                          arguments: tuple[str, ...]) -> None:
    place = tmp_path / "frob-reset"
    out, _ = run(capsys, "new", "frob-reset", *arguments, "--directory", str(place))
    assert str(place / "src" / "frob_reset" / "model.py") in out
    python = fresh(place)
    match = arguments[1]
    assert match in hidma(python, "reset-plugins", "list")
    checks = hidma(python, "reset-plugins", "check", match)
    assert f"{len(testing.CHECKS)} of {len(testing.CHECKS)} checks hold" in checks and "note" not in checks
    done = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(place)], capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(testing.CHECKS) + 2} passed" in done.stdout, done.stdout


@pytest.mark.slow
def test_generated_plugin_is_used_on_the_boards_that_come_with_it(capsys: Capture, tmp_path: Path, fresh: Pip) -> None:
    place = tmp_path / "acme-reset"
    run(capsys, "new", "acme-reset", "--compatible", "acme,scatter-2.0", "--hid", "ACME0042", "--directory", str(place))
    python = fresh(place)
    for board, device in (("board.dts", "a000000.device"), ("board.asl", "ACME0042:00")):
        steps = json.loads(hidma(python, "assign", "--json", "--board", str(place / board), device))
        facts = " ".join(fact for step in steps for fact in step["facts"])
        assert "Bursts of the device: 100; its data in the guest's memory: there; exits: 0" in facts
        assert "The device stands still" in facts and "data of the first guest in its memory: none" in facts
        assert steps[-1]["modules"] == ["put acme_reset"]
