"""A conformance suite for backbones: physics, agreement with the vendor, and training."""

from __future__ import annotations

import copy
import warnings
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.config.properties import PROPERTIES, STRESSES
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.testing.averages import averages_alike
from mattertune_nb.testing.comparison import Prediction, calculated, compare, differences, last_bits
from mattertune_nb.testing.determinism import deterministic
from mattertune_nb.testing.formats import kept_in_float64
from mattertune_nb.testing.gradients import another, gradients_everywhere, gradients_reach
from mattertune_nb.testing.heads import heads_alike
from mattertune_nb.testing.round_trip import saved_and_loaded
from mattertune_nb.testing.structures import (
    hard_structures,
    in_a_box,
    is_tied,
    moved,
    strained,
)
from mattertune_nb.testing.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.config.properties import PropertyName

_PROPERTIES: tuple[PropertyName, ...] = tuple(PROPERTIES)
_PREFERRED = ("Cu", "O", "Li", "Si", "Al", "H")


def check_backbone(config: BackboneConfig) -> dict[str, str]:
    """Check that a backbone fulfils what this package promises for every backbone.

    The structures consist of two elements known to the backbone: a strained crystal, a one-atom cell, a
    cell smaller than the cutoff, a slab, a molecule without a cell, and an isolated atom.

    Parameters
    ----------
    config
        The backbone's config; its entry point must be installed, because it is used to load checkpoints.

    Returns
    -------
    dict
        Deviation of each trait that the config ``lacks``, in words; these do not count as failures.

    Raises
    ------
    AssertionError
        Lists all failures. Checked are untuned predictions against the vendor's own ASE calculator (1e-5
        eV/atom, 1e-4 eV/Å, 1e-5 eV/Å³), batches against single structures, finite differences in
        float64, rotation, translation, permutation, periodic images, tensors that stay in float64 in
        models of other formats, a finite gradient for each trainable parameter, even if atoms have no
        neighbours, heads and features for single structures and batches, the tensors of a copy, averages
        of the weights, the round trip through a checkpoint, and the rules for molecules and stress.
    """
    suite = _Suite(config)
    with deterministic(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failures = list(suite.failures())
        measured = suite.traits.measured()
    if failures:
        lines = "\n".join(f"  - {failure}" for failure in failures)
        msg = f"{type(config).__name__} does not conform ({len(failures)} failures):\n{lines}"
        raise AssertionError(msg)
    return measured


class _Suite:
    """The checks, each a generator of failures, and their shared data."""

    def __init__(self, config: BackboneConfig) -> None:
        # references would be added to the energies compared with the vendor's
        self.config = config.model_copy(update={"normalizers": {}})
        self.traits = Traits(config.lacks)

    def failures(self) -> Iterator[str]:
        """Run all checks, and yield each failure with the name of its check."""
        for name in sorted(n for n in dir(self) if n.startswith("check_")):
            title = name.removeprefix("check_").replace("_", " ")
            try:
                yield from (f"{title}: {failure}" for failure in getattr(self, name)())
            except Exception as exc:
                # a check that cannot be run must not hide failures of the others
                yield f"{title}: raised {cause(exc)}"

    def of(self, name: str, failures: Iterator[str]) -> Iterator[str]:
        """Yield the failures for a structure; if its neighbours may change places, only measure them."""
        backbone = self.model.backbone
        tied = is_tied(self.structures[name], backbone.cutoff, backbone.max_neighbors)
        return self.traits.unless_lacking("smooth", failures) if tied else failures

    @cached_property
    def model(self) -> FinetuneModuleBase:
        return FinetuneModuleBase(self.config).eval()

    @cached_property
    def double(self) -> FinetuneModuleBase:
        return copy.deepcopy(self.model).double()

    @cached_property
    def structures(self) -> dict[str, Atoms]:
        known = self.model.backbone.elements
        symbols = list(dict.fromkeys([*(s for s in _PREFERRED if s in known), *known]))
        found = hard_structures(symbols[0], symbols[min(1, len(symbols) - 1)])
        if not self.model.backbone.partly_periodic:
            del found["slab"]
        return found

    @cached_property
    def predictions(self) -> dict[str, Prediction]:
        return {name: self.predict(atoms) for name, atoms in self.structures.items()}

    @property
    def conservative(self) -> bool:
        return all(getattr(p, "conservative", True) for p in self.config.properties)

    def predict(self, atoms: Atoms, *, double: bool = False) -> Prediction:
        model = self.double if double else self.model
        result: Prediction = model.property_predictor().predict([atoms], _PROPERTIES)[0]
        return result

    def slope(self, displaced: Callable[[float], Atoms], step: float = 1e-4) -> float:
        """Return the central difference of the energy in float64."""
        ahead, behind = (
            self.double.property_predictor().predict([displaced(d)], ["energy"])[0]["energy"]
            for d in (step, -step)
        )
        return float(ahead - behind) / (2 * step)

    # -- against others -------------------------------------------------------------------------

    def check_agreement_with_the_vendor(self) -> Iterator[str]:
        calculator = self.config.vendor_calculator()
        if calculator is None:
            return
        refused = []
        for name, atoms in self.structures.items():
            # its own heads may treat molecules differently from crystals
            is_fit = atoms.pbc.all() or (self.config.direct and not atoms.pbc.any())
            theirs = atoms if is_fit else in_a_box(atoms, self.model.backbone.cutoff)
            try:
                expected = calculated(theirs, calculator, with_stress=bool(atoms.pbc.all()))
            except Exception as exc:
                refused.append(f"{name} ({cause(exc)})")
                continue
            yield from self.of(name, differences(name, self.predictions[name], expected))
        if len(refused) == len(self.structures):
            yield f"the vendor's calculator raises for every structure: {'; '.join(refused)}"

    def check_batches(self) -> Iterator[str]:
        together = self.model.property_predictor(batch_size=len(self.structures)).predict(
            list(self.structures.values()), _PROPERTIES
        )
        for (name, one), batched in zip(self.predictions.items(), together, strict=True):
            yield from differences(name, batched, one)

    def check_molecules(self) -> Iterator[str]:
        molecule = self.structures["molecule"]
        boxed = self.predict(in_a_box(molecule, self.model.backbone.cutoff))
        for name in (STRESSES.name, *self.config.direct):
            boxed.pop(name, None)
        yield from differences("molecule in a large box", self.predictions["molecule"], boxed)

    def check_stress_is_given_only_where_periodic(self) -> Iterator[str]:
        for name, atoms in self.structures.items():
            given = STRESSES.name in self.predictions[name]
            if given != bool(atoms.pbc.all()):
                yield f"{name} has {'a' if given else 'no'} stress"

    def check_unknown_elements_are_refused(self) -> Iterator[str]:
        known = set(self.model.backbone.elements)
        unknown = [s for s, z in atomic_numbers.items() if z > 0 and s not in known]
        if not unknown:
            return
        try:
            self.model.backbone.graph(Atoms(unknown[-1]))
        except DataError:
            return
        yield f"'{unknown[-1]}' is not among the elements, and no DataError is raised"

    def check_partly_periodic_cells_are_refused_where_not_known(self) -> Iterator[str]:
        if self.model.backbone.partly_periodic:
            return
        atoms = self.structures["crystal"].copy()
        atoms.pbc = [True, True, False]
        try:
            self.model.backbone.graph(atoms)
        except DataError:
            return
        yield "no DataError is raised for a structure that is periodic in two directions"

    def check_inputs_of_a_frame(self) -> Iterator[str]:
        atoms = self.structures["crystal"]
        for name, default in self.model.backbone.frame_inputs.items():
            given, other = atoms.copy(), atoms.copy()
            given.info[name], other.info[name] = default, another(self.model.backbone, name)
            before = self.predictions["crystal"]
            yield from differences(f"'{name}' as without one", self.predict(given), before)
            if self.predict(other)["energy"] == before["energy"]:
                yield f"'{name}' of a structure changes nothing"

    # -- physics --------------------------------------------------------------------------------

    def check_finite_differences(self) -> Iterator[str]:
        if not self.conservative:
            return
        for name, atoms in self.structures.items():
            result = self.predict(atoms, double=True)
            for i, j in [(0, 0), (len(atoms) // 2, 1), (len(atoms) - 1, 2)]:
                force = -self.slope(partial(moved, atoms, i, j))
                where = f"{name}, atom {i}, {'xyz'[j]}"
                off = compare(where, "forces", result["forces"][i, j], force)
                yield from self.of(name, off)
            if STRESSES.name not in result:
                continue
            for k in range(6):
                stress = self.slope(partial(strained, atoms, k)) / atoms.cell.volume
                where = f"{name}, component {k}"
                off = compare(where, STRESSES.name, result[STRESSES.name][k], stress)
                yield from self.of(name, off)

    def check_rotation(self) -> Iterator[str]:
        rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        for name, atoms in self.structures.items():
            turned = atoms.copy()
            turned.set_cell(atoms.cell.array @ rotation.T)
            turned.set_positions(atoms.positions @ rotation.T)
            before = self.predict(atoms, double=True)
            before["forces"] = before["forces"] @ rotation.T
            if STRESSES.name in before:
                matrix = rotation @ voigt_6_to_full_3x3_stress(before[STRESSES.name]) @ rotation.T
                before[STRESSES.name] = full_3x3_to_voigt_6_stress(matrix)
            yield from self.traits.unless_lacking(
                "equivariant", differences(name, self.predict(turned, double=True), before)
            )

    def check_translation_and_images(self) -> Iterator[str]:
        for name, atoms in self.structures.items():
            shifted = atoms.copy()
            shifted.positions += [0.31, -1.7, 2.3]
            # whole lattice vectors, so that atoms lie far outside their cell
            images = np.arange(3 * len(atoms)).reshape(-1, 3) % 5 - 2
            shifted.positions += (images * atoms.pbc) @ atoms.cell.array
            off = differences(name, self.predict(shifted), self.predictions[name])
            yield from self.of(name, off)

    def check_permutation(self) -> Iterator[str]:
        for name, atoms in self.structures.items():
            order = np.random.default_rng(5).permutation(len(atoms))
            before = dict(self.predictions[name])
            before["forces"] = before["forces"][order]
            yield from self.of(name, differences(name, self.predict(atoms[order]), before))

    def check_cells_smaller_than_the_cutoff(self) -> Iterator[str]:
        for name in ("one-atom cell", "small cell"):
            one, repeats = self.predictions[name], 8
            many = self.predict(self.structures[name].repeat(2))
            expected = {**one, "energy": one["energy"] * repeats}
            expected["forces"] = np.tile(one["forces"], (repeats, 1))
            off = differences(f"{name} repeated", many, expected)
            yield from self.traits.unless_lacking("extensive", self.of(name, off))

    def check_float64(self) -> Iterator[str]:
        backbone = self.double.backbone
        batch = backbone.collate([backbone.graph(self.structures["crystal"])])
        for name, value in backbone(batch, stress=True).items():
            if value.dtype != torch.float64:
                yield f"the {name} of a model in float64 is {value.dtype}"
        for name, atoms in self.structures.items():
            yield from differences(
                name, self.predict(atoms, double=True), self.predictions[name], 10
            )

    def check_float64_part(self) -> Iterator[str]:
        yield from kept_in_float64(self.model)

    def check_heads(self) -> Iterator[str]:
        missing = self.double.backbone.missing_heads
        names = [name for name in self.config.implements if name not in missing]
        turned = "equivariant" not in self.config.lacks
        yield from heads_alike(self.double.backbone, names, self.structures, turned=turned)

    # -- training -------------------------------------------------------------------------------

    def check_gradients(self) -> Iterator[str]:
        structures = [self.structures[name] for name in ("crystal", "molecule")]
        yield from gradients_reach(self.model.backbone, self.config.direct, structures)

    def check_gradients_without_neighbors(self) -> Iterator[str]:
        alone = self.structures["atom alone"]
        apart = moved(alone + alone, 1, 0, 0.9 * self.model.backbone.cutoff)
        structures = {"atom alone": alone, "two atoms far apart": apart}
        yield from gradients_everywhere(self.model.backbone, self.config.direct, structures)

    def check_prediction_under_inference_mode(self) -> Iterator[str]:
        for name, outside in self.predictions.items():
            with torch.inference_mode():
                inside = self.predict(self.structures[name])
            yield from differences(name, inside, outside)

    def check_copy(self) -> Iterator[str]:
        # an average of weights is kept in a copy, tensor by tensor, in order
        mine, copied = (
            {name: value.shape for name, value in (*m.named_parameters(), *m.named_buffers())}
            for m in (self.model, copy.deepcopy(self.model))
        )
        for name in mine.keys() ^ copied.keys():
            yield f"only the {'model' if name in mine else 'copy'} has '{name}'"

    def check_averages_of_weights(self) -> Iterator[str]:
        yield from averages_alike(self.model, self.structures, self.predictions)

    def check_checkpoint(self) -> Iterator[str]:
        loaded = saved_and_loaded(self.model)
        for name, tensor in self.model.state_dict().items():
            if not torch.equal(tensor, loaded.state_dict()[name]):
                yield f"'{name}' comes back changed"
        again = {
            name: loaded.property_predictor().predict([atoms])[0]
            for name, atoms in self.structures.items()
        }
        off = [f for k, v in again.items() for f in differences(k, v, self.predictions[k])]
        yield from off or self.unless_random(again)

    def check_repeats(self) -> Iterator[str]:
        yield from self.unless_random({k: self.predict(a) for k, a in self.structures.items()})

    def unless_random(self, again: dict[str, Prediction]) -> Iterator[str]:
        """Yield what is not the same to the last bit as before."""
        return self.traits.unless_lacking("bitwise", last_bits(again, self.predictions))
