"""Traffic is tested here by itself: the guard asks an operator's word, as it does where nobody signs."""

import pytest


@pytest.fixture(autouse=True)
def _guard(an_operators_word_decides):
    """Every test of this folder."""
