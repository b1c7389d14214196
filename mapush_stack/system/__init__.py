"""The operating system: atomic files, signals, processes, exit, GPU queries."""
