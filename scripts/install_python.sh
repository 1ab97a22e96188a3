#!/bin/sh
# Makes .venv and installs the locked Python packages into it: with uv where that works, with pip otherwise.
# Usage: PYTHON=python3 sh scripts/install_python.sh
set -eu
PYTHON=${PYTHON:-python3}
LOCK=backend/requirements-dev.txt
export PIP_DISABLE_PIP_VERSION_CHECK=1
# Behind a proxy the system's certificates are the ones that count.
export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true

if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$PYTHON" .venv
    if uv pip sync --python .venv --require-hashes "$LOCK"; then
        exit 0
    fi
else
    [ -x .venv/bin/pip ] || "$PYTHON" -m venv --clear .venv
    if .venv/bin/python -m pip install --quiet --require-hashes -r backend/requirements-installer.txt &&
        .venv/bin/uv pip install --python .venv --require-hashes -r "$LOCK"; then
        exit 0
    fi
fi

# uv does not read pip's configuration, so pip may know the way to a registry where uv does not.
echo "uv could not install the packages; pip does it now and needs about half a minute."
[ -x .venv/bin/pip ] || "$PYTHON" -m venv --clear .venv
.venv/bin/python -m pip install --require-hashes --progress-bar off -r "$LOCK"
