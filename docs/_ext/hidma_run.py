# SPDX-License-Identifier: GPL-2.0-only
"""Examples that are run while the pages are built: ``run-python`` shows code and what it prints, ``run-hidma`` a
command and what it prints, ``run-trace`` the diagram of a trace, ``step-screen`` the screen of the stepper,
``explain-writes`` the register writes of a run with a reason for each. An example that does not end as the page says is an
error of the build. All run the Python sources, whatever was compiled.

The snippets of one page share their variables. Time in the machine is virtual, so the same build gives the same text.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NoReturn

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300


class Page:
    """What the examples of a page share: variables, and a directory in which they run."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.directory = tempfile.TemporaryDirectory(prefix="hidma-docs-")


PAGES: dict[str, Page] = {}


def page_of(env: BuildEnvironment) -> Page:
    """The page that is being read."""
    if env.docname not in PAGES:
        PAGES[env.docname] = Page()
    return PAGES[env.docname]


def block(text: str, language: str, *classes: str) -> nodes.literal_block:
    """A block of code or of output."""
    return nodes.literal_block(text, text, language=language, classes=list(classes))


class RunPython(SphinxDirective):
    """Run the content.

    ``:error:`` the snippet ends in an exception, whose last line is shown; ``:hide:`` nothing is shown, ``:output:``
    only what it prints.
    """

    has_content = True
    option_spec = {"error": directives.flag, "hide": directives.flag, "output": directives.flag}

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        page = page_of(self.env)
        source, line = self.get_source_info()
        out = io.StringIO()
        failed: Exception | None = None
        with contextlib.redirect_stdout(out), contextlib.chdir(page.directory.name):
            try:
                exec(compile(code, f"{source}:{line}", "exec"), page.names)
            except Exception as error:
                failed = error
        if failed is not None:
            if "error" not in self.options:
                raise self.error("the example failed:\n" + "".join(traceback.format_exception(failed)))
            out.write(traceback.format_exception_only(failed)[-1])
        elif "error" in self.options:
            raise self.error("the example was to fail and did not")
        shown: list[nodes.Node] = []
        if "hide" not in self.options:
            if "output" not in self.options:
                shown.append(block(code, "python"))
            if out.getvalue().strip():
                shown.append(block(out.getvalue().rstrip(), "none", "output"))
        return shown


def has_fuse() -> bool:
    """Whether ``hidma shell`` can be the system's shell here."""
    from hidma.commands.mount.fuse import Unusable, binding, check_device

    try:
        binding()
        check_device()
    except Unusable:
        return False
    return True


