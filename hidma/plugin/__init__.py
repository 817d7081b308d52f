# SPDX-License-Identifier: GPL-2.0-only
"""Reset plugins: their hooks, how they are found and loaded, and the checks that test them. It stands for no C file."""
