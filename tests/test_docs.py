# SPDX-License-Identifier: GPL-2.0-only
"""The documentation, from outside: it builds without a warning, says what the sources declare, needs nobody else's
server, and works in a browser.
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from hidma import firmware
from hidma.commands.abi import entries, sphinx_ext, tree
from hidma.commands.abi.entries import warning, whats
from hidma.hw import faults, registers

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

WITHOUT = [name for name in ("sphinx", "furo") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(WITHOUT), reason=f"not installed: {', '.join(WITHOUT)} (pip install hidma[docs])"),
    pytest.mark.skipif(not (DOCS / "conf.py").is_file(), reason="the tests run outside of a checkout"),
]

NEEDED = [
    "index", "quickstart", "dmatest", "shell", "mount", "qos", "abi", "quirks", "architecture", "dependencies", "registers",
    "faults", "firmware", "conformance", "portmap", "sidebyside", "trace", "step", "tour/index", "tour/channel",
    "tour/descriptor", "tour/later", "qemu", "compare", "virtualization", "reset-plugins",
]


def sphinx(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build ``source`` as tools/docs does, with no way out to a network."""
    environment = dict(os.environ)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        environment[name] = environment[name.upper()] = "http://127.0.0.1:9"
    environment["no_proxy"] = environment["NO_PROXY"] = ""
    command = [sys.executable, "-P", "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", "-b", "html"]
    return subprocess.run(
        [*command, "-d", str(out / "doctrees"), str(source), str(out / "html")],
        env=environment,
        cwd=out,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


#: What Sphinx makes of quotation marks, undone.
STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


class Page(HTMLParser):
    """What matters of one page.

    :ivar text: all that can be read, white space made single, quotation marks straight
    :ivar ids: what a link can point at
    :ivar links: where it leads to
    :ivar loads: what a browser fetches for it by itself
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.classes: set[str] = set()
        self.silent = 0
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        self.text = " ".join("".join(self.words).translate(STRAIGHT).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        self.classes.update(given.get("class", "").split())
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            kinds = set(given.get("rel", "").split())
            (self.loads if kinds & {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "manifest"}
             else self.links).append(given["href"])
        elif tag != "a":
            self.loads += [given[name] for name in ("src", "data", "poster") if name in given]
            self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        if tag in ("script", "style"):
            self.silent += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.silent -= 1

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)


class Site:
    """The built pages by name."""

    def __init__(self, html: Path) -> None:
        self.html = html

    @cached_property
    def pages(self) -> dict[str, Page]:
        return {str(path.relative_to(self.html)): Page(path) for path in sorted(self.html.rglob("*.html"))}

    def text(self, name: str) -> str:
        return self.pages[f"{name}.html"].text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The documentation, built with every warning an error."""
    out = tmp_path_factory.mktemp("docs")
    done = sphinx(DOCS, out)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return Site(out / "html")


# --- what is on the pages ---------------------------------------------------------------------------------------------


def test_the_pages_build_without_a_warning_and_are_all_there(site: Site) -> None:
    missing = [name for name in NEEDED if f"{name}.html" not in site.pages]
    assert not missing
    for name, page in site.pages.items():
        assert not page.classes & {"system-message", "problematic"}, name
        assert "this-will-duplicate-information" not in page.html, name


def test_the_landing_page_has_the_two_commands_of_the_readme(site: Site) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(tools/\w+(?: \w+)?)", readme, re.MULTILINE)[:2]
    assert commands == ["tools/hidma dmatest", "tools/test"]
    for command in commands:
        assert command in site.text("index")


def test_each_register_field_command_and_state_is_in_the_reference(site: Site) -> None:
    text = site.text("registers")
    for label, title, rows in registers.BLOCKS:
        assert title in text
        for row in rows:
            assert f"0x{row.offset:03X}" in text
            assert row.name in text
            assert " ".join(row.description.split()) in text
            for field in row.fields:
                assert f"{field.bits} {field.name}: {field.description}" in text
            assert f"{label}-{row.name.lower()}" in site.pages["registers.html"].ids
    for value, name, meaning in (*registers.COMMANDS, *registers.STATES):
        assert f"{value} {name} {meaning}" in text
    for word in (*registers.TRE, *registers.EVRE):
        assert word.description in text
    for field in (field for word in (*registers.TRE, *registers.EVRE) for field in word.fields):
        assert f">{field.name}</text>" in site.pages["registers.html"].html, "the drawing lacks a field"


def test_each_register_says_what_it_is_known_from(site: Site) -> None:
    rows = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", site.pages["registers.html"].html, re.DOTALL):
        cells = [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        if len(cells) == 6 and cells[0]:
            rows.setdefault(cells[1], []).append(cells[5])
    assert set(rows) == {row.name for _, _, block in registers.BLOCKS for row in block}
    assert rows["QOS_N"] == ["V14; 6.1"] and rows["DOORBELL"] == ["V14", "V14"] and rows["CHIDX"] == ["V14"]
    assert {source for sources in rows.values() for source in sources} <= {"V14", "V14; 6.1", "model"}


def test_the_names_that_the_drivers_have_for_the_hardware_can_be_found(site: Site) -> None:
    text = site.text("registers")
    for line in (
        "TRCA_DOORBELL_OFFSET 0x400 trca DOORBELL",
        "EVCA_INTCTRL_OFFSET 0x004 evca INTCTRL",
        "IRQ_TR_CH_INVALID_TRE_BIT_POS 14 cause INVALID_TRE",
        "CH_RESET 9 command RESET",
        "CH_IN_RESET 9 state IN_RESET",
        "HIDMA_QOS_N_OFFSET 0x300 management QOS_N",
        "HIDMA_MAX_BUS_REQ_LEN_OFFSET 0x41C management MAX_BUS_REQ_LEN",
    ):
        assert line in text


def test_each_register_is_in_the_index(site: Site) -> None:
    for label, _, rows in registers.BLOCKS:
        for row in rows:
            assert f"registers.html#{label}-{row.name.lower()}" in site.pages["genindex.html"].links


def test_each_kind_of_fault_is_on_its_page(site: Site) -> None:
    for kind in faults.KINDS:
        assert f"{kind.name} {kind.example} {kind.counts}" in site.text("faults")


def test_each_requirement_is_on_its_page_with_its_range(site: Site) -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = data["project"]
    lists = [project["dependencies"], data["build-system"]["requires"], *project["optional-dependencies"].values()]
    text = site.text("dependencies")
    for requirement in (line for lines in lists for line in lines if not line.startswith("hidma[")):
        name = re.match(r"[\w.-]+", requirement)[0]
        assert f"{name} {requirement[len(name):]} " in text
    for extra in project["optional-dependencies"]:
        assert extra in site.pages["dependencies.html"].ids


def test_each_bundled_board_is_on_the_firmware_page(site: Site) -> None:
    for name in firmware.BOARDS:
        cpus = firmware.describe(firmware.load(name)).cpus
        assert f"{name} {cpus} " in site.text("firmware")


def test_each_module_of_the_seam_is_named(site: Site) -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(c for c in data["tool"]["importlinter"]["contracts"] if c["id"] == "seam")
    for line in contract["ignore_imports"]:
        module = line.split(" ")[0].removeprefix("hidma.")
        assert module in site.text("architecture")


def test_each_module_of_the_port_and_of_the_slice_is_on_the_map(site: Site) -> None:
    text = site.text("architecture")
    for name in ("hidma_h", "hidma_mgmt_h", "ll", "channel", "dbg", "mgmt", "mgmt_sys"):
        assert f"hidma/{name}.py drivers/dma/qcom/hidma" in text
    for name, c_file in (("private", "_private.h"), ("irq", "_irq.c"), ("common", "_common.c"), ("platform", ".c")):
        assert f"hidma/vfio_platform/{name}.py drivers/vfio/platform/vfio_platform{c_file}" in text
    for name in ("amdxgbe", "calxedaxgmac", "qcomhidma"):
        assert f"reset_plugins/{name}.py drivers/vfio/platform/reset/vfio_platform_{name}.c" in text
    for path in (ROOT / "hidma" / "linux").glob("*.py"):
        if path.name != "__init__.py":
            assert f" {path.stem} " in text


def test_the_origin_of_the_golden_runs_is_told(site: Site) -> None:
    text = site.text("conformance")
    assert "recorded from the series' own C files, compiled for user space" in text
    assert "scripted device" in text
    golden = ROOT / "tests" / "data" / "golden"
    for layer in ("ll", "channel", "dbg", "mgmt", "mgmt_sys", "reset", "vfio"):
        count = sum(f'"layer": "{layer}"' in path.read_text(encoding="utf-8") for path in golden.glob("*.json"))
        assert re.search(rf" {layer} [^0-9]+ {count} ", text), layer


def test_the_fate_of_vfio_platform_is_told(site: Site) -> None:
    assert "vfio-platform was later marked deprecated in the kernel" in site.text("architecture")


def test_each_file_of_the_tree_is_on_the_abi_page_with_every_field(site: Site) -> None:
    page = site.pages["abi.html"]
    quirks = site.pages["quirks.html"].ids
    for doc in tree.declared():
        assert sphinx_ext.label(doc) in page.ids
        assert f"#{sphinx_ext.label(doc)}" in page.links
        for path in whats(doc):
            assert path in page.text, path
        facts = [f"{name}: {text}" for name, text in entries.facts(doc)]
        for text in (*facts, doc.date, doc.kernel_version, doc.contact.strip('"'), doc.users):
            assert " ".join(text.split()) in page.text, (doc.what, text)
        for name, reason in (*doc.errors(), *doc.lines.items()):
            assert f"{name}: {reason}" in page.text
        for row in re.findall(r"row (\d+)", doc.description):
            assert f"quirk-{row}" in quirks
            assert f"quirks.html#quirk-{row}" in page.links, (doc.what, row)
    for path in ("chanops/chan0/weight", "hidma.0/chid", "hidma.0/power/autosuspend_delay_ms"):
        assert f"# cat /sys/devices/platform/f9984000.hidma-mgmt/{path}" in page.text
    assert page.text.count("No kernel makes a device of the name") == sum(bool(warning(d)) for d in tree.declared())


def test_the_shares_of_the_channels_are_plotted(site: Site) -> None:
    page = site.pages["qos.html"]
    assert page.html.count('<polyline fill="none" stroke="#') == 2
    assert "chan1 priority 1" in page.text
    shares = re.findall(r"ms (\d+\.\d+)% (\d+\.\d+)%", page.text)
    assert float(shares[0][0]) / float(shares[0][1]) == pytest.approx(3, rel=0.02)
    assert float(shares[1][1]) > 99


def test_examples_were_run(site: Site) -> None:
    text = site.text("quickstart")
    line = r"dmatest: dma\dchan0-copy0: summary 100 tests, 0 failures [\d.]+ iops \d+ KB/s \(0\)"
    assert len(re.findall(line, text)) == 6
    assert "b'all work and no play'" in text


class Prose(HTMLParser):
    """The running text of a page's article that is in no link, heading, program or picture."""

    SILENT = ("pre", "svg", "h1", "h2", "h3", "h4", "a", "script", "style", "dt")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.silent = 0
        self.open: list[tuple[str, bool]] = []
        self.words: list[str] = []
        self.feed(text[text.index("<article"):text.index("</article>")])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        command = ("class", "trace-caption") in attrs
        self.open.append((tag, tag in self.SILENT or command))
        self.silent += self.open[-1][1]

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            name, silent = self.open.pop()
            self.silent -= silent
            if name == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words += re.findall(r"\w+", data)


def test_every_name_of_the_series_in_the_prose_is_a_link(site: Site) -> None:
    facts = json.loads((ROOT / "hidma" / "commands" / "portmap" / "inventory.json").read_text(encoding="utf-8"))["files"].values()
    names = {function["name"] for file in facts for function in file.get("functions", [])}
    names |= {name for file in facts for group in (file.get("defines", {}), *file.get("enums", {}).values()) for name in group}
    names |= {f"{label.upper()}_{row.name}" for label, _, rows in registers.BLOCKS for row in rows}
    names -= {"to_hidma_dev_from_lldev"}  # the port does without it
    pages = [name for name in site.pages if name.startswith("tour/")] + ["quirks.html", "architecture.html", "registers.html"]
    assert len(pages) > 12
    for page in pages:
        unlinked = {name for name in Prose(site.pages[page].html).words if name in names and "_" in name}
        assert not unlinked, page


# --- the pages as files -----------------------------------------------------------------------------------------------


def test_no_page_loads_anything_from_another_host(site: Site) -> None:
    for name, page in site.pages.items():
        for address in page.loads:
            parts = urlsplit(address)
            assert not parts.netloc and parts.scheme in ("", "data"), f"{name} loads {address}"
    for path in site.html.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        loads = re.search(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//", text)
        assert not loads, f"{path.name} loads from another host"


def test_no_internal_link_is_broken(site: Site) -> None:
    broken = []
    for name, page in site.pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (site.html / name).parent / unquote(parts.path) if parts.path else site.html / name
            target = Path(os.path.normpath(target))
            if not target.is_file():
                broken.append(f"{name}: {address}")
            elif parts.fragment and target.suffix == ".html":
                there = site.pages[str(target.relative_to(site.html))]
                if unquote(parts.fragment) not in there.ids:
                    broken.append(f"{name}: {address}")
    assert not broken


def test_every_page_can_be_reached_from_the_first(site: Site) -> None:
    seen, todo = set(), ["index.html"]
    while todo:
        name = todo.pop()
        if name in seen or name not in site.pages:
            continue
        seen.add(name)
        for address in site.pages[name].links:
            path = urlsplit(address).path
            if path and not urlsplit(address).scheme:
                todo.append(os.path.normpath(os.path.join(os.path.dirname(name), path)))
    assert set(site.pages) - seen <= {"404.html"}


def test_no_page_names_a_place_of_the_machine_that_built_it(site: Site) -> None:
    for name, page in site.pages.items():
        for place in (str(ROOT), str(site.html.parent), str(Path.home()), sys.prefix):
            assert place == "/" or place not in page.html, f"{name} has {place}"


def test_sources_of_the_pages_begin_with_the_licence() -> None:
    tops = ("*.rst", "*.py", "_ext/*.py", "_static/*", "reference/*.rst")
    paths = [path for top in tops for path in DOCS.glob(top) if path.is_file()]
    assert len(paths) > 20
    for path in [*paths, ROOT / "tools" / "docs"]:
        head = path.read_text(encoding="utf-8").splitlines()[:2]
        assert any("SPDX-License-Identifier: GPL-2.0-only" in line for line in head), path.name


# --- a page that lies does not build ----------------------------------------------------------------------------------


WRONG = [
    (".. run-python::\n\n   1 / 0", "ZeroDivisionError"),
    (".. run-python::\n   :error:\n\n   print(1)", "the example was to fail and did not"),
    (".. run-hidma:: boards nosuch", "hidma boards nosuch ended with 2, not 0"),
    (".. run-hidma:: boards\n   :status: 1", "hidma boards ended with 0, not 1"),
    (".. word-layout:: XRE", "word-layout draws TRE or EVRE, not XRE"),
    (":doc:`nosuch`", "unknown document: 'nosuch'"),
    (":abi:`/sys/nothing/here`", "no entry of the ABI means /sys/nothing/here"),
    (".. abi:: nobody", "no driver and no file of the tree is called 'nobody'"),
    (".. abi-index:: colour", "an index is by path or by driver, not by 'colour'"),
    (":py:func:`hidma.boof`", "py:func reference target not found: hidma.boof"),
    (".. dependencies:: numpy\n\n   numpy: arrays\n   leftpad: strings\n   rightpad: none",
     "pyproject.toml does not ask for rightpad in 'numpy'"),
    (".. dependencies:: numpy\n\n   numpy: arrays", "leftpad>=1 of 'numpy' in pyproject.toml has no reason on this page"),
]
ENTRY = "/sys/devices/platform/*.hidma-mgmt/chanops/chan*/weight"
REFERENCES = [
    "/sys/devices/platform/f9984000.hidma-mgmt/chanops/chan3/weight", "/sys/devices/platform/*/chanops/chan*/weight",
    "/sys/devices/platform/hidma-mgmt*/chanops/chan*/weight",
    "the weight </sys/devices/platform/*.hidma-mgmt/chanops/chan0/weight>",
]


def build(top: Path, pages: dict[str, str]) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Pages that stand alone in a checkout, whose pyproject.toml asks for leftpad too; what Sphinx said, and the HTML."""
    (top / "docs").mkdir()
    for name in ("_ext", "_static"):
        shutil.copytree(DOCS / name, top / "docs" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("hidma", "tests"):
        (top / name).symlink_to(ROOT / name)
    shutil.copy(DOCS / "conf.py", top / "docs")
    requirements = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'numpy = ["' in requirements
    (top / "pyproject.toml").write_text(requirements.replace('numpy = ["', 'numpy = ["leftpad>=1", "'), encoding="utf-8")
    for name, text in pages.items():
        (top / "docs" / f"{name}.rst").write_text(f":orphan:\n\nPage\n====\n\n{text}\n", encoding="utf-8")
    (top / "out").mkdir()
    return sphinx(top / "docs", top / "out"), top / "out" / "html"


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said about pages that are wrong, and one that is not."""
    pages = {f"wrong{number}": example for number, (example, _) in enumerate(WRONG)}
    done, _ = build(tmp_path_factory.mktemp("wrong"), {"index": "Right.", **pages})
    assert done.returncode != 0
    assert "index.rst:" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[example.splitlines()[0] for example, _ in WRONG])
def test_an_example_or_a_name_that_is_wrong_fails_the_build(complaints: str, number: int) -> None:
    pattern = rf"/wrong{number}\.rst:\d+: (WARNING|ERROR): (?:(?!\.rst:\d+: ).|\n)*{re.escape(WRONG[number][1])}"
    assert re.search(pattern, complaints), complaints


def test_what_is_right_builds(tmp_path: Path) -> None:
    """A file is found with wildcards on either side; a page that is not there is passed over."""
    text = ".. pages::\n   :caption: Some\n\n   nosuch\n   there\n\n:page:`nosuch` and :row:`1`"
    references = [f"See :abi:`{path}`." for path in REFERENCES]
    pages = {"index": text, "there": "Here.", "entry": f".. abi:: {ENTRY}"}
    done, html = build(tmp_path, pages | {f"see{number}": line for number, line in enumerate(references)})
    assert done.returncode == 0, done.stderr
    page = Page(html / "index.html")
    assert "there.html" in page.links
    assert "nosuch and row 1" in page.text
    for number in range(len(references)):
        links = Page(html / f"see{number}.html").links
        assert "entry.html#abi-sys-devices-platform-hidma-mgmt-chanops-chan-weight" in links, REFERENCES[number]


# --- in a browser -----------------------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
InFrames = Callable[..., dict[str, list[str]]]
browser = pytest.mark.browser
with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")

#: Loads pages in a frame, one after the other, and notes what a look at each of them gives. The result is the text of an element.
FRAMES = """<!doctype html><title>frames</title><body style="margin:0">
<iframe style="border:0;width:WIDTHpx;height:900px"></iframe><script>
const found = {}, frame = document.querySelector("iframe");
const look = async (page) => { LOOK };
(async () => {
    for (const path of PATHS) {
        const loaded = new Promise((done) => { frame.onload = done; });
        frame.src = "/" + path;
        await loaded;
        found[path] = await look(frame.contentDocument);
    }
    document.body.append(Object.assign(document.createElement("pre"), {id: "result", textContent: JSON.stringify(found)}));
})();
</script>"""
#: What of a page is wider than its column: the page itself, a table, a figure that has to fit (the diagram of a trace may scroll
#: where there is no room for it).
WIDE = """
    const wide = [], width = frame.clientWidth;
    const figures = "div.drawing, div.plot, article img" + (width > 600 ? ", .trace-diagram" : "");
    if (!page.querySelector("main, article")) wide.push("nothing to read");
    if (page.documentElement.scrollWidth > width) wide.push("the page, " + page.documentElement.scrollWidth);
    for (const table of page.querySelectorAll("table")) {
        const column = table.parentElement.getBoundingClientRect();
        if (table.getBoundingClientRect().right > column.right + 1)
            wide.push("a table, " + table.textContent.trim().replace(/\\s+/g, " ").slice(0, 50));
    }
    for (const figure of page.querySelectorAll(figures))
        if (figure.scrollWidth > figure.clientWidth + 1) wide.push("a figure, " + figure.className);
    for (const text of page.querySelectorAll("div.drawing text"))
        if (text.getBoundingClientRect().height < 8) wide.push("letters of " + text.textContent);
    return wide;"""
#: Where the results of a search lead to.
RESULTS = """
    while (!page.querySelector("p.search-summary")?.textContent.includes("finished"))
        await new Promise((done) => setTimeout(done, 100));
    return Array.from(page.querySelectorAll("ul.search li a"), (link) => new URL(link.href).pathname.slice(1));"""


class Server(ThreadingHTTPServer):
    """The pages on a port of this machine; notes what could not be given."""

    daemon_threads = True

    def __init__(self, html: Path) -> None:
        self.html = html
        self.frames = b""
        self.refused: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def __init__(self, request: object, client: object, server: Server) -> None:
        super().__init__(request, client, server, directory=str(server.html))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path == "/frames":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(self.server.frames)))
            self.end_headers()
            self.wfile.write(self.server.frames)
        else:
            super().do_GET()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    def log_error(self, format: str, *args: object) -> None:
        if not self.path.startswith("/favicon.ico"):
            self.server.refused.append(f"{self.path}: {format % args}")


