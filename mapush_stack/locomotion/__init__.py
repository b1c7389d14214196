"""Walking: from a velocity command to joint targets. Needs torch only."""
