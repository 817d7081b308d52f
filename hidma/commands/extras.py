# SPDX-License-Identifier: GPL-2.0-only
"""Optional dependencies of a command: its extra in pyproject.toml is installed when the command first needs it, or the
command that installs it is shown. It stands for no C file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

import click


def install_command(extra: str) -> str:
    """The command that installs an extra: from the directory that hidma was installed from where that still is there."""
    place = "hidma"
    try:
        origin = json.loads(distribution("hidma").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    path = unquote(urlsplit(origin.get("url", "")).path)
    if os.path.isfile(os.path.join(path, "pyproject.toml")):
        place = f"-e {path}" if origin.get("dir_info", {}).get("editable") else path
    return f"pip install '{place}[{extra}]'".replace("'-e ", "-e '")


@contextmanager
def requires(extra: str, otherwise: str = "") -> Iterator[None]:
    """Import what an extra brings inside this context.

    In a process started by a script in tools/, a missing module starts that script again with the same arguments, which
    installs the extra first.

    :param extra: its name in pyproject.toml
    :param otherwise: what works without it, for the message
    :raises click.ClickException: the module is missing: a sentence with the command that installs it
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "hidma").partition(".")[0] == "hidma":
            raise
        tool, tried = os.environ.get("HIDMA_TOOL"), os.environ.get("HIDMA_EXTRAS", "").split()
        if tool and extra not in tried:
            sys.stdout.flush()
            os.environ["HIDMA_EXTRAS"] = " ".join([*tried, extra])
            os.execv(tool, [tool, *sys.argv[1:]])
        advice = "; ".join(filter(None, (install_command(extra), otherwise)))
        raise click.ClickException(f"this needs the Python module {error.name}: {advice}") from None
