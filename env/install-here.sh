#!/bin/sh
# install-here.sh [FOLDER...]: in a Docker build, install these source trees and the project into /opt/venv, as they lie.
# Works offline. uv's note of when it installed them goes, and compiled modules hold hashes, so that builds are the same.
set -eu
export UV_NO_CACHE=1 UV_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
for folder in "$@" /opt/mapush; do
    uv pip install --quiet --python /opt/venv --no-deps --no-build-isolation -e "$folder"
done
for info in /opt/venv/lib/python3*/site-packages/*.dist-info; do
    if [ -e "$info/uv_cache.json" ]; then
        rm "$info/uv_cache.json"
        sed -i '/uv_cache.json/d' "$info/RECORD"
    fi
done
/opt/venv/bin/python -m compileall -q --invalidation-mode checked-hash /opt/mapush/mapush_stack
