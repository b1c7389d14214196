#!/bin/sh
# MAPush's own training by OpenRL, over MuJoCo; options are those of its openrl_ws/train.py. It writes below its current
# folder, which is a new one in results/MAPush here, with links to its own files in /opt/MAPush, unedited: it names a
# run by the hour, and fails if an earlier one has the name.
set -eu
work=/opt/mapush/results/MAPush/$(date +%Y-%m-%d-%H-%M-%S)
mkdir -p "$work/docs/gif" "$work/docs/video"
for name in mqe openrl_ws resources script task; do
    ln -sfn "$MAPUSH_SRC/$name" "$work/$name"
done
cd "$work"
export PYTHONPATH="$MAPUSH_SRC"
exec mapush gym run --engine "$MAPUSH_GYM" -- python openrl_ws/train.py --task go1push_mid --exp_name cuboid --algo ppo \
    --config ./openrl_ws/cfgs/ppo.yaml --seed 1 --headless --use_tensorboard --num_envs 200 --train_timesteps 10000000 "$@"
