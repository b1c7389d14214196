"""The smoke test: tries everything that a user does, by `mapush` commands."""
