"""The simulators: bodies and velocity commands, never rewards."""
