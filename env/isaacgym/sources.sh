#!/bin/sh
# sources.sh NAME FOLDER: fetch a program that this project was made for, at its commit: MAPush, HARL, legged_gym, rsl_rl.
set -eu
case $1 in
MAPush)
    set -- "$1" "$2" MAPUSH_URL "${MAPUSH_URL:-https://github.com/collaborative-mapush/MAPush}" \
        0e61e1bac03ed42300b48bb988d4a5b87cdee13b 4b47a8ed0aa0951e4572c8511d65c6f06a8cd4ed63336549e9b7683417c4d228 ;;
HARL)
    set -- "$1" "$2" HARL_URL "${HARL_URL:-https://github.com/PKU-MARL/HARL}" \
        d539bad20f677bc4ce9fa200fa5de31b5f0b9d37 161c043f7e621ff9ec2220d742b8cb0dfd844b61d0ad7aef83a11b082167dfe5 ;;
legged_gym)
    set -- "$1" "$2" LEGGED_GYM_URL "${LEGGED_GYM_URL:-https://github.com/leggedrobotics/legged_gym}" \
        8fa29acc6fd1910c3d9659eef6310bdd301cde0a 57ebf573c56a11fcb2e0ef3c9558b2e9f9771392e165198d63289db1044e9d03 ;;
rsl_rl) # 1.0.2
    set -- "$1" "$2" RSL_RL_URL "${RSL_RL_URL:-https://github.com/leggedrobotics/rsl_rl}" \
        2ad79cf0caa85b91721abfe358105f869a784121 59c4f97f27f3b4def5166a5a75e43be0aad5ebe23b850f8024a8e4225cd6a0f6 ;;
*)
    echo "sources.sh: $1 is none of MAPush, HARL, legged_gym and rsl_rl" >&2
    exit 2 ;;
esac
if ! "$(dirname "$0")/fetch.sh" "$4" "$5" "$6" "$2"; then
    echo "$1 could not be fetched, see above: a mirror is --build-arg $3=..." >&2
    exit 1
fi
