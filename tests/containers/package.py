"""Stand-ins for NVIDIA's package: files of the right names with nothing in them."""

import io
import tarfile

NAME = "IsaacGym_Preview_4_Package.tar.gz"
SETUP = "isaacgym/python/setup.py"
GYMAPI = "isaacgym/python/isaacgym/gymapi.py"
BINDINGS = "isaacgym/python/isaacgym/_bindings/linux-x86_64/gym_38.so"


def write_package(folder, version="1.0.preview4", leave_out=(), content=b""):
    """A small archive in `folder`; its path."""
    setup = f"from setuptools import setup\nsetup(name='isaacgym', version='{version}', packages=['isaacgym'])\n"
    files = {SETUP: setup.encode(), GYMAPI: b"", BINDINGS: content}
    path = folder / NAME
    with tarfile.open(path, "w:gz") as archive:
        for name in sorted(set(files) - set(leave_out)):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return path
