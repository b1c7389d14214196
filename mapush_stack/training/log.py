"""TensorBoard event files with the tags that the field notes' tools read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Optional

from ..system import closing
from .wandb_log import WandbLog

_SENDING_SECONDS = 120.0
"""How long wandb may take to send what it still has."""


class MetricsLog:
    """Scalars over environment steps."""

    def __init__(self, folder: Optional[Path], steps: int, wandb: Optional[WandbLog] = None) -> None:
        """Continue the logs in `folder` from `steps`; what an earlier process logged after that is purged.

        Without a folder nothing is logged. `wandb`, begun, gets the same metrics.
        """
        self._writer: Any = None
        self._wandb, self._open = wandb, ExitStack()
        if wandb is not None:
            self._open.callback(closing.register("the log on wandb", wandb.close, _SENDING_SECONDS).close)
        if folder is None:
            return
        # Imported here because importing it costs a second that no other command should pay.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=steps + 1 if steps else None, flush_secs=10)
        self._open.callback(closing.register("the TensorBoard log", self._writer.close, saves=True).close)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def write(self, metrics: Dict[str, float], steps: int) -> None:
        """Log every metric at `steps`."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, steps)
        if self._wandb is not None:
            self._wandb.write(metrics, steps)

    def flush(self) -> None:
        """Put everything on the disk."""
        if self._writer is not None:
            self._writer.flush()
