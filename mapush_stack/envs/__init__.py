"""The environment: the task over a simulator."""
