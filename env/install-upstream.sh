#!/bin/sh
# In a Docker build, install what upstream's own programs import into /opt/venv: the lock, and the GL library for OpenCV.
# A MAPush without its walking networks, which are large files, gets this project's.
set -eu
if ! ls /usr/lib/x86_64-linux-gnu/libGL.so.1 /usr/lib/x86_64-linux-gnu/libgthread-2.0.so.0 >/dev/null 2>&1; then
    if ! { apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0; }; then
        echo "Debian's packages libgl1 and libglib2.0-0 could not be installed, see above: a base that has them is" \
             "--build-arg PYTHON_IMAGE=..." >&2
        exit 1
    fi
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/ldconfig/aux-cache /var/cache/apt/*.bin
fi
if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi
export UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=CHECKED_HASH
export UV_DEFAULT_INDEX="$PIP_INDEX_URL" PATH="/opt/tools/bin:$PATH"
if ! python3 env/install.py /opt/venv/bin/python --upstream --project none; then
    echo "The package index $PIP_INDEX_URL failed, see above: another one is --build-arg PIP_INDEX_URL=..." >&2
    exit 1
fi
networks=/opt/MAPush/mqe/utils/locomotion_checkpoints/walk_these_ways
if [ ! -e "$networks/body_latest.jit" ]; then
    rm -f "$networks/adaptation_module_latest.jit"
    PYTHONDONTWRITEBYTECODE=1 /opt/venv/bin/mapush gym walker "$networks"
fi
