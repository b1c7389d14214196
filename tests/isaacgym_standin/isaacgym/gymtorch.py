"""Gym tensors of the stand-in are torch tensors."""


def wrap_tensor(tensor):
    return tensor


def unwrap_tensor(tensor):
    assert tensor.is_contiguous(), "Isaac Gym takes the address of a tensor: it has to be contiguous"
    return tensor
