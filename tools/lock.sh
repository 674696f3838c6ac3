#!/bin/sh
# Write requirements.lock anew: exact versions and hashes for every platform, and no addresses.
set -eu
cd "$(dirname "$0")/.."

PATH="$PWD/.venv/bin:$PATH"
uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
    --extra run --extra test setup.cfg -o requirements.lock

if grep -qE '://' requirements.lock; then
    echo "requirements.lock names an address; a lock with exact versions and hashes needs none." >&2
    exit 1
fi
