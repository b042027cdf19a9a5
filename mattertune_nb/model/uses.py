"""What a model is used by: ASE, TorchSim, and batches of structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mattertune_nb.calculator import MatterTuneCalculator, PropertyPredictor
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.torchsim import TorchSimModel


class Usable:
    """The ways to predict with a model; each is imported when it is asked for."""

    def ase_calculator(self, **kwargs: Any) -> MatterTuneCalculator:
        """Return :class:`mattertune_nb.MatterTuneCalculator` with this model; `kwargs` are its others."""
        from mattertune_nb.calculator import MatterTuneCalculator

        return MatterTuneCalculator(cast("FinetuneModuleBase", self), **kwargs)

    def property_predictor(self, **kwargs: Any) -> PropertyPredictor:
        """Return :class:`mattertune_nb.PropertyPredictor` with this model; `kwargs` are its others."""
        from mattertune_nb.calculator import PropertyPredictor

        return PropertyPredictor(cast("FinetuneModuleBase", self), **kwargs)

    def torchsim_model(self, **kwargs: Any) -> TorchSimModel:
        """Return :class:`mattertune_nb.torchsim.TorchSimModel` with this model, for dynamics in batches.

        Parameters
        ----------
        **kwargs
            Its others.

        Raises
        ------
        MissingExtraError
            TorchSim is not installed.
        """
        from mattertune_nb.torchsim import TorchSimModel

        return TorchSimModel(cast("FinetuneModuleBase", self), **kwargs)
