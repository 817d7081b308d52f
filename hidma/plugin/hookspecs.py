# SPDX-License-Identifier: GPL-2.0-only
"""The hooks of a reset plugin, for `pluggy <https://pluggy.readthedocs.io>`_: what a package gives hidma so that a device
is modelled, and can be reset between its owners. It stands for no C file; the modules under ``drivers/vfio/platform/reset`` are
what a plugin is here. :mod:`hidma.plugin.sources` finds plugins, :mod:`hidma.plugin.loading` checks and loads them.

This module is stable: its names and signatures change only together with ``HOOKSPEC_VERSION``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from hidma.hw.device import DeviceModel
    from hidma.vfio_platform import ResetModule

#: The version of these hooks. A plugin that was written for another one says so with ``hidma_hookspec_version``.
HOOKSPEC_VERSION = 1

#: The name of the project towards pluggy, and the group of entry points that reset plugins are found in.
PROJECT = "hidma_reset"
ENTRY_POINT_GROUP = "hidma.reset"

#: The group of entry points for devices that a plugin has a model of and no reset function that is found by this name.
MODEL_GROUP = "hidma.model"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(firstresult=True)
def hidma_reset_module() -> ResetModule:
    """The module that registers the reset function: what ``module_vfio_reset_handler()`` returned. Every plugin of the group
    ``hidma.reset`` has this hook."""
    raise NotImplementedError


@hookspec(firstresult=True)
def hidma_hookspec_version() -> int:
    """The version of the hooks that the plugin was written for. A plugin may have an integer of this name in place of the hook;
    without either it is version 1."""
    raise NotImplementedError


@hookspec(firstresult=True)
def hidma_device_model(stuck: bool) -> DeviceModel:
    """A model of the device: what stands behind its registers on a machine, and what ``hidma reset-plugins check`` and
    ``hidma.testing`` prove the reset function on.

    :param stuck: whether the device shall never end its reset
    """
    raise NotImplementedError
