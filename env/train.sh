#!/bin/sh
# `mapush train` with the options of the service, which MAPUSH_TRAIN_OPTIONS holds. A resumed run has its own configuration.
set -eu
for word in "$@"; do
    case $word in --resume | --resume=*) exec mapush train "$@" ;; esac
done
# shellcheck disable=SC2086
exec mapush train ${MAPUSH_TRAIN_OPTIONS:-} "$@"
