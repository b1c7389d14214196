"""The package `isaacgym` of `mapush gym run`: Isaac Gym's names over MuJoCo (mapush_stack/gym_api)."""

from mapush_stack.gym_api import activation

activation.activate()
