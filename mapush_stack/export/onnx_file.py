"""Torch modules as ONNX files."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from .graphs import Value

_EXAMPLES = 7
"""Rows of the example with which a module is traced."""


def require_onnx() -> Any:
    """The `onnx` package.

    Raises:
        UserError: it, or something else that `mapush export` needs, is missing.

    """
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UserError(
            f"mapush export needs {error.name}, on Python 3.11 or newer: pip install 'mapush_stack[export]'"
        ) from None
    assert onnxruntime and onnxscript
    return onnx


def draw(values: Dict[str, Value], rows: int, seed: int) -> List[Tensor]:
    """Random inputs of `rows` rows, numbers from -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [[rows if size == "N" else size for size in value.shape] for value in values.values()]
    return [2.0 * torch.rand(shape, generator=generator) - 1.0 for shape in shapes]


def write(module: nn.Module, values: Tuple[Dict[str, Value], Dict[str, Value]], path: Path) -> None:
    """Write a module with these inputs and outputs as one ONNX file; the first axis of each is free.

    Raises:
        UserError: ONNX cannot express the module.

    """
    onnx = require_onnx()
    inputs, outputs = values
    rows = torch.export.Dim("N")
    examples = draw(inputs, _EXAMPLES, 0)
    with torch.no_grad():
        module(*examples)  # constants that are made on first use have to be real ones, not the tracer's
    shapes = (tuple({0: rows} for _ in inputs),)  # of the one argument, *inputs
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about itself
            traced = torch.export.export(module.eval(), tuple(examples), dynamic_shapes=shapes)
            names: Dict[str, Any] = {"input_names": list(inputs), "output_names": list(outputs)}
            program = torch.onnx.export(traced, dynamo=True, verbose=False, **names)
    except Exception as error:  # whatever torch raises about an operation, such as one of a plug-in's layout
        why = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(f"{path.stem} cannot be written as ONNX: {why[:300]}") from None
    finally:
        logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"  # torch's own symbol
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, model.graph, model):
        del part.metadata_props[:]  # lines of source code, with this machine's paths
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
