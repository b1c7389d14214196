"""The kinds of robots. Importing this registers the project's own."""

from . import go1, go2, planar, rover, variants
from .base import ROBOTS

__all__ = ["ROBOTS"]

ROBOTS.register("planar", planar.Planar)
ROBOTS.register("go1", go1.Go1)
ROBOTS.register("go2", go2.Go2)
ROBOTS.register("rover", rover.Rover)
ROBOTS.register("planar-strong", variants.Strong)
ROBOTS.register("planar-weak", variants.Weak)
ROBOTS.register("planar-fast", variants.Fast)
ROBOTS.register("planar-slow", variants.Slow)