class RunHidma(SphinxDirective):
    """Run ``hidma ARGUMENTS`` and show it as ``$ tools/hidma ARGUMENTS``.

    ``:status:`` the exit status that it must have, 0 unless said; ``:head:`` show so many lines; ``:drawing:`` show the
    SVG that it has written under this name as well; ``:input:`` lines for its stdin, with a slash between them; ``:shell:``
    it needs the system's shell: without FUSE it is shown and not run. Other commands for ``hidma shell`` are simple enough for its
    small prompt.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {
        "status": directives.nonnegative_int,
        "head": directives.positive_int,
        "drawing": directives.unchanged_required,
        "input": directives.unchanged,
        "shell": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        command = self.arguments[0]
        prompt = f"$ tools/hidma {command}"
        if importlib.util.find_spec("hidma.commands.main") is None:
            return [block(prompt, "none")]
        words = shlex.split(command)
        if words[0] == "shell" and not has_fuse():
            if "shell" in self.options:
                return [block(prompt, "none")]
            words.insert(1, "--simple")
        typed = [line.strip() for line in self.options.get("input", "").split("/") if line.strip()]
        done = hidma(self.env, words, typed=typed)
        if typed:
            prompt += f"    # then: {', '.join(typed)}"
        wanted = self.options.get("status", 0)
        if done.returncode != wanted:
            raise self.error(f"hidma {command} ended with {done.returncode}, not {wanted}:\n{done.stdout}")
        lines = done.stdout.rstrip().splitlines()
        head = self.options.get("head")
        if head is not None and len(lines) > head:
            lines = [*lines[:head], "..."]
        shown: list[nodes.Node] = [block("\n".join([prompt, *lines]), "none", "output")]
        if "drawing" in self.options:
            path = Path(page_of(self.env).directory.name, self.options["drawing"])
            if not path.is_file():
                raise self.error(f"hidma {command} has not written {self.options['drawing']}")
            shown.append(nodes.raw("", f'<div class="plot">{path.read_text(encoding="utf-8")}</div>', format="html"))
        return shown


@dataclass
class Done:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def hidma(env: BuildEnvironment, arguments: list[str], apart: bool = False, typed: Sequence[str] = ()) -> Done:
    """Run ``hidma`` in the directory of the page, with the sources, in a fork of this process, which has them loaded.

    :param apart: keep stderr apart; else it is part of stdout
    :param typed: lines for its stdin
    """
    directory = page_of(env).directory.name
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        stdin.write("".join(f"{line}\n" for line in typed).encode())
        stdin.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.chdir(directory)
            os.dup2(stdin.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno() if apart else 1, 2)
            run_in_child(arguments)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            raise ExtensionError(f"hidma {shlex.join(arguments)} did not end within {SECONDS} s")
        out.seek(0)
        errors.seek(0)
        return Done(os.waitstatus_to_exitcode(status), out.read().decode(), errors.read().decode())


def run_in_child(arguments: list[str]) -> NoReturn:
    """``hidma ARGUMENTS`` as if the process had just been started; ends the process."""
    status = 1
    try:
        signal.alarm(SECONDS)
        os.environ.pop("FORCE_COLOR", None)
        os.environ |= {"PYTHONPATH": str(ROOT), "COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        sys.stdin, sys.stdout = open(0, encoding="utf-8", closefd=False), open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.argv = [str(ROOT / "hidma" / "__main__.py"), *arguments]
        from hidma.commands.main import main

        status = main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


class RunTrace(SphinxDirective):
    """Run ``hidma trace --format svg ARGUMENTS`` and show the diagram, which scrolls sideways where it is too wide."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"caption": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        done = hidma(self.env, ["trace", "--format", "svg", *shlex.split(self.arguments[0])], apart=True)
        if done.returncode != 0 or not done.stdout.startswith("<svg"):
            raise self.error(f"hidma trace {self.arguments[0]} gave no diagram:\n{done.stderr}")
        caption = self.options.get("caption", f"tools/hidma trace --format svg {self.arguments[0]}")
        name = f"trace-{self.env.docname.replace('/', '-')}-{self.env.new_serialno('hidma-trace')}"
        # the colours of a diagram are its own: names in one do not meet those in another
        drawing = re.sub(r"<style>(.*?)</style>", lambda m: f"<style>{scoped(m[1], name)}</style>", done.stdout, flags=re.DOTALL)
        drawing = drawing.replace("<svg ", f'<svg id="{name}" ', 1)
        html = f'<div class="trace-diagram" tabindex="0">{drawing}</div><p class="trace-caption">{escape(caption)}</p>'
        return [nodes.raw("", html, format="html")]


def scoped(style: str, name: str) -> str:
    """Rules of a style sheet for what is inside of the element ``name``; Furo turns dark by an attribute of the body."""
    light, _, dark = style.partition("@media(prefers-color-scheme:dark){")

    def rules(text: str, above: str) -> str:
        return re.sub(r"(\.[\w-]+)(\{[^}]*\})", lambda m: f"{above}#{name} {m[1]}{m[2]}", text)

    body = dark.strip().removesuffix("}")
    return (rules(light, "") + rules(body, 'body[data-theme="dark"] ')
            + "@media(prefers-color-scheme:dark){" + rules(body, 'body:not([data-theme="light"]) ') + "}")


