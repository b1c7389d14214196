"""mapush_stack: two Unitree Go1 robots learn to push a box to a goal (MAPush, arXiv 2411.07104)."""

__version__ = "0.1.0"
