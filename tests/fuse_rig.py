# SPDX-License-Identifier: GPL-2.0-only
"""Whether file systems can be mounted here, for the tests that do."""

from __future__ import annotations

import os

import pytest


def why_not() -> str:
    """Why nothing can be mounted here; '' when it can."""
    if os.geteuid() != 0:
        return "only root mounts in the tests"
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse here"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    try:
        import mfusepy  # noqa: F401
    except ImportError:
        return "the Python package mfusepy is not installed (the extra 'fuse' brings it)"
    except OSError:
        return "the library libfuse3 is not here: apt-get install libfuse3-3"
    return ""


NOT_HERE = why_not()
needs_fuse = [pytest.mark.fuse, pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)]
