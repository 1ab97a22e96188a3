#!/bin/sh
# Writes the hash-locked requirement files anew from pyproject.toml; they name no registry.
# Usage, inside backend/: sh ../scripts/lock_python.sh
set -eu
compile() {
    uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 "$@"
}
compile pyproject.toml --output-file requirements.txt
compile --group dev pyproject.toml --output-file requirements-dev.txt
