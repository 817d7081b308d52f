# SPDX-License-Identifier: GPL-2.0-only
"""``python -m hidma``, and the program ``hidma``: the command line."""

import sys


def main() -> int:
    """Run it; Ctrl-C while it is still imported ends it as later. Returns the exit status."""
    try:
        from hidma.commands.main import main as run

        return run()
    except KeyboardInterrupt:
        print("hidma: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
