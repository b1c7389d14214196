"""`mapush guard`: runs any program so that it ends cleanly and with its true exit code."""
