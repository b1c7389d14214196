"""TensorBoard event files with the tags that the field notes' tools read."""

from __future__ import annotations

import io
import os
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..system import closing
from ..system.atomic import errors_name
from .wandb_log import WandbLog

_SENDING_SECONDS = 120.0
"""How long wandb may take to send what it still has."""
_STAMP = re.compile(r"tfevents\.(\d+)")


class MetricsLog:
    """Scalars over environment steps."""

    def __init__(self, folder: Optional[Path], steps: int, wandb: Optional[WandbLog] = None) -> None:
        """Continue the logs in `folder` from `steps`; what an earlier process logged after that is purged.

        Without a folder nothing is logged. `wandb`, begun, gets the same metrics.

        Raises:
            OSError: the folder cannot be written.

        """
        self._wandb, self._open = wandb, ExitStack()
        if wandb is not None:
            self._open.callback(closing.register("the log on wandb", wandb.close, _SENDING_SECONDS).close)
        self._events = None if folder is None else EventFile(folder, steps)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        if self._events is not None:
            self._events.close()

    def write(self, metrics: Dict[str, float], steps: int) -> None:
        """Log every metric at `steps`.

        Raises:
            OSError: the event file cannot be written.

        """
        if self._events is not None:
            self._events.write(metrics, steps)
        if self._wandb is not None:
            self._wandb.write(metrics, steps)


class EventFile:
    """A new event file of TensorBoard; what is written is in the file when `write` returns.

    Readers take the files of a folder in the order of their names. This one's sorts after all others, also where the
    clock was set back. Its first records tell readers to drop what the files before it have after `steps`.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        # Imported here because importing it costs time that no other command should pay.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self._event = Event
        folder.mkdir(parents=True, exist_ok=True)
        names = [file.name for file in folder.iterdir()]
        stamps = [int(found[1]) for found in map(_STAMP.search, names) if found]
        stamp = max([int(time.time()), *(1 + stamp for stamp in stamps)])
        self._path = folder / f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}"
        with errors_name(self._path):
            self._file = self._path.open("xb", buffering=0)
        self._append([{"file_version": "brain.Event:2"}])
        if names or steps:
            # Twice, because TensorBoard takes the first one that it meets in a folder for the start of the run.
            self._append(2 * [{"step": steps + 1, "session_log": SessionLog(status=SessionLog.START)}])

    def write(self, metrics: Dict[str, float], steps: int) -> None:
        """Append a record for each metric."""
        values = [{"tag": name, "simple_value": value} for name, value in metrics.items()]
        self._append([{"step": steps, "summary": {"value": [value]}} for value in values])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, events: List[Dict[str, Any]]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = io.BytesIO()
        for fields in events:
            RecordWriter(records).write(self._event(wall_time=time.time(), **fields).SerializeToString())
        left = records.getvalue()
        with errors_name(self._path):
            while left:
                left = left[self._file.write(left) :]
