"""The results of a probe: `vram.json`, and the same as a plot and an HTML page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Dict, List, Optional

from ... import __version__
from ...settings import Settings
from ...system.atomic import write_json
from ...system.stored_file import StoredFile
from . import model
from .folder import Machine, ProbeFolder, ProbeSettings, TrialRecord
from .outcome import Outcome
from .probe import fit

PLOT, PAGE, DATA = "vram.png", "vram.html", "vram.json"
_ROOM = 1.2
"""So many times the size before it must be one that has its number below the plot."""


class HeldOut(Settings):
    """The prediction for a size that the line was not fitted to."""

    num_envs: int
    measured_mib: float
    predicted_mib: float
    error: float
    """(predicted - measured) / measured."""


class ProbeSummary(Settings):
    """`vram.json`."""

    mapush_stack: str
    machine: Machine
    settings: ProbeSettings
    finished: bool
    largest: Optional[int]
    """The largest size that fits."""
    too_many: Optional[int]
    """The smallest that did not."""
    line: Optional[model.MemoryModel]
    held_out: Optional[HeldOut]
    predictions: List[model.Prediction]
    recommended: Optional[int]
    trials: List[TrialRecord]


SUMMARY_FILE = StoredFile(ProbeSummary)


def summarise(folder: ProbeFolder, finished: bool) -> ProbeSummary:
    """The results of the trials so far."""
    records, capacity = folder.records(), folder.file.machine.capacity_mib
    plain = [record for record in records if record.purpose != "contact-pairs"]
    fitting = [record for record in plain if record.outcome is Outcome.FITS and record.result]
    largest = max((record.num_envs for record in fitting), default=None)
    line = fit(records)
    return ProbeSummary(
        mapush_stack=__version__,
        machine=folder.file.machine,
        settings=folder.file.settings,
        finished=finished,
        largest=largest,
        too_many=min((record.num_envs for record in plain if record.outcome is not Outcome.FITS), default=None),
        line=line,
        held_out=None if line is None else _held_out(line, fitting),
        predictions=[] if line is None else model.predict(line, largest or 0),
        recommended=model.recommend(
            [
                (one.num_envs, one.peak_mib, one.result.fps)
                for one in fitting
                if one.result and one.result.fps is not None
            ],
            capacity,
        ),
        trials=records,
    )


def _held_out(line: model.MemoryModel, fitting: List[TrialRecord]) -> Optional[HeldOut]:
    for record in fitting:
        if record.purpose == "held-out":
            predicted = line.mib(record.num_envs)
            return HeldOut(
                num_envs=record.num_envs,
                measured_mib=record.peak_mib,
                predicted_mib=round(predicted, 1),
                error=predicted / record.peak_mib - 1,
            )
    return None


def plain(summary: ProbeSummary) -> Dict[str, Any]:
    """The content of `vram.json`; memory traces are only in the files of the trials."""
    return SUMMARY_FILE.plain(summary, exclude={"trials": {"__all__": {"trace"}}})


def write(summary: ProbeSummary, folder: Path) -> List[str]:
    """Write the files; returns the names of missing packages, without which some files were left out."""
    write_json(folder / DATA, plain(summary))
    missing = []
    for write_file in (_draw, _page):
        try:
            write_file(summary, folder)
        except ImportError as error:
            missing.append(error.name or str(error))
    return missing


def _draw(summary: ProbeSummary, folder: Path) -> None:
    """Plot memory with the fitted line, and the rate, over the number of environments."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    memory, rate = figure.subplots(1, 2)
    plain = [record for record in summary.trials if record.purpose != "contact-pairs"]
    for purpose, outcome, marker, label in (
        ("search", Outcome.FITS, "o", "measured"),
        ("held-out", Outcome.FITS, "D", "held out of the fit"),
        ("search", Outcome.OUT_OF_MEMORY, "x", "did not fit"),
    ):
        some = [record for record in plain if record.purpose == purpose and record.outcome is outcome]
        if some:
            memory.plot([one.num_envs for one in some], [one.peak_mib for one in some], marker, ls="", label=label)
    _draw_line(summary, memory)
    timed = sorted((one.num_envs, one.result.fps) for one in plain if one.result and one.result.fps is not None)
    sizes = [size for size, _ in timed]
    rate.plot(sizes, [fps for _, fps in timed], "o-")
    if summary.recommended is not None:
        rate.axvline(summary.recommended, color="gray", ls=":", label=f"recommended: {summary.recommended:,}")
        rate.legend(fontsize=8)
    memory.set(xlabel="environments", ylabel="MiB", xscale="log", yscale="log")
    rate.set(xlabel="environments", ylabel="environment steps/s", xscale="log", ylim=(0, None))
    named = [size for size, before in zip(sizes, [0, *sizes]) if size > _ROOM * before]
    rate.set_xticks(named, [f"{size:,}" for size in named], rotation=60, fontsize=7)
    rate.minorticks_off()
    for axes in (memory, rate):
        axes.grid(alpha=0.3, which="both")
    figure.suptitle(summary.machine.name, fontsize=10)
    figure.savefig(str(folder / PLOT), dpi=120)


def _draw_line(summary: ProbeSummary, axes: Any) -> None:
    """Draw the fitted line up to the largest card, and the cards on it."""
    capacity, line = summary.machine.capacity_mib, summary.line
    axes.axhline(capacity, color="tab:red", lw=0.8, label=f"{capacity:,.0f} MiB here")
    if line is not None:
        first = min(record.num_envs for record in summary.trials)
        ends = [first * (max(summary.predictions[-1].num_envs, 2 * first) / first) ** (i / 99) for i in range(100)]
        label = f"{line.fixed_mib:,.0f} MiB + {line.kib_per_env:,.1f} KiB each"
        axes.plot(ends, [line.mib(size) for size in ends], color="tab:gray", lw=1, label=label)
        for row in summary.predictions:
            if row.num_envs > first:
                axes.annotate(f"{row.card_gb} GB", (row.num_envs, row.card_gb * 1024), fontsize=7, color="tab:gray")
    axes.legend(fontsize=7)


def _page(summary: ProbeSummary, folder: Path) -> None:
    """Write one HTML file with the plot in it; it needs no network."""
    from jinja2 import Environment, StrictUndefined

    plot = folder / PLOT
    image = base64.b64encode(plot.read_bytes()).decode() if plot.exists() else ""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    (folder / PAGE).write_text(template.render(summary=summary, image=image), encoding="utf-8")
