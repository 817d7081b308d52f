# SPDX-License-Identifier: GPL-2.0-only
"""The map from the C files of the series to the port (``hidma portmap``): every function, constant, struct, parameter and
id with its place on both sides, the recorded runs that pass through it and what docs/quirks says; and a comparison
with the user's own copy of the C files. It stands for no C file, and has no line of one in it.
"""
