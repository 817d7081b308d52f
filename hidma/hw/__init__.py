# SPDX-License-Identifier: GPL-2.0-only
"""The hardware model: memory, bus, time, interrupt lines, the HIDMA core. It knows nothing of the floors above it."""
