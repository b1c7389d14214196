"""Sweeps: many trainings over seeds, presets and fields, on Ray."""
