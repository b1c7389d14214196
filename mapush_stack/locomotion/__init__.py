"""Walking: from a velocity command to joint targets, and how the policy that does it is trained. Torch only."""
