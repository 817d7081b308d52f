# SPDX-License-Identifier: GPL-2.0-only
"""`hidma sidebyside`: the pages are whole, their links lead somewhere, lines that say the same stand beside each other, no
text of the kernel is in this repository, and it works in a browser, on a phone too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import c_tree
import pytest

from hidma.commands.main import main
from hidma.commands.portmap.tree import from_kernel
from hidma.commands.sidebyside import align
from hidma.commands.sidebyside.cli import write
from hidma.commands.sidebyside.pages import COMMENTARY, build
from hidma.quirks import BY_NUMBER

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LL = "drivers/dma/qcom/hidma_ll.c"


@pytest.fixture(scope="module", autouse=True)
def made_bodies() -> Iterator[None]:
    """Trees that are made here count as V14."""
    with c_tree.as_v14():
        yield


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel tree with the facts of the series, and a line of C that the port has too."""
    def change(path: str, text: str) -> str:
        if path == LL:
            body = "\tif (tre_ch >= lldev->nr_tres) {\n\t\tdev_err(lldev->dev, \"<&> %d\", TRE_SIZE); }\n"
            name = "void hidma_ll_free("
            at = text.index("{\n", text.index(name)) + 2
            text = text[:at] + body + text[at + 2:]
        return text
    return c_tree.write(tmp_path_factory.mktemp("tree") / "linux", change)


@pytest.fixture(scope="module")
def pages(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of that tree."""
    out = tmp_path_factory.mktemp("pages") / "out"
    assert main(["sidebyside", "--kernel", str(tree), "-o", str(out)]) == 0
    return out


class Read(HTMLParser):
    """Ids and addresses of a page, and whether its elements are closed in order."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src"):
                self.addresses.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(pages: Path) -> None:
    read = {path.name: Read(path.read_text()) for path in pages.glob("*.html")}
    assert len(read) == 11
    for name, page in read.items():
        assert len(page.ids) == len(set(page.ids)), name
        for address in page.addresses:
            if address.startswith(("https://", "data:")):
                continue
            target, _, anchor = address.partition("#")
            assert (pages / (target or name)).is_file(), (name, address)
            if anchor:
                assert anchor in read[target or name].ids, (name, address)
    text = "".join(path.read_text() for path in pages.glob("*.css")) + (pages / "script.js").read_text()
    assert "http" not in text and "@import" not in text


def test_every_line_of_both_sides_is_there_once(pages: Path, tree: Path) -> None:
    page = (pages / "hidma_ll.c.html").read_text()
    count = len((tree / LL).read_text().splitlines())
    assert [int(n) for n in re.findall(r'id="c(\d+)"', page)] == list(range(1, count + 1))
    here = [int(n) for n in re.findall(r'id="p(\d+)"', page)]
    assert sorted(here) == here == list(range(1, len(here) + 1))


def test_what_says_the_same_stands_in_one_row(pages: Path) -> None:
    page = (pages / "hidma_ll.c.html").read_text()
    row = next(row for row in page.split('<div class="rows">') if "nr_tres</a>) {" in row)
    assert "<a href" in row and ">tre_ch</a>" not in row
    assert re.search(r'class="side p">.*if</span> tre_ch &gt;= lldev', row)


def test_calls_constants_and_fields_are_links_on_both_sides(pages: Path) -> None:
    page = (pages / "hidma_ll.c.html").read_text()
    assert re.search(r'-&gt;<a href="hidma.h.html#c\d+">nr_tres</a>', page)
    assert re.search(r'<a href="hidma.h.html#c\d+">TRE_SIZE</a>', page)
    assert re.search(r'lldev\.<a href="hidma.h.html#p\d+">nr_tres</a>', page)
    assert re.search(r'<a href="hidma_ll.c.html#p\d+">hidma_ll_setup</a>\(lldev\)', page)
    assert "&lt;&amp;&gt;" in page and '"<&>' not in page


def test_notes_stand_between(pages: Path) -> None:
    page = (pages / "hidma_ll.c.html").read_text()
    title = page.index('id="f-hidma_ll_setup"')
    row = page.index("V14, row 12:", title)
    assert title < row < page.index('id="f-hidma_ll_init"')
    assert "recorded runs pass through it" in page


