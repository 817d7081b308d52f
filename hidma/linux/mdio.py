# SPDX-License-Identifier: GPL-2.0-only
"""``<uapi/linux/mdio.h>``: registers of 10 Gbit PHYs, as far as the reset drivers use them."""

from __future__ import annotations

MDIO_MMD_PCS = 3
MDIO_MMD_AN = 7
MDIO_CTRL1 = 0
MDIO_CTRL1_RESET = 0x8000
MDIO_AN_CTRL1_ENABLE = 0x1000
