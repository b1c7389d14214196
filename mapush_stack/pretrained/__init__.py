"""Policies that come with the project: `mapush evaluate --pretrained NAME`. Each folder is a small run directory."""
