"""Whether machine and environment are fit: what is there (facts, probes), what that means (checks), mending (fixes)."""
