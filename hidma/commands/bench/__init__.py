# SPDX-License-Identifier: GPL-2.0-only
"""``tools/bench``: speed as a ratio to a C floor of the same work. It stands for no C file."""
