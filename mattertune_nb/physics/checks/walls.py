"""Whether two atoms at short distance repel each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.physics.holes import holes
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status


def walls(case: Case) -> Line:
    """Compare pair energies of all pairs of elements with those before tuning."""
    if case.walls is None:
        return Line("walls", "skipped", reason="there is no model to compute pair energies")
    before, after = case.walls()
    found = holes(after) if before is None else holes(before, after)
    new = [str(hole) for hole in found if hole.is_new or before is None]
    old = [str(hole) for hole in found if not hole.is_new and before is not None]
    status: Status = "fail" if new else "warn" if old else "pass"
    reason = f"new holes: {', '.join(new)}" if new else "no new holes"
    if old:
        reason += f"; present before: {', '.join(old)}"
    n_before = "" if before is None else f"{len({h.pair for h in holes(before)})} pairs with a hole"
    return Line(
        "walls",
        status,
        untuned=n_before,
        tuned=f"{len({h.pair for h in found})} pairs with a hole",
        reason=reason,
        numbers={"new": new, "old": old},
    )
