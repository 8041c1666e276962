"""What the endpoint does with inputs that are not as they should be."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.evaluation.table import Table
from atrium.signature import Signature

Array = NDArray[Any]
Figure = Callable[[dict[str, Array]], float]
Loss = Callable[[float, float], float]
SEED = 20260101
_MISSING_SHARE = 0.1
_DROPPED_SHARE = 0.1
_LETTERS_A_TYPO = 20
_MOST_COLUMNS = 100
_MOST_TOKENS = 40
_MOST_ANSWERS = 50
_CHARACTERS = "\u3040-\u30ff\u3400-\u9fff"
_WORD = rf"[^\W{_CHARACTERS}]+"
_TOKEN = re.compile(rf"[{_CHARACTERS}]|{_WORD}(?:[-.]{_WORD})*")
"""A word, also with hyphens and dots inside, as names of devices have; where a script has no spaces, a character."""


def numeric_input(table: Table) -> str | None:
    """The first input of numbers."""
    return next((name for name, values in table.inputs.items() if values.dtype.kind == "f"), None)


def text_input(table: Table) -> str | None:
    """The first input of texts, where there are no numbers."""
    if numeric_input(table) is not None:
        return None
    return next((name for name, values in table.inputs.items() if values.dtype == object), None)


def _first_cell(number: float) -> Callable[[Array], Array]:
    def spoil(values: Array) -> Array:
        spoiled = values.copy()
        spoiled.reshape(len(spoiled), -1)[:, 0] = number
        return spoiled

    return spoil


_SPOILED_NUMBERS = {
    "not a number": _first_cell(float("nan")),
    "infinity": _first_cell(float("inf")),
    "far out of range": _first_cell(1e30),
}
_SPOILED_TEXTS = {
    "empty text": lambda values: np.array([""] * len(values), dtype=object),
    "very long text": lambda values: np.array(["overload " * 2000] * len(values), dtype=object),
    "other scripts": lambda values: np.array(["光纤中断 \u202e\u0000 😀"] * len(values), dtype=object),
}


def spoiled_inputs(endpoint: Endpoint, table: Table, signature: Signature) -> list[dict[str, Any]]:
    """Each spoiled input must be refused with a clear 4xx or answered with finite numbers; never fail otherwise."""
    name = numeric_input(table)
    spoilers = _SPOILED_NUMBERS if name else _SPOILED_TEXTS
    target = name or next(iter(table.inputs))
    first = slice(0, 1)
    found = []
    for title, spoil in spoilers.items():
        changed = {key: values[first] for key, values in table.inputs.items()}
        changed[target] = spoil(changed[target])
        found.append({"check": title, **_reaction(endpoint, table.tensors(first, signature, changed))})
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


def damaged(
    table: Table,
    figure: Figure,
    loss: Loss,
    plain: float,
    whole: Sequence[int] = (),
    *,
    in_place: bool = False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How much the main figure loses under noise, missing values and permuted columns; texts: typos, dropped words
    and capitals.

    The columns `whole` hold whole numbers, and do so under noise. `in_place`: the right answers are places in the
    texts, so no word may be taken out. Gives figures by name, and what happened to each damage, refused ones too.
    """
    if name := numeric_input(table):
        damages = _damages(table.inputs[name], whole)
    elif name := text_input(table):
        damages = _damages_of_texts(table.inputs[name], in_place=in_place)
    else:
        return {}, []
    figures: dict[str, Any] = {}
    checks = []
    for key, title, spoiled in damages:
        try:
            drop = loss(plain, figure({name: spoiled}))
        except Refused as refused:
            checks.append({"check": title, "passed": 400 <= refused.status < 500, "told": str(refused)})
            continue
        figures[key] = {"value": drop, "n": len(table)}
        finite = bool(np.isfinite(drop))
        told = f"the main figure gets worse by {drop:.4g}" if finite else "answered with NaN or infinity"
        if not finite:
            figures.pop(key)
        checks.append({"check": title, "passed": finite, "told": told})
    return figures, checks


def _damages(values: Array, whole: Sequence[int] = ()) -> list[tuple[str, str, Array]]:
    """Noise of a tenth of each column's spread, a tenth of the cells missing, and the columns in another order."""
    rng = np.random.default_rng(SEED)
    noisy = values + rng.normal(0, 0.1, values.shape) * values.std(0, keepdims=True)
    noisy = np.clip(noisy, np.nanmin(values, 0), np.nanmax(values, 0)).astype(values.dtype)
    noisy[..., list(whole)] = np.round(noisy[..., list(whole)])
    missing = values.copy()
    missing[rng.random(values.shape) < _MISSING_SHARE] = np.nan
    found = [
        ("robustness_noise_drop", "noise", noisy),
        ("robustness_missing_drop", "missing values", missing),
    ]
    flat = values.reshape(len(values), -1)
    if flat.shape[1] > 1:
        turned = np.roll(flat, 1, axis=1).reshape(values.shape)
        found.append(("robustness_permuted_drop", "columns in another order", turned))
    return found