@contextmanager
def serving(html: Path) -> Iterator[Server]:
    with Server(html) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def in_frames(site: Site, tmp_path: Path) -> Iterator[InFrames]:
    """in_frames(paths, look, width) -> what the look gave at each page; a message on the console or a missing file fails."""
    with serving(site.html) as server:

        def run(paths: Sequence[str], look: str, width: int = 1280) -> dict[str, list[str]]:
            text = FRAMES.replace("WIDTH", str(width)).replace("LOOK", look).replace("PATHS", json.dumps(paths))
            server.frames = text.encode()
            done = subprocess.run(
                [
                    str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", "--enable-logging=stderr",
                    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--virtual-time-budget=60000",
                    "--dump-dom", f"{server.address}/frames",
                ],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            )
            assert done.returncode == 0, done.stderr
            said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
            assert not said, f"a page writes to the console: {said}"
            assert not server.refused, "a page asks for what is not there"
            result = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
            assert result is not None, "the pages did not load"
            found: dict[str, list[str]] = json.loads(html.unescape(result[1]))
            return found

        yield run


@pytest.mark.slow
@browser
@with_chromium
def test_search_finds_a_word_on_its_page(in_frames: InFrames) -> None:
    pages = {
        "doorbell": "registers.html", "hidma_ll_queue_request": "reference/ll.html", "irq-late": "faults.html",
        "greenlet": "dependencies.html", "binding-example": "firmware.html", "autosuspend_delay_ms": "abi.html",
        "fusermount3": "mount.html", "bandwidth arbiter": "qos.html",
    }
    addresses = {f"search.html?q={quote(words)}": page for words, page in pages.items()}
    found = in_frames(list(addresses), RESULTS)
    assert {address: page for address, page in addresses.items() if page not in found[address]} == {}


@pytest.mark.slow
@browser
@with_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_opens_and_nothing_is_wider_than_the_screen(site: Site, in_frames: InFrames, width: int) -> None:
    found = in_frames(sorted(str(path.relative_to(site.html)) for path in site.html.rglob("*.html")), WIDE, width)
    assert set(found) == set(site.pages) and len(found) > 60
    assert {page: wide for page, wide in found.items() if wide} == {}


@browser
@with_chromium
def test_on_a_phone_each_cell_of_a_table_has_the_head_of_its_column(site: Site) -> None:
    page = site.pages["registers.html"].html
    assert 'data-label="Offset"' in page and 'data-label="Known from"' in page
