"""What runs say about themselves: read, compared, diagnosed, reported."""
