"""The robot tiers. Each says how it is built, how commands become controls, and how its state is read and written."""
