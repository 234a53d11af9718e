"""The comparison as a picture, drawn by matplotlib, which is imported only for that."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.delivery.cases import Outcome
from benchmarks.delivery.errors import CannotMeasure
from benchmarks.delivery.servers import OURS
from twisted_chat.console.programs import program

_OURS_COLOUR, _OTHERS_COLOUR = "#c2410c", "#94a3b8"


def check_installed() -> None:
    """:raises CannotMeasure: matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise CannotMeasure(f"--plot needs matplotlib: {program('pip')} install -e '.[bench]'")


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the picture to ``path``: a panel for each case, with a bar for each measurement.

    If any case has several measurements, cases with only one are left out.
    """
    from matplotlib.figure import Figure

    outcomes = [outcome for outcome in outcomes if len(outcome.results) > 1] or outcomes
    columns = min(3, len(outcomes))
    rows = math.ceil(len(outcomes) / columns)
    figure = Figure(figsize=(5 * columns, 2.8 * rows), layout="constrained")
    for place, outcome in enumerate(outcomes, 1):
        axes = figure.add_subplot(rows, columns, place)
        labels = list(outcome.results)
        values = [outcome.case.figure(m) or 0.0 for m in outcome.results.values()]
        is_ours = [m.server == OURS.name for m in outcome.results.values()]
        bars = axes.barh(
            labels, values, color=[_OURS_COLOUR if ours else _OTHERS_COLOUR for ours in is_ours]
        )
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=3)
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.set_title(outcome.case.name)
        axes.set_xlabel(outcome.case.unit)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)
