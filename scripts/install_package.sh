#!/bin/sh
# Installs Paceline itself into .venv as an editable package, without fetching anything.
# Usage: sh scripts/install_package.sh
set -eu
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python .venv --no-deps --no-build-isolation -e backend
elif [ -x .venv/bin/uv ]; then
    .venv/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e backend
else
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e backend
fi
