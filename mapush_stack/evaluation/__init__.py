"""The published evaluation protocol, and policies from this project and from others."""
