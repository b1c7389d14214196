"""Training: configuration, the loop, the run directory, checkpoints, logs."""
