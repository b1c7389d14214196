"""OpenRL's MAPPO, and reading what OpenRL saves."""