def _damages_of_texts(values: Array, *, in_place: bool = False) -> list[tuple[str, str, Array]]:
    """A swap of neighbouring letters for every twenty, a tenth of the words left out, and capitals only."""
    rng = np.random.default_rng(SEED)
    found = [("robustness_typos_drop", "typos", _each(values, lambda text: _mistyped(text, rng)))]
    if not in_place:
        thinned = _each(values, lambda text: _without(text, _some_of(len(_TOKEN.findall(text)), rng)))
        found.append(("robustness_words_drop", "dropped words", thinned))
    found.append(("robustness_case_drop", "upper case", _each(values, _upper)))
    return found


def _each(values: Array, change: Callable[[str], str]) -> Array:
    flat = [change(str(value)) for value in values.ravel().tolist()]
    return np.array(flat, dtype=object).reshape(values.shape)


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """The same text with neighbouring letters swapped here and there; it stays as long as it was."""
    letters = list(text)
    places = [
        at
        for at in range(len(letters) - 1)
        if letters[at].isalnum() and letters[at + 1].isalnum() and letters[at] != letters[at + 1]
    ]
    wanted = min(len(places), max(1, len(letters) // _LETTERS_A_TYPO))
    for at in rng.choice(places, wanted, replace=False) if wanted else ():
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _some_of(tokens: int, rng: np.random.Generator) -> set[int]:
    """The places of the tokens that are left out: a tenth of them, one at least, and never the only one."""
    if tokens < 2:
        return set()
    return set(rng.choice(tokens, max(1, round(tokens * _DROPPED_SHARE)), replace=False).tolist())


def _without(text: str, places: set[int]) -> str:
    """The text without the tokens at these places."""
    kept, end = [], 0
    for place, token in enumerate(_TOKEN.finditer(text)):
        if place in places:
            kept.append(text[end : token.start()])
            end = token.end()
    return "".join([*kept, text[end:]])


def _upper(text: str) -> str:
    """Capitals, letter for letter: where a capital is longer than its letter, as of ß, the letter stays."""
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in text)


def importance_of_tokens(
    table: Table, answers: Sequence[str], figure: Figure, loss: Loss, plain: float
) -> list[dict[str, Any]]:
    """What a figure loses when a word is left out of all texts; tried are those that go with what is answered.

    Capitals do not matter. `n` is the number of texts that have the word. Rows of several texts have none of this.
    """
    name = text_input(table)
    if name is None or table.inputs[name].size != len(table.inputs[name]):
        return []
    values = table.inputs[name]
    texts = [[token.lower() for token in _TOKEN.findall(str(text))] for text in values.ravel().tolist()]
    found = []
    for token, count in _tokens_to_try(texts, answers):
        thinned = [
            _without(str(text), {at for at, each in enumerate(tokens) if each == token})
            for text, tokens in zip(values.ravel().tolist(), texts, strict=True)
        ]
        try:
            drop = loss(plain, figure({name: np.array(thinned, dtype=object).reshape(values.shape)}))
        except Refused:
            continue  # a text of this word alone is empty without it, and may be refused
        if np.isfinite(drop):
            found.append({"input": token, "drop": drop, "n": count})
    return sorted(found, key=lambda item: -item["drop"])


def _tokens_to_try(texts: Sequence[Sequence[str]], answers: Sequence[str]) -> list[tuple[str, int]]:
    """The tokens whose texts are answered least like all texts, with how many texts have each.

    By Pearson's chi-square of the answers to the texts with the token against those to all; where nearly every text
    has an answer of its own, by how many texts have it.
    """
    of_tokens: dict[str, Counter[str]] = {}
    for tokens, answer in zip(texts, answers, strict=True):
        for token in dict.fromkeys(tokens):
            of_tokens.setdefault(token, Counter())[answer] += 1
    counts = {token: found.total() for token, found in of_tokens.items()}
    every = Counter(answers)
    if len(every) > _MOST_ANSWERS:
        return sorted(counts.items(), key=lambda item: -item[1])[:_MOST_TOKENS]

    def apart(token: str) -> float:
        n, seen = counts[token], of_tokens[token]
        expected = {answer: n * count / len(texts) for answer, count in every.items()}
        return sum((seen[answer] - wanted) ** 2 / wanted for answer, wanted in expected.items())

    return [
        (token, counts[token]) for token in sorted(of_tokens, key=lambda token: -apart(token))[:_MOST_TOKENS]
    ]


def importance(
    table: Table, signature: Signature, figure: Figure, loss: Loss, plain: float
) -> list[dict[str, Any]]:
    """Permutation importance of each column (Breiman, 2001): what the main figure loses when it is shuffled.

    Over the endpoint, so that it is the served model's; `sklearn.inspection.permutation_importance` gives the
    same for a model in the same process, and a test compares the two.
    """
    name = numeric_input(table)
    if name is None:
        return []
    values = table.inputs[name]
    flat = values.reshape(len(values), -1)
    titles = [column.title or column.name for column in signature.columns] or [
        str(place) for place in np.ndindex(values.shape[1:])
    ]
    if flat.shape[1] != len(titles) or flat.shape[1] > _MOST_COLUMNS:
        return []
    rng = np.random.default_rng(SEED)
    found = []
    for column, title in enumerate(titles):
        shuffled = flat.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        drop = loss(plain, figure({name: shuffled.reshape(values.shape)}))
        found.append({"input": title, "drop": drop})
    return sorted(found, key=lambda item: -item["drop"])
