"""The smoke test: tries everything that a user does, each step as a `mapush` command in its own process."""
