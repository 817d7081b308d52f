# SPDX-License-Identifier: GPL-2.0-only
# For the scripts beside it, which set $tools: finds a Python that is new enough and hands over to _env.py, which keeps the
# private environment .venv of the checkout.

start() {
    python=$tools/../.venv/bin/python
    if ! [ -x "$python" ]; then
        python=
        for name in python3 python3.14 python3.13 python3.12 python3.11; do
            if "$name" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                python=$name
                break
            fi
        done
    fi
    if [ -z "$python" ]; then
        version=$(python3 --version 2>/dev/null) || version=none
        echo "hidma: needs Python 3.11 or newer, and here is $version: apt-get install python3 python3-venv" \
            "(where that is older: python3.11 python3.11-venv)" >&2
        exit 1
    fi
    exec "$python" -I -S "$tools/_env.py" "$@"
}
