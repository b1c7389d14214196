"""This project's own MAPPO and HAPPO: they know tensors, not robots."""
