# SPDX-License-Identifier: GPL-2.0-only
"""The checks of a reset plugin, under the name that plugins import; they are defined in :mod:`hidma.plugin.testing`."""

from hidma.plugin.testing import *  # noqa: F403
