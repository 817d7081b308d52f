# SPDX-License-Identifier: GPL-2.0-only
"""``python -m hidma``: the command line."""

import sys

from hidma.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