def test_commentary_has_every_function_of_the_drivers_and_names_real_things(pages: Path) -> None:
    files = {path.rpartition("/")[2]: facts for path, facts in c_tree.INVENTORY["files"].items()}
    wanted = {f["name"] for name in ("hidma_ll.c", "hidma.c", "hidma_mgmt.c") for f in files[name]["functions"]}
    assert set(COMMENTARY) == wanted - {"to_hidma_dev_from_lldev"}
    known = {f["name"] for facts in files.values() for f in facts.get("functions", ())}
    for name, paragraphs in COMMENTARY.items():
        text = " ".join(paragraphs)
        assert all(paragraph.endswith(".") for paragraph in paragraphs), name
        assert set(re.findall(r"(\w*hidma_\w+)\(\)", text)) <= known, name
        assert {int(n) for n in re.findall(r"(?:rows? |and )(\d+)", text)} <= set(BY_NUMBER), name
    page = (pages / "hidma_ll.c.html").read_text()
    bar = page[page.index('id="f-hidma_ll_setup"'):page.index('id="f-hidma_ll_init"')]
    assert '<div class="note why"><p>Starts the accounts from zero' in bar
    assert f'<abbr title="{BY_NUMBER[12].title}">12</abbr>' in bar


def test_functions_and_constants_name_the_functions_that_use_them(pages: Path) -> None:
    page = (pages / "hidma_ll.c.html").read_text()
    bar = page[page.index('id="f-hidma_ll_setup"'):page.index('id="f-hidma_ll_init"')]
    users = re.search(r'Referenced by (.*?)</p>', bar)
    assert users is not None
    assert re.findall(r'href="([^"]+)"', users[1]) == [
        "hidma_ll.c.html#f-hidma_ll_int_handler_internal", "hidma_ll.c.html#f-hidma_ll_init", "hidma.c.html#f-hidma_terminate_all"]
    row = re.search(r"<code>EVCA_DOORBELL_OFFSET</code></a></td><td>(.*?)</td>", page)
    assert row is not None and "#f-hidma_handle_tre_completion" in row[1]


def test_index_goes_by_patch(pages: Path) -> None:
    index = (pages / "index.html").read_text()
    assert index.index("management driver") < index.index("channel driver") < index.index("low level")
    assert index.count('href="hidma_mgmt.c.html"') == 2  # patches 3 and 7
    assert "Linux 4.5-rc1" in index


def test_function_that_only_one_side_has(tmp_path: Path) -> None:
    def change(path: str, text: str) -> str:
        return text.replace("hidma_ll_isenabled(", "brand_new(") if path == LL else text
    page = build(from_kernel(c_tree.write(tmp_path / "linux", change)))["hidma_ll.c.html"]
    assert re.search(r'id="f-brand_new"><h2>brand_new</h2><span>[^·]*· only in C', page)
    assert "not in this copy of C" in page[page.index('id="f-hidma_ll_isenabled"'):]


def test_renamed_function_stands_beside_its_old_self(tmp_path: Path) -> None:
    def change(path: str, text: str) -> str:
        return text.replace("hidma_ll_pause(", "hidma_ll_disable(") if path == LL else text
    page = build(from_kernel(c_tree.write(tmp_path / "linux", change)))["hidma_ll.c.html"]
    assert "<h2>hidma_ll_disable / hidma_ll_pause</h2>" in page
    assert "is called hidma_ll_disable in this copy" in page


def test_without_a_tree_the_port_stands_alone(tmp_path: Path) -> None:
    write(tmp_path / "out", None)
    page = (tmp_path / "out" / "hidma_ll.c.html").read_text()
    assert 'id="c1"' not in page and 'body class="only-p"' in page
    assert "https://elixir.bootlin.com/linux/v6.1/A/ident/hidma_ll_setup" in page
    Read(page)


def test_same_tree_gives_the_same_pages(tree: Path) -> None:
    assert build(from_kernel(tree)) == build(from_kernel(tree))


