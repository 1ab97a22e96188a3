#!/bin/sh
# Writes the page's types from the API's own description; --check only compares.
# Usage: sh scripts/generate_schema.sh [--check]
set -eu
types=frontend/src/types/schema.gen.ts
fresh=.tmp/schema
mkdir -p "$fresh"

.venv/bin/paceline openapi "$fresh/openapi.json"
node_modules/.bin/openapi-typescript "$fresh/openapi.json" --output "$fresh/schema.gen.ts" >/dev/null

if [ "${1:-}" != "--check" ]; then
    mkdir -p "$(dirname "$types")"
    cp "$fresh/schema.gen.ts" "$types"
    echo "wrote $types"
elif diff -u "$types" "$fresh/schema.gen.ts"; then
    echo "$types fits the API"
else
    echo "$types does not fit the API any more; write it anew with: make schema" >&2
    exit 1
fi
