# SPDX-License-Identifier: GPL-2.0-only
"""The C files of the series beside the port (``hidma sidebyside``): static pages, made from the user's own copy of the C
files at that moment. It stands for no C file.
"""
