"""Which graphics cards a workload gets: whole ones, or a share of one. Knows the device files, nothing of drivers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEVICES = Path("/dev")
_BESIDE = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
_ROUNDING = 1e-9


def present() -> list[str]:
    """The device files of this machine's cards, in the order of their numbers."""
    found = (str(path) for path in DEVICES.glob("nvidia[0-9]*"))
    return sorted(found, key=lambda path: (len(path), path))


def devices(cards: Mapping[str, float]) -> list[str]:
    """What a sandbox with these cards has to hold; nothing without one."""
    return [*cards, *(str(DEVICES / name) for name in _BESIDE)] if cards else []


def variables(cards: Iterable[str]) -> dict[str, str]:
    """What tells CUDA its own cards where a sandbox cannot hide the others: their places among this machine's."""
    here = present()
    if not here:
        return {}
    own = ",".join(str(here.index(card)) for card in here if card in set(cards))
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": own}


def choose(share: float, held: Mapping[str, float]) -> dict[str, float]:
    """The cards for a workload that asks for so many, and how much of each. `held` is what is given of every card.

    A part goes to the fullest card that has room for it, so that whole ones stay free. Where pieces are left on
    several cards alone, it goes to the freest: the ledger counts the sum, and nothing on a card holds a share apart.
    """
    given: dict[str, float] = {}
    while share > _ROUNDING and len(given) < len(held):
        part = min(1.0, share)
        left = {card: taken for card, taken in held.items() if card not in given}
        fitting = [card for card in left if left[card] + part <= 1 + _ROUNDING]
        card = max(fitting, key=left.__getitem__) if fitting else min(left, key=left.__getitem__)
        given[card] = part
        share -= part
    return given
