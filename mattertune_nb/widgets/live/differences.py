"""The settings in which runs differ, in words and as parallel coordinates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mattertune_nb.training.outcome.verdict import verdict
from mattertune_nb.training.setting_labels import Called
from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.theme import BLUE, PALETTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mattertune_nb.training.records.summary import Summary

_NOT_COMPARED = ("run.name", "run.root")
_NAMED = 20
"""Names of runs are shown for at most this many runs."""
_WIDTH = 15
"""Maximum number of characters of a word beside an axis."""


def differences(settings: Sequence[Mapping[str, Any]], called: Called) -> list[dict[str, Any]]:
    """Return for each run the settings, by dotted path, that are not the same in all runs.

    A setting that some runs do not have, because they are of another kind, counts only if it was changed from
    its default: the kind is a setting itself.
    """
    names = dict.fromkeys(name for one in settings for name in one)
    differing = []
    for name in names:
        values = [one[name] for one in settings if name in one]
        if len(values) < len(settings):
            differs = not all(called.is_default(name, value) for value in values)
        else:
            differs = len(set(map(repr, values))) > 1
        if differs and name not in _NOT_COMPARED:
            differing.append(name)
    return [{name: one[name] for name in differing if name in one} for one in settings]


def parallel_figure(runs: Mapping[str, Summary]) -> Any:
    """Return the settings that differ as parallel coordinates, one line per run, coloured by its best error.

    ``None`` if no settings differ or no two runs have an error of the same kind.
    """
    import plotly.graph_objects as go

    errors = {
        name: {f"best {c.name} ({c.unit})": c.after for c in verdict(one).changes}
        for name, one in runs.items()
    }
    titles = dict.fromkeys(title for found in errors.values() for title in found)
    shared = [t for t in titles if sum(t in found for found in errors.values()) > 1]
    if not shared:
        return None
    kept = [name for name, found in errors.items() if all(t in found for t in shared)]
    # as in `names_in_config`, so that axes and the line below them agree
    called = Called([one.settings for one in runs.values()])
    differing = differences([runs[name].settings for name in kept], called)
    names = dict.fromkeys(name for one in differing for name in one)
    if not names:
        return None
    columns = [
        _axis(called.label(name), [one.get(name) for one in differing], partial(called.value, name))
        for name in names
    ]
    columns += [_axis(title, [errors[name][title] for name in kept]) for title in shared]
    if len(kept) <= _NAMED:
        columns.insert(0, _axis("run", list(kept)))
    color = [errors[name][shared[0]] for name in kept]
    # both ends are visible on white and on dark grey
    line = {"color": color, "colorscale": [BLUE, PALETTE[1]], "showscale": True}
    trace = go.Parcoords(
        dimensions=columns,
        labelangle=-20,
        tickfont={"shadow": "none"},
        line=line | {"colorbar": {"title": {"text": shared[0], "side": "right"}}},
    )
    # words beside the first axis end at it, a title above the last extends beyond it
    longest = max(len(word) for word in columns[0].get("ticktext", [""]))
    figure = new_plotly_figure(
        height=360, margin={"l": 40 + 7 * longest, "r": 90, "t": 96, "b": 30}
    )
    figure.add_trace(trace)
    return figure


def names_in_config(runs: Mapping[str, Summary]) -> dict[str, str]:
    """Return what a config calls the settings that differ, by what people call them."""
    settings = [one.settings for one in runs.values()]
    called = Called(settings)
    return {called.label(name): name for one in differences(settings, called) for name in one}


def _axis(label: str, values: list[Any], told: Callable[[Any], str] = str) -> dict[str, Any]:
    """Return one axis: of numbers as they are, of all else as ticks with words."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return {"label": label, "values": values, "tickformat": ".3~g"}
    words = [told(value) for value in values]
    ticks = sorted(set(words))
    return {
        "label": label,
        "values": [ticks.index(word) for word in words],
        "tickvals": list(range(len(ticks))),
        "ticktext": [_shortened(tick) for tick in ticks],
    }


def _shortened(word: str) -> str:
    """Return a word, or only its end: names and paths share beginnings more often than ends."""
    return word if len(word) <= _WIDTH else f"…{word[1 - _WIDTH :]}"
