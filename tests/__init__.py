"""Tests; the tree mirrors mapush_stack/."""
