"""The demo: MuJoCo, policies and pictures in a browser."""
