# SPDX-License-Identifier: GPL-2.0-only
"""The hardware model: memory, bus, time, interrupt lines, the HIDMA core. It imports nothing of the packages above it."""
