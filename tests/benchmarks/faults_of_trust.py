"""Faults in the numbers by which people judge data, spread, fitness for use and what to do next."""

from __future__ import annotations

from fault import Fault

CHECKS = ("physics/test_checks.py",)
WALLS = ("physics/test_walls.py",)
ELSEWHERE = (
    "physics/test_foreign.py",
    "training/test_stages.py",
    "widgets/test_numbers_of_trust.py",
)
DISTANCE = ("widgets/live/test_distance_view.py",)
TRUST = ("widgets/test_numbers_of_trust.py",)
CURVE = ("training/test_learning_curve.py",)
FINDERS = ("training/test_finders.py",)
SPLIT = ("data/test_splits.py", "data/test_dividing.py", "widgets/test_numbers_of_trust.py")

TRUST_FAULTS = (
    # the tab Data, and the form's own
    Fault(
        "errors of the data counted as warnings",
        "doctor/finding.py",
        '(len(self.errors), "error"), (len(self.warnings), "warning")',
        '(len(self.warnings), "error"), (len(self.errors), "warning")',
        TRUST,
    ),
    Fault(
        "frames looked at for those predicted",
        "doctor/finding.py",
        'looked += f", {self.n_predicted} of them predicted"',
        'looked += f", {self.n_frames} of them predicted"',
        TRUST,
    ),
    Fault(
        "labels of a file counted per frame of the file and not of those read",
        "widgets/forms/contents_view.py",
        "if n == contents.n_read else",
        "if n <= contents.n_read else",
        TRUST,
    ),
    Fault(
        "a preview that forgets the share of training",
        "data/division/splits.py",
        'return parts | {"train": self.n_trained_on(parts["train"])}',
        "return parts",
        SPLIT,
    ),
    Fault(
        "a share of the training part rounded up to all",
        "data/batches/settings.py",
        "round(self.train_share * n_train)",
        "round(self.train_share + n_train)",
        SPLIT,
    ),
    Fault(
        "frames that are not used left undrawn",
        "widgets/forms/split_view.py",
        "unused = sum(sizes.values()) - sum(counts.values())",
        "unused = 0",
        TRUST,
    ),
    Fault(
        "what was asked for told as what is",
        "data/division/rules.py",
        "for counts in (taken, sizes.counts)",
        "for counts in (sizes.counts, taken)",
        SPLIT,
    ),
    # fit for use
    Fault(
        "a drift 1000 times too small",
        "physics/checks/dynamics.py",
        "return 1e3 * float(fit[0])",
        "return float(fit[0])",
        CHECKS,
    ),
    Fault(
        "a swing that is not divided by the time",
        "physics/checks/dynamics.py",
        "1e3 * swing / float(time[-1])",
        "1e3 * swing",
        CHECKS,
    ),
    Fault(
        "the bulk modulus in eV/Å³",
        "physics/checks/volume.py",
        "return float(modulus / units.GPa)",
        "return float(modulus)",
        CHECKS,
    ),
    Fault(
        "errors of the card in eV/Å",
        "physics/checks/labels.py",
        '1e3 * float(wrong["forces"][mask].mean())',
        'float(wrong["forces"][mask].mean())',
        CHECKS,
    ),
    Fault(
        "a card as good as its best line",
        "physics/scorecard.py",
        '= ("fail", "warn", "pass")',
        '= ("pass", "warn", "fail")',
        CHECKS,
    ),
    # walls
    Fault(
        "a hole that ends where it begins",
        "physics/holes.py",
        "float(edges[new].max())",
        "float(edges[new].min())",
        WALLS,
    ),
    Fault(
        "a new hole told as one of before",
        "physics/holes.py",
        "is_new=True",
        "is_new=False",
        WALLS,
    ),
    Fault(
        "a wall whose force has the wrong sign",
        "physics/holes.py",
        "-np.diff(self.energies) / STEP",
        "np.diff(self.energies) / STEP",
        WALLS,
    ),
    # elsewhere
    Fault(
        "errors elsewhere in eV/Å",
        "training/outcome/elsewhere.py",
        "return FORCES.factor * (self.record.tuned or {})[FORCES.name]",
        "return (self.record.tuned or {})[FORCES.name]",
        ELSEWHERE,
    ),
    Fault(
        "errors before training in eV",
        "training/outcome/elsewhere.py",
        "before = prop.factor * record.untuned[prop.name]",
        "before = record.untuned[prop.name]",
        ELSEWHERE,
    ),
    Fault(
        "energies elsewhere not per atom",
        "physics/foreign.py",
        "np.abs(energies - without_shift(self, energies)) / n_atoms",
        "np.abs(energies - without_shift(self, energies))",
        ("physics/test_foreign.py",),
    ),
    Fault(
        "the table of kinds in eV",
        "widgets/live/elsewhere_view.py",
        "return prop.factor * errors[prop.name]",
        "return errors[prop.name]",
        ELSEWHERE,
    ),
    # distance
    Fault(
        "the mean distance told as the median",
        "model/novelty.py",
        "float(np.median(self.distances))",
        "float(np.mean(self.distances))",
        TRUST,
    ),
    Fault(
        "errors beside the distances of other frames",
        "widgets/live/distance_view.py",
        "novelty.distances.tolist(), strict=True",
        "novelty.distances[::-1].tolist(), strict=True",
        DISTANCE,
    ),
    # ensembles
    Fault(
        "errors over spread upside down",
        "model/calibration.py",
        "float(error / spread)",
        "float(spread / error)",
        TRUST,
    ),
    Fault(
        "a rank correlation with signed errors",
        "model/calibration.py",
        "sizes = np.abs(errors)",
        "sizes = errors",
        TRUST,
    ),
    Fault(
        "a spread that is a variance",
        "model/spread.py",
        "stacked[base].std(dim=0)",
        "stacked[base].var(dim=0)",
        ("training/test_ensemble.py",),
    ),
    # finders, learning curve, what to compute next
    Fault(
        "the rate at which the loss rises fastest",
        "training/estimate/searches.py",
        "int(np.argmin(slopes))",
        "int(np.argmax(slopes))",
        TRUST,
    ),
    Fault(
        "the batch below the largest",
        "training/estimate/searches.py",
        "float(largest), note)",
        "float(largest - 1), note)",
        FINDERS,
    ),
    Fault(
        "more data that make it worse",
        "training/learning_curve.py",
        "expected = last * factor**-self.exponent",
        "expected = last * factor**self.exponent",
        CURVE,
    ),
    Fault(
        "an exponent with the wrong sign",
        "training/learning_curve.py",
        "PowerLaw(n, e, float(-slope)",
        "PowerLaw(n, e, float(slope)",
        CURVE,
    ),
    Fault(
        "spreads of chosen structures in eV/Å",
        "training/selection.py",
        "shown = FORCES.factor * self.spread[self.positions]",
        "shown = self.spread[self.positions]",
        TRUST,
    ),
)
