"""The gains of a run in one sentence: each error before and after, and what to try if one got worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.escaped import escaped, printable
from mattertune_nb.config.properties import PROPERTIES, RANKED, Property, own_property
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.outcome.elsewhere import Elsewhere, elsewhere
from mattertune_nb.training.outcome.stages import AT_START, REREFERENCED, UNTUNED, gain, short
from mattertune_nb.training.records.walls import holes_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.training.records.summary import Summary

TOLD = {prop.main_metric: prop for prop in RANKED}
"""Errors to report, in display order, with the quantity of each."""

# colours of the bar and of the tint behind the words, readable on white and on dark grey
_BETTER = "#2ca02c", "rgba(44,160,44,.12)"
_WORSE = "#d98000", "rgba(232,131,58,.18)"
_SAME = "#8a8f98", "rgba(128,128,128,.12)"

_FEW_FRAMES = 50

_FAR = 2.0
"""An error this many times larger than before training suggests too large steps."""


class EndedWorse(UserWarning):
    """A run predicts something worse than the model that it started from."""


@dataclass(frozen=True)
class Change:
    """One error on the validation set before training and with the best weights.

    Parameters
    ----------
    name, unit
        E.g. ``forces`` in ``meV/Å``.
    before, after
        Values in that unit; before is ``None`` if the untuned model was not measured.
    than
        Name of the reference of the comparison.
    """

    name: str
    unit: str
    before: float | None
    after: float
    than: str

    @property
    def sign(self) -> int:
        """1 if the error is smaller than before, -1 if it is larger, 0 if it is the same."""
        return 0 if self.before is None else gain(self.before, self.after)[1]

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name} {short(self.after)} {self.unit}".strip()
        words = gain(self.before, self.after)[0]
        words = words.replace("smaller", "better").replace("larger", "worse")
        numbers = f"{short(self.before)} → {short(self.after)} {self.unit}".strip()
        return f"{self.name} {numbers}, {words} than {self.than}"


@dataclass(frozen=True, repr=False)
class Verdict:
    """The result of a run.

    Parameters
    ----------
    changes
        Gains and losses, one error each; empty without a validation.
    best
        Number of the best epoch, and of all epochs, counted from 1.
    note
        What cannot be determined, and why.
    advice
        What to try if something got worse; otherwise empty.
    elsewhere
        Errors or changes on structures away from the target; not counted in the judgement.
    holes
        Whether pairs of atoms attract at short range that did not before.
    """

    changes: tuple[Change, ...] = ()
    best: tuple[int, int] | None = None
    note: str = ""
    advice: str = ""
    elsewhere: Elsewhere | None = None
    holes: str = ""

    @property
    def worse(self) -> tuple[str, ...]:
        """Names of the properties predicted worse than before training."""
        return tuple(change.name for change in self.changes if change.sign < 0)

    @property
    def worse_in_words(self) -> str:
        """The same as a list in words, e.g. ``"forces, energy and stress"``."""
        *before, last = self.worse or ("",)
        return f"{', '.join(before)} and {last}" if before else last

    @property
    def is_gain(self) -> bool:
        """Whether something is better and nothing worse."""
        return not self.worse and any(change.sign > 0 for change in self.changes)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        parts = [str(change) for change in self.changes]
        if self.best is not None:
            parts.append(f"best of {_epochs(self.best[1])}: {self.best[0]}")
        if self.elsewhere is not None:
            parts.append(str(self.elsewhere))
        if self.holes:
            parts.append(self.holes)
        if self.note:
            parts.append(self.note)
        text = printable("; ".join(parts))
        sentence = f"{text[:1].upper()}{text[1:]}." if text else ""
        if not self.worse:
            return sentence
        return f"Worse than before in {self.worse_in_words}: {text}. {self.advice}".strip()

    def to_html(self) -> str:
        """Return the verdict as a line beside a coloured bar, with a symbol that does not rely on colour."""
        text = str(self)
        if not text:
            return ""
        color, tint = _WORSE if self.worse else _BETTER if self.is_gain else _SAME
        mark = "⚠ " if self.worse else "✓ " if self.is_gain else ""
        return line_html(mark + escaped(unbroken(text)), color, tint)

    _repr_html_ = to_html


def line_html(content: str, color: str = "transparent", tint: str = "transparent") -> str:
    """Return the line of a verdict, or of what stands in its place, which is as high."""
    return (
        f'<div role="status" class="mt-verdict" style="border-left:4px solid {color};background:{tint};'
        'padding:4px 10px;line-height:1.4;white-space:normal;overflow-wrap:anywhere">'
        f"{content}</div>"
    )


def verdict(summary: Summary) -> Verdict:
    """Judge a run by the validation whose weights are kept.

    Forces and stresses are compared with the untuned backbone, energies with the re-referenced backbone,
    because a different zero of energy is not a gain from training.
    """
    if not summary.best:
        if summary.training_loss is None:
            return Verdict(note="no validation has been recorded")
        first, last = summary.training_loss
        return Verdict(
            note=f"no validation was recorded; the training loss went from {first:.3g} to {last:.3g}"
        )
    changes = _changes(summary)
    best = int(summary.best.get("epoch", 0)) + 1, summary.n_epochs
    is_measured = any(change.before is not None for change in changes)
    note = "" if is_measured or not changes else "the untuned model was not measured"
    if not changes:
        note = f"{summary.monitor} {summary.best[summary.monitor]:.4g}"
    worse = [change for change in changes if change.sign < 0]
    advice = _advice(summary, worse, best) if worse else ""
    return Verdict(changes, best, note, advice, elsewhere(summary), holes_in_words(summary.holes))


def _own_properties(settings: Mapping[str, Any]) -> list[Property]:
    """Return the custom properties in settings with dotted paths."""
    found, i = [], 0
    while (name := settings.get(f"model.properties.{i}.name")) is not None:
        if name not in PROPERTIES:
            unit = str(settings.get(f"model.properties.{i}.unit") or "")
            found.append(own_property(name, "structure", key=None, unit=unit, config=""))
        i += 1
    return found


def _changes(summary: Summary) -> tuple[Change, ...]:
    baseline, best = summary.baseline, summary.best
    changes = []
    own = {prop.main_metric: prop for prop in _own_properties(summary.settings)}
    for metric, prop in (TOLD | own).items():
        after = best.get(f"val/{metric}")
        if after is None:
            continue
        before, than = baseline.get(f"baseline/referenced_{metric}"), REREFERENCED
        if before is None:
            before, than = baseline.get(f"baseline/{metric}"), UNTUNED
        than = than.replace(UNTUNED, AT_START) if summary.began_tuned else than
        in_unit = None if before is None else prop.factor * before
        changes.append(Change(prop.title, prop.shown_unit, in_unit, prop.factor * after, than))
    return tuple(changes)


def _advice(summary: Summary, worse: list[Change], best: tuple[int, int]) -> str:
    """Return advice, the most promising first."""
    tries = []
    epoch, n_epochs = best
    rate = summary.settings.get("model.optimizer.lr")
    if any(change.before and change.after > _FAR * change.before for change in worse):
        than = f" than {rate:g}, e.g. {rate / 10:g}" if isinstance(rate, float) else ""
        return f"Try: a lower learning rate{than}."
    if epoch == n_epochs:
        tries.append("train longer, because the last epoch is the best")
    elif epoch <= max(n_epochs // 4, 1):
        tries.append("a lower learning rate, because the best epoch is an early one")
    names = [change.name for change in worse]
    others = [prop.title for prop in RANKED if prop.title not in names]
    if others and len(names) == 1:
        tries.append(f"a larger weight for the {names[0]} in the loss")
    if 0 < summary.n_train < _FEW_FRAMES:
        tries.append(f"more frames than {summary.n_train}")
    if len(tries) < 2 and epoch == n_epochs:
        tries.append("a different learning rate")
    return f"Try: {'; '.join(tries)}." if tries else "Try: a lower learning rate."


def _epochs(n: int) -> str:
    return "1 epoch" if n == 1 else f"{n} epochs"
