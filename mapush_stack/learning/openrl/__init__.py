"""OpenRL's own MAPPO (OpenRL 0.2.0): `mapush train --learner openrl`."""
