"""What programs of Isaac Gym's time need on a current Python: one module each, with its reason."""
