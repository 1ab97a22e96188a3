#!/bin/sh
# Says in plain words what the set-up needs and this machine lacks: everything at once, one sentence each.
# Usage: PYTHON=python3 sh scripts/check_tools.sh
PYTHON=${PYTHON:-python3}
missing=0

lacks() {
    printf '  - %s\n' "$1" >&2
    missing=1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

has git || lacks "git is not installed."

if ! has "$PYTHON"; then
    lacks "$PYTHON is not installed; Python 3.11 or newer is needed (set PYTHON=/path/to/python for another one)."
elif ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    lacks "$PYTHON is $("$PYTHON" --version 2>&1); 3.11 or newer is needed (set PYTHON=/path/to/python for another one)."
elif ! has uv && ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    lacks "$PYTHON lacks its venv module (Debian: apt-get install python3-venv); uv would do as well."
fi

if ! has node; then
    lacks "Node.js is not installed; 20.19 or newer is needed."
elif ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
    lacks "Node.js is $(node --version); 20.19 or newer is needed."
fi

has npm || lacks "npm is not installed; it usually comes with Node.js."

if [ "$missing" -ne 0 ]; then
    printf 'Paceline cannot be set up yet; the sentences above say what is missing. Nothing was changed.\n' >&2
    exit 1
fi
