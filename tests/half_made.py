# SPDX-License-Identifier: GPL-2.0-only
"""Each method and function of the compiled modules is called with objects that were never initialised, with NULL and with
numbers, each call in a process of its own; prints how many calls there were, and each that crashed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import hidma

MOST_ARGUMENTS = 4
SECONDS = 5  # a call may wait for something


def classes(module: ModuleType) -> Iterator[type]:
    """The classes that ``module`` defines, but for exceptions."""
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__ == module.__name__ and not issubclass(value, BaseException):
            yield value


def quietly(call: Callable[[], Any]) -> None:
    """Make a call, whatever it raises."""
    with suppress(BaseException):
        call()


def survives(call: Callable[[], Any]) -> bool:
    """Whether a process that makes the call is not ended by a signal."""
    child = os.fork()
    if not child:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            signal.alarm(SECONDS)
            call()
        except BaseException:
            pass
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGALRM


def calls(modules: list[ModuleType]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each call, with its name."""
    plain: list[tuple[Any, ...]] = [(value,) * n for n in range(MOST_ARGUMENTS + 1) for value in ((None, 0) if n else (None,))]
    for module in modules:
        for cls in classes(module):
            for name in dir(cls):
                if name.startswith("__"):
                    continue
                for args in plain if callable(getattr(cls, name, None)) else [()]:
                    yield f"{module.__name__}.{cls.__name__}.{name}{args}", (
                        lambda cls=cls, name=name, args=args: (  # type: ignore[misc]
                            attribute(*args) if callable(attribute := getattr(cls.__new__(cls), name)) else None))
        for name, function in vars(module).items():
            if callable(function) and not inspect.isclass(function) and getattr(function, "__module__", "") == module.__name__:
                for args in plain:
                    yield f"{module.__name__}.{name}{args}", lambda function=function, args=args: function(*args)  # type: ignore[misc]


def compiled_modules(built: dict[str, Any]) -> list[ModuleType]:
    """The modules that were compiled, without what is private to the build and the bench."""
    return [importlib.import_module(name) for name in built["modules"] if not name.endswith(".core") and "_cyshared" not in name]


def main() -> int:
    built = json.loads((Path(hidma.__file__).parent / "_built.json").read_text())
    modules = [module for module in compiled_modules(built) if not sys.argv[1:] or module.__name__ in sys.argv[1:]]
    crashed = []
    count = 0
    for name, call in calls(modules):
        count += 1
        if not survives(call):
            crashed.append(name)
    print(f"{count} calls, {len(crashed)} crashed")
    print("\n".join(crashed), end="")
    return bool(crashed)


if __name__ == "__main__":
    sys.exit(main())
