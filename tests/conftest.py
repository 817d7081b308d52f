# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from linux_rig import Rig


@pytest.fixture
def linux_rig() -> Iterator[Callable[..., Rig]]:
    """``linux_rig(cpus=2)``: a :class:`linux_rig.Rig`; all of them are closed at the end."""
    made: list[Rig] = []

    def make(*args: Any, **options: Any) -> Rig:
        made.append(Rig(*args, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(linux_rig: Callable[..., Rig]) -> Rig:
    """A rig with one CPU."""
    return linux_rig()
