"""What a crash was: rules as data (rules), what they say of a log (log, diagnosis), running a command (watch)."""
