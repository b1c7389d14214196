"""The operating system: atomic and stored files, signals, child processes, exit, GPU queries."""
