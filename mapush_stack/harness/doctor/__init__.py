"""Checks of the machine and its environment: collecting information, judging it, fixing what can be fixed."""
