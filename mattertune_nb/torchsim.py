"""A tuned model with TorchSim: dynamics and relaxations of many structures in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase import Atoms

from mattertune_nb.config.errors import DataError, MissingExtraError
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.model.outside import warn_outside_references

try:
    from torch_sim.models.interface import ModelInterface
    from torch_sim.state import SimState
except ModuleNotFoundError as exc:
    msg = "TorchSim is not installed: pip install 'mattertune-nb[torchsim]'"
    raise MissingExtraError(msg) from exc

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.model.potential import Potential

_VOIGT = ((0, 5, 4), (5, 1, 3), (4, 3, 2))


class TorchSimModel(ModelInterface):  # type: ignore[misc]  # TorchSim has no types that are known here
    """Energies (eV), forces (eV/Å) and stresses (eV/Å³) for the structures in a TorchSim state.

    Returned by ``model.torchsim_model()``, for ``torch_sim.integrate``, ``optimize`` and ``static``.
    Neighbour lists are rebuilt at each step, on the CPU.

    Parameters
    ----------
    model
        A tuned or untuned model; it computes on its own device and in its own number format.
    dtype
        Number format of positions, energies and forces in TorchSim.
    """

    def __init__(self, model: Potential, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.model = model
        self._device, self._dtype = model.device, dtype
        self._compute_stress = self._compute_forces = True
        self._known: set[tuple[int, ...]] = set()

    def forward(self, state: Any, **_: Any) -> dict[str, Tensor]:
        """Predict all systems of a state at once.

        Parameters
        ----------
        state
            A ``torch_sim.SimState``, or a mapping that defines one.

        Returns
        -------
        dict
            ``energy`` (n_systems,), ``forces`` (n_atoms, 3), and ``stress`` (n_systems, 3, 3) if all
            directions are periodic.

        Raises
        ------
        DataError
            The backbone cannot handle a structure, or an energy is not finite.
        """
        if not hasattr(state, "positions"):
            state = SimState(**{"masses": torch.ones_like(state["positions"][:, 0])} | dict(state))
        frames = _frames(state)
        self._warn_once(frames)
        backbone = self.model.backbone
        batch = backbone.collate([backbone.graph(atoms) for atoms in frames]).to(self._device)
        periodic = bool(batch.pbc.all())
        wanted = [ENERGY.name, FORCES.name, *([STRESSES.name] if periodic else [])]
        with self.model.predicting():
            found = self.model.predict_properties(batch, wanted)
        if not torch.isfinite(found[ENERGY.name]).all():
            bad = int((~torch.isfinite(found[ENERGY.name])).nonzero()[0])
            msg = f"system {bad}: the energy is not finite. Check its positions and cell, and the time step."
            raise DataError(msg)
        out = {"energy": found[ENERGY.name], "forces": found[FORCES.name]}
        if periodic:
            out["stress"] = found[STRESSES.name][:, torch.tensor(_VOIGT)]
        return {name: value.detach().to(state.device, self._dtype) for name, value in out.items()}

    def _warn_once(self, frames: list[Atoms]) -> None:
        new = [a for a in frames if tuple(sorted(a.numbers)) not in self._known]
        self._known |= {tuple(sorted(a.numbers)) for a in new}
        if new:
            warn_outside_references(self.model, new)


def _frames(state: Any) -> list[Atoms]:
    """Return the systems of a state; TorchSim's cells have the lattice vectors as columns."""
    index = state.system_idx.cpu()
    positions, numbers = state.positions.detach().cpu().double(), state.atomic_numbers.cpu()
    cells = state.cell.detach().cpu().double().mT
    # a single flag in older versions, one per direction in newer ones
    pbc = torch.as_tensor(state.pbc).cpu().expand(3).numpy()
    # charge and spin, if the version has them
    inputs = {
        name: getattr(state, name).cpu().tolist()
        for name in ("charge", "spin")
        if isinstance(getattr(state, name, None), torch.Tensor)
    }
    frames = []
    for k, cell in enumerate(cells):
        mine = index == k
        info = {name: values[k] for name, values in inputs.items()}
        frames.append(
            Atoms(
                numbers[mine].numpy(),
                positions[mine].numpy(),
                cell=cell.numpy(),
                pbc=pbc,
                info=info,
            )
        )
    return frames
