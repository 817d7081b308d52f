# SPDX-License-Identifier: GPL-2.0-only
"""The hooks of a reset plugin, under the name that plugins import; they are defined in :mod:`hidma.plugin.hookspecs`."""

from hidma.plugin.hookspecs import *  # noqa: F403
