# SPDX-License-Identifier: GPL-2.0-only
"""``hidma sidebyside``: writes the pages. It stands for no C file."""

from __future__ import annotations

from pathlib import Path

import click

from hidma.commands.output import output_directory
from hidma.commands.portmap.cli import copy_options, load_tree
from hidma.commands.portmap.tree import Tree

#: Says that a directory is one of ours, to be written again.
MARK = "names.js"


def write(out: Path, tree: Tree | None) -> int:
    """Write the pages into a directory.

    :param tree: the user's copy, None for the port alone
    :returns: how many files
    :raises click.ClickException: the directory is something else, or cannot be written
    """
    from hidma.commands.sidebyside.pages import build

    try:
        if out.exists() and not out.is_dir():
            raise click.ClickException(f"{out} is a file; -o names a directory for the pages")
        if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
            raise click.ClickException(f"{out} is not empty and holds no pages of `hidma sidebyside`; name another directory")
        made = build(tree)
        with output_directory(out) as place:
            for name, text in made.items():
                (place / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{error.filename or out} cannot be written: {error.strerror}") from None
    return len(made)


@click.command("sidebyside")
@copy_options
@click.option("-o", "--output", "out", metavar="OUT", required=True, help="The directory for the pages.")
def sidebyside(kernel: str | None, patch: str | None, out: str) -> int:
    """Write pages with the C files on the left and the port on the right.

    The text of the C files comes from your copy, a kernel tree of any version or the series as it was posted (extra
    `source`). Lines that say the same thing stand at the same height; notes say what V14 does. The pages are static and
    need no network: open OUT/index.html.
    """
    if kernel is None and patch is None:
        raise click.ClickException("whose C? --kernel DIR names a kernel tree, --patch FILE the series as it was posted")
    tree = load_tree(kernel, patch)
    assert tree is not None
    count = write(Path(out), tree)
    click.echo(f"{count} files in {out}; open {Path(out) / 'index.html'}")
    return 0
