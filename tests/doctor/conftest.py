"""The untuned model that judges labels."""

from __future__ import annotations

import pytest

from mattertune_nb.doctor.predicted import untuned_model


@pytest.fixture(scope="package")
def untuned():
    """Return CHGNet with its vendor's weights."""
    return untuned_model("chgnet")
