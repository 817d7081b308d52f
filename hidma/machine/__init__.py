# SPDX-License-Identifier: GPL-2.0-only
"""The public face: booting a board, and the client API of its DMA channels. It stands for no C file."""
