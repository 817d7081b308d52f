# SPDX-License-Identifier: GPL-2.0-only
"""The reset functions that the series comes with, each a plugin of its own: HIDMA channels, and the two network
controllers whose reset drivers the series touches. They stand for ``drivers/vfio/platform/reset/*.c``."""
