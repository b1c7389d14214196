#!/bin/sh
# fetch.sh URL COMMIT SHA256 FOLDER: fetch one commit of a git repository, without its history. git checks every file
# against the commit's name (SHA-1); the Python sources are also checked, all together, against SHA256.
set -eu
mkdir -p "$4"
cd "$4"
git init --quiet
git fetch --quiet --depth 1 "$1" "$2"
git -c advice.detachedHead=false checkout --quiet FETCH_HEAD
digest=$(git ls-files -z '*.py' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
if [ "$digest" != "$3" ]; then
    echo "The Python sources of $1 at $2 have SHA-256 $digest, not $3: fetch them from their own repository." >&2
    exit 2
fi
rm -rf .git