class ExplainWrites(SphinxDirective):
    """``explain-writes ARGUMENTS``: run ``hidma trace ARGUMENTS`` and explain each register write of it.

    The content has a line for each write, in order: ``REGISTER = value: why``; a line that begins with a blank goes on
    with the one before. Anything else than what the run writes is an error.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        arguments = ["trace", "--format", "json", "--kind", "write", *shlex.split(self.arguments[0])]
        done = hidma(self.env, arguments, apart=True)
        if done.returncode != 0:
            raise self.error(f"hidma trace {self.arguments[0]} failed:\n{done.stderr}")
        told: list[str] = []
        for line in self.content:
            if line[:1] in (" ", "") and told:
                told[-1] += " " + line.strip()
            elif line.strip():
                told.append(line.strip())
        written = [(e["time"], f"{e['data']['register']} = {e['data']['value']:#x}") for e in json.loads(done.stdout)]
        explained = [tuple(part.strip() for part in line.partition(": ")[::2]) for line in told]
        if [what for _, what in written] != [what for what, _ in explained]:
            wanted = "\n".join(what for _, what in written)
            raise self.error(f"the run writes these, and the page explains others:\n{wanted}")
        rows = [".. list-table::", "   :header-rows: 1", "   :widths: 36 64", "   :class: writes", ""]
        rows += ["   * - Written, at", "     - What it does"]
        for (time, what), (_, why) in zip(written, explained, strict=True):
            rows += [f"   * - ``{what}``", "", f"       {time} ns", f"     - {why}"]
        holder = nodes.container()
        self.state.nested_parse(StringList(rows, self.name), 0, holder)
        return holder.children


class StepScreen(SphinxDirective):
    """``step-screen COMMAND, COMMAND... -- WORDS``: the screen of ``hidma step`` after commands of its dialogue, as a picture."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        import asyncio

        from hidma.commands.main import cli
        from hidma.commands.step.engine import Session
        from hidma.commands.step.screen import Screen
        from hidma.commands.trace.run import runner

        commands, _, rest = self.arguments[0].partition("--")
        words = shlex.split(rest)
        session = Session(lambda: runner(cli, words, words))

        async def picture() -> str:
            app = Screen(session)
            async with app.run_test(size=(132, 46)) as pilot:
                await app.workers.wait_for_complete()
                for command in commands.split(","):
                    app.move(lambda command=command: app.dialogue.command(command))
                    await app.workers.wait_for_complete()
                    await pilot.pause()
                return app.export_screenshot(title=f"hidma step -- {rest.strip()}", simplify=True)

        with contextlib.chdir(page_of(self.env).directory.name):
            try:
                drawing = asyncio.run(picture())
            finally:
                session.close()
        # the picture loads a font from elsewhere; any fixed one will do
        drawing = re.sub(r"@font-face\s*\{.*?\}", "", drawing, flags=re.DOTALL)
        drawing = re.sub(r"font-family:\s*Fira Code", "font-family: ui-monospace", drawing)
        drawing = re.sub(r"terminal-\d+-", f"terminal-{self.env.new_serialno('hidma-step')}-", drawing)
        return [nodes.raw("", f'<div class="trace-diagram" tabindex="0">{drawing}</div>', format="html")]


class File(SphinxDirective):
    """``example-file NAME``: show the content and keep it as a file for the examples of the build."""

    required_arguments = 1
    has_content = True
    option_spec = {"language": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content) + "\n"
        Path(page_of(self.env).directory.name, self.arguments[0]).write_text(text, encoding="utf-8")
        return [block(text.rstrip(), self.options.get("language", "none"))]


def end_page(app: Sphinx, *_: Any) -> None:
    """A page was read: what its examples had is of no use any more."""
    for page in PAGES.values():
        page.directory.cleanup()
    PAGES.clear()


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("run-python", RunPython)
    app.add_directive("run-hidma", RunHidma)
    app.add_directive("run-trace", RunTrace)
    app.add_directive("explain-writes", ExplainWrites)
    app.add_directive("step-screen", StepScreen)
    app.add_directive("example-file", File)
    app.connect("doctree-read", end_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
