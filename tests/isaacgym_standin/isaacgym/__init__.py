"""See tests/isaacgym_standin/__init__.py."""

import sys

if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules.  Please import torch after isaacgym modules.")
print("Importing module 'gym_38' (a stand-in)")
