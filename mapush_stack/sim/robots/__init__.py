"""The kinds of robots. Importing this registers the project's own."""

from . import go1, planar
from .base import ROBOTS

__all__ = ["ROBOTS"]

ROBOTS.register("planar", planar.Planar)
ROBOTS.register("go1", go1.Go1)
