#!/bin/sh
# What every container starts with. docker-compose.yml starts it as root, and it becomes whoever owns the results folder,
# so that a run belongs to the caller, whatever their user id; under `docker run`, without root, it changes nothing.
set -eu
if [ "$(id -u)" = 0 ]; then
    owner=$(stat -c %u /opt/mapush/results)
    group=$(stat -c %g /opt/mapush/results)
    exec setpriv --reuid "$owner" --regid "$group" --clear-groups -- "$@"
fi
exec "$@"
