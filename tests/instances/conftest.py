"""Traffic is tested here by itself: the guard asks whether a digest is among those that a test signed."""

import pytest


@pytest.fixture(autouse=True)
def _guard(signed):
    """Every test of this folder."""
