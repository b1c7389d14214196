#!/bin/sh
# Entry point of every container. docker-compose.yml starts it as root and mounts the checkout's sources at /checkout; it becomes
# the owner of the results folder, so that runs belong to the caller. Under `docker run`, without root, it becomes nobody else.
set -eu
results=/opt/mapush/results
user=$(id -u)

for part in /checkout/*; do
    [ -d "$part" ] || continue
    code=0
    changed=$(diff -rq --no-dereference -x __pycache__ "$part" "/opt/mapush/${part##*/}" 2>/dev/null) || code=$?
    [ "$code" = 1 ] || continue
    echo "warning: the image was built from other sources than the checkout ($(echo "$changed" | wc -l) files differ, the first:" \
         "$(echo "$changed" | head -n 1)); build it again, or use the service dev" >&2
done

if [ "$user" = 0 ]; then
    owner=$(stat -c %u:%g "$results")
    caller=$owner
    if [ -e /checkout/mapush_stack ]; then caller=$(stat -c %u:%g /checkout/mapush_stack); fi
    # Docker makes a folder that it is to mount and that is missing, as root. (A caller of 0 is root, or the user of a rootless engine.)
    if [ "${owner%:*}" = 0 ] && [ "${caller%:*}" != 0 ]; then
        if [ -n "$(find "$results" -mindepth 1 -print -quit)" ]; then
            echo "mapush: the folder results belongs to root, but the checkout to user ${caller%:*}: sudo chown -R ${caller%:*} results" >&2
            exit 2
        fi
        chown "$caller" "$results"
        owner=$caller
    fi
    user=${owner%:*}
fi

# Each user's own caches: the volume may be another user's too.
export XDG_CACHE_HOME="/home/mapush/.cache/$user"
mkdir -p "$XDG_CACHE_HOME" 2>/dev/null || unset XDG_CACHE_HOME
if [ "$(id -u)" = 0 ]; then
    if [ "$user" != 0 ]; then chown "$owner" "$XDG_CACHE_HOME"; fi
    exec setpriv --reuid "$user" --regid "${owner#*:}" --clear-groups --inh-caps=-all -- "$@"
fi
exec "$@"
