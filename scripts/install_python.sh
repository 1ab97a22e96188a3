#!/bin/sh
# Makes .venv and installs the locked Python packages into it: with uv where possible, with pip otherwise.
# Usage: PYTHON=python3 sh scripts/install_python.sh
set -eu
PYTHON=${PYTHON:-python3}
lock=backend/requirements-dev.txt

if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$PYTHON" .venv
    uv pip sync --python .venv --require-hashes "$lock"
    exit
fi
[ -x .venv/bin/pip ] || "$PYTHON" -m venv --clear .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
if .venv/bin/python -m pip install --quiet --require-hashes -r backend/requirements-installer.txt; then
    .venv/bin/uv pip install --python .venv --require-hashes -r "$lock"
else
    echo "uv is not to be had for this machine; pip takes its place and needs about half a minute."
    .venv/bin/python -m pip install --require-hashes -r "$lock"
fi
