#!/bin/sh
# Entry point of every container. docker-compose.yml starts it as root; it becomes the owner of the results folder, so that
# runs belong to the caller. Under `docker run`, without root, it changes nothing.
set -eu
if [ "$(id -u)" = 0 ]; then
    owner=$(stat -c %u /opt/mapush/results)
    group=$(stat -c %g /opt/mapush/results)
    exec setpriv --reuid "$owner" --regid "$group" --clear-groups -- "$@"
fi
exec "$@"
