"""Walking networks in upstream's interface: made, measured and written as TorchScript."""
