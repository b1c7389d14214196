"""How the walking policy is trained and tested."""
