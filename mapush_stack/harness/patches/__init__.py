"""Edits that other programs' files need: what they are (manifest), what a file is like (state), making them (change).

`files/` is the repository's folder `patches/`: a symbolic link in a checkout, a copy in a wheel.
"""
