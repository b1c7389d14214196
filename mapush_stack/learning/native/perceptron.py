"""Multilayer perceptrons, with passes of their own on a CPU."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn


class _Memory(NamedTuple):
    """What one pass forward and back needs, by hidden layer."""

    outputs: List[Tensor]
    slopes: List[Tensor]
    """Derivatives of the loss with respect to what the layers' activations are given."""


class Perceptron(nn.Sequential):
    """Linear layers and activations, one after the other.

    Layers with tanh between them have their own passes on a CPU. They compute what torch's do, to the bit, but use the
    same memory again for each gradient step: memory that the system has just given is slow. With `fast_tanh`, tanh(x)
    is 2 sigmoid(2x) - 1, which torch computes four times as fast and which differs by less than 2e-7.
    """

    def __init__(self, layers: Sequence[nn.Module], fast_tanh: bool = False) -> None:
        super().__init__(*layers)
        self.tanh_ = _tanh if fast_tanh else torch.tanh_
        """The hyperbolic tangent, written over its argument."""
        self._own = all(isinstance(layer, (nn.Linear, nn.Tanh)) for layer in layers)
        self._linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        followers = zip(layers, [*layers[1:], None])
        self.bent = [isinstance(after, nn.Tanh) for layer, after in followers if isinstance(layer, nn.Linear)]
        """Of each linear layer, whether it has an activation."""
        self._free: Dict[int, List[_Memory]] = {}
        """Memory that no pass uses, by number of rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `[..., outputs]` of inputs `[..., inputs]`."""
        if x.device.type != "cpu" or not self._own or not self.training:  # what is exported is in evaluation mode
            outputs: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return outputs
        if torch.is_grad_enabled():
            parameters = [parameter for layer in self._linear for parameter in (layer.weight, layer.bias)]
            flat = x.reshape(-1, x.shape[-1])
            rows: Tensor = _Passes.apply(self, flat, *parameters)  # type: ignore[no-untyped-call]
            return rows.view(*x.shape[:-1], -1)
        for layer in self:
            x = self.tanh_(x) if isinstance(layer, nn.Tanh) else layer(x)
        return x

    def take(self, rows: int) -> _Memory:
        """Memory for a pass over so many rows, to be given back after it."""
        free = self._free.setdefault(rows, [])
        if free:
            return free.pop()
        widths = [layer.out_features for layer in self._linear[:-1]]
        return _Memory(*([torch.empty(rows, width) for width in widths] for _ in _Memory._fields))

    def give_back(self, memory: _Memory, rows: int) -> None:
        """Let the next pass over so many rows use this memory."""
        self._free[rows].append(memory)


def _tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, written over x: small numbers lose digits, which does not matter to the next layer."""
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


class _Passes(torch.autograd.Function):
    """The passes of a `Perceptron` over `[rows, inputs]`; the memory in between belongs to a pass until it is back."""

    @staticmethod
    def forward(ctx: Any, net: Perceptron, x: Tensor, *parameters: Tensor) -> Tensor:
        """The outputs; parameters are each linear layer's weight and bias."""
        weights, biases = parameters[::2], parameters[1::2]
        ctx.net, ctx.memory = net, net.take(len(x))
        ctx.save_for_backward(x, *weights)
        for number, out in enumerate(ctx.memory.outputs):
            x = torch.addmm(biases[number], x, weights[number].t(), out=out)
            x = net.tanh_(x) if net.bent[number] else x
        return torch.addmm(biases[-1], x, weights[-1].t())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Derivatives with respect to the arguments of `forward`."""
        x, *weights = ctx.saved_tensors
        net, memory, found = ctx.net, ctx.memory, []
        for number in range(len(weights) - 1, -1, -1):
            given = memory.outputs[number - 1] if number else x
            found += [slope.sum(0), slope.t() @ given]
            if number:
                slope = torch.mm(slope, weights[number], out=memory.slopes[number - 1])
                if net.bent[number - 1]:
                    torch.ops.aten.tanh_backward.grad_input(slope, given, grad_input=slope)
        before = slope @ weights[0] if ctx.needs_input_grad[1] else None
        net.give_back(memory, len(x))
        return (None, before, *reversed(found))
