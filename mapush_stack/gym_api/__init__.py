"""Isaac Gym's programming interface over MuJoCo, for programs that were written for it (docs/gym_api.md)."""
