"""What keeps a run's machine and its software fit: patches of other programs."""
