"""What the endpoint does with inputs that are not as they should be."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.evaluation.table import Table
from atrium.signature import Signature

Array = NDArray[Any]
Accuracy = Callable[[dict[str, Array]], float]


def _numeric(table: Table) -> str | None:
    return next((name for name, values in table.inputs.items() if values.dtype.kind == "f"), None)


def _row(number: float) -> Callable[[Array], Array]:
    def spoil(values: Array) -> Array:
        spoiled = values.copy()
        spoiled.reshape(len(spoiled), -1)[:, 0] = number
        return spoiled

    return spoil


_SPOILED_NUMBERS = {
    "not a number": _row(float("nan")),
    "infinity": _row(float("inf")),
    "far out of range": _row(1e30),
}
_SPOILED_TEXTS = {
    "empty text": lambda values: np.array([""] * len(values), dtype=object),
    "very long text": lambda values: np.array(["overload " * 2000] * len(values), dtype=object),
    "other scripts": lambda values: np.array(["光纤中断 \u202e\u0000 😀"] * len(values), dtype=object),
}


def spoiled_inputs(endpoint: Endpoint, table: Table, signature: Signature) -> list[dict[str, Any]]:
    """Each spoiled input must be refused with a clear 4xx or answered with finite numbers; never fail otherwise."""
    name = _numeric(table)
    spoilers = _SPOILED_NUMBERS if name else _SPOILED_TEXTS
    target = name or next(iter(table.inputs))
    first = slice(0, 1)
    found = []
    for title, spoil in spoilers.items():
        changed = {target: spoil(table.inputs[target][first])}
        tensors = table.tensors(
            first, signature, {**{k: v[first] for k, v in table.inputs.items()}, **changed}
        )
        found.append({"check": title, **_reaction(endpoint, tensors)})
    return found


def _reaction(endpoint: Endpoint, tensors: list[Any]) -> dict[str, Any]:
    try:
        answer = endpoint.infer(tensors)
    except Refused as refused:
        return {"passed": 400 <= refused.status < 500, "told": str(refused)}
    finite = all(
        np.isfinite(values.astype(float)).all()
        for values in answer.outputs.values()
        if values.dtype.kind in "fiu"
    )
    return {"passed": bool(finite), "told": "answered" if finite else "answered with NaN or infinity"}


def noise(table: Table, accuracy: Accuracy, plain: float) -> dict[str, Any] | None:
    """How much accuracy drops with Gaussian noise of a tenth of each column's spread. None for texts."""
    name = _numeric(table)
    if name is None:
        return None
    values = table.inputs[name]
    rng = np.random.default_rng(20260101)
    noisy = values + rng.normal(0, 0.1, values.shape) * values.std(0, keepdims=True)
    noisy = np.clip(noisy, values.min(0), values.max(0)).astype(values.dtype)
    return {"value": plain - accuracy({name: noisy}), "n": len(table)}


def importance(table: Table, signature: Signature, accuracy: Accuracy, plain: float) -> list[dict[str, Any]]:
    """Permutation importance of each column (Breiman, 2001): the accuracy lost when its values are shuffled."""
    name = _numeric(table)
    if name is None:
        return []
    values = table.inputs[name]
    flat = values.reshape(len(values), -1)
    titles = [column.title or column.name for column in signature.columns] or [
        str(place) for place in np.ndindex(values.shape[1:])
    ]
    if flat.shape[1] != len(titles) or flat.shape[1] > 100:
        return []
    rng = np.random.default_rng(20260101)
    found = []
    for column, title in enumerate(titles):
        shuffled = flat.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        found.append({"input": title, "drop": plain - accuracy({name: shuffled.reshape(values.shape)})})
    return sorted(found, key=lambda item: -item["drop"])
