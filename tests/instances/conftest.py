"""Traffic is tested here by itself: the guard asks an operator's word, as it does where nobody signs."""

import pytest

from apps.instances import confirmations, guard


@pytest.fixture(autouse=True)
def an_operators_word_decides(monkeypatch):
    monkeypatch.setattr(guard, "_checks", {confirmations.CHECK: confirmations.confirmed})