# --- alignment --------------------------------------------------------------------------------------------------------


def test_alignment_keeps_every_line_in_order() -> None:
    left = ["int f(int a)", "{", "\t/* why */", "\tg(a, 0x10);", "", "\tif (!a)", "\t\treturn -EINVAL;", "\treturn 0;", "}"]
    right = ["def f(a: int) -> int:", '    """It is 0x10."""', "    g(a, 16)", "    # why", "    if not a:",
             "        return -EINVAL", "    return 0"]
    found = align.chunks(left, right)
    assert [n for c in found for n in range(*c.left)] == list(range(len(left)))
    assert [n for c in found for n in range(*c.right)] == list(range(len(right)))
    pairs = align.matches(left, right)
    assert {(0, 0), (3, 2), (6, 5)} <= set(pairs)


def test_alignment_of_nothing() -> None:
    assert align.chunks([], []) == []
    assert align.chunks(["a"], []) == [align.Chunk((0, 1), (0, 0))]
    assert align.rising([3, 1, 2, 5, 4]) in ([1, 2, 3], [1, 2, 4])
    assert align.rising([]) == []


# --- bad input --------------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence."""
    status = main(["sidebyside", *arguments])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err


def test_out_that_cannot_be_written(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file; -o names a directory" in refused(capsys, "--kernel", str(tree), "-o", str(tmp_path / "file"))
    assert "cannot be written: Not a directory" in refused(
        capsys, "--kernel", str(tree), "-o", str(tmp_path / "file" / "below"))
    assert "cannot be written" in refused(capsys, "--kernel", str(tree), "-o", "/proc/pages")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "is not empty and holds no pages" in refused(capsys, "--kernel", str(tree), "-o", str(tmp_path / "mine"))


def test_pages_may_be_written_again(pages: Path, tree: Path) -> None:
    assert main(["sidebyside", "--kernel", str(tree), "-o", str(pages)]) == 0


def test_whose_c(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "whose C?" in refused(capsys, "-o", str(tmp_path / "x"))
    assert "there is no such directory" in refused(capsys, "--kernel", str(tmp_path / "no"), "-o", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


# --- in a browser -----------------------------------------------------------------------------------------------------

with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")

TRY = """<!doctype html><title>waiting</title><body style="margin:0">
<iframe style="border:0;width:{width}px;height:800px" src="hidma_ll.c.html"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
    const page = frame.contentDocument;
    const found = {{width: page.documentElement.scrollWidth}};
    const sides = [...page.querySelectorAll(".rows")].filter(r => r.querySelector(".side.c .l") && r.querySelector(".side.p .l"));
    const tops = sides.map(r => [r.querySelector(".side.c").getBoundingClientRect().top,
                                 r.querySelector(".side.p").getBoundingClientRect().top]);
    found.beside = tops.every(t => t[0] === t[1]);
    const press = key => page.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {{key, bubbles: true}}));
    press("d");
    found.theme = page.documentElement.dataset.theme;
    press("h");
    found.c = frame.contentWindow.getComputedStyle(page.querySelector(".side.c")).display;
    press("b");
    const box = page.getElementById("search");
    box.value = "ll_setup";
    box.dispatchEvent(new frame.contentWindow.Event("input"));
    found.hit = page.querySelector("#found a").textContent;
    document.title = JSON.stringify(found);
}};</script>"""


@pytest.mark.browser
@with_chromium
@pytest.mark.parametrize("width", [390, 1300])
def test_keys_search_and_width_in_a_browser(pages: Path, tmp_path: Path, width: int) -> None:
    (pages / f"try{width}.htm").write_text(TRY.format(width=width))
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
         "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--dump-dom",
         (pages / f"try{width}.htm").as_uri()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert ":CONSOLE" not in done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert '"hit":"hidma_ll_setup"' in title[1]
    assert '"c":"none"' in title[1] and '"theme":"' in title[1]
    assert f'"beside":{str(width > 900).lower()}' in title[1]
    found = re.search(r'"width":(\d+)', title[1])
    assert found is not None and int(found[1]) <= width
