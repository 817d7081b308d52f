# SPDX-License-Identifier: GPL-2.0-only
"""``tools/fuzz``: feeds the readers of foreign input with random bytes. It stands for no C file."""
