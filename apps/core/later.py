"""Modules that are imported at their first use: numpy and scipy cost every process 50 MB and most of its start.

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class later:  # noqa: N801  reads as the verb that it is
    """Stands for the module `name` until somebody asks it for something."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
