"""Patches for files of other programs: the manifest, the status of the files, and applying and reverting.

`files/` is the repository's folder `patches/`: a symbolic link in a checkout, a copy in a wheel.
"""
