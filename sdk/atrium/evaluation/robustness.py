"""What the endpoint does with inputs that are not as they should be."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from atrium.evaluation.endpoint import Endpoint, Refused
from atrium.evaluation.table import Table
from atrium.signature import Signature

Array = NDArray[Any]
Figure = Callable[[dict[str, Array]], float]
FigureOfSome = Callable[[Array, dict[str, Array]], float]
"""The figure of all rows when only these, by their numbers, are asked anew with changed inputs."""
Loss = Callable[[float, float], float]
Item = TypeVar("Item")
SEED = 20260101
_MISSING_SHARE = 0.1
_DROPPED_SHARE = 0.1
_LETTERS_A_TYPO = 20
_MOST_COLUMNS = 100
_MOST_TOKENS = 40
_MOST_ANSWERS = 50
_IMPORTANCE_S = 120.0
"""After so many seconds no further word or column is tried; a word that is being tried is told all the same."""
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
    table: Table, answers: Sequence[str], figure: FigureOfSome, loss: Loss, plain: float
) -> dict[str, Any]:
    """What a figure loses when a word is left out of the texts that have it; tried are those that go with what is
    answered, while there is time.

    Capitals do not matter. `importance` is `[{"input", "drop", "n"}]`, `n` the number of texts that have the word;
    `importance_tried` of the `importance_chosen` words were tried. `importance_without` are those of them that have
    no figure: a text without the word was refused, or answered without a number. Rows of several texts have none of
    this.
    """
    name = text_input(table)
    if name is None or table.inputs[name].size != len(table.inputs[name]):
        return {"importance": []}
    values = table.inputs[name]
    texts = [[token.lower() for token in _TOKEN.findall(str(text))] for text in values.ravel().tolist()]
    chosen = _tokens_to_try(texts, answers)
    found, without, tried = [], [], 0
    for token in _while_there_is_time(chosen):
        tried += 1
        rows = np.array([row for row, tokens in enumerate(texts) if token in tokens])
        thinned = values.copy()
        for row in rows:
            places = {at for at, each in enumerate(texts[row]) if each == token}
            thinned.reshape(-1)[row] = _without(str(values.ravel()[row]), places)
        try:
            drop = loss(plain, figure(rows, {name: thinned}))
        except Refused:
            drop = math.nan
        if math.isfinite(drop):
            found.append({"input": token, "drop": drop, "n": len(rows)})
        else:
            without.append(token)
    return {
        "importance": sorted(found, key=lambda item: -item["drop"]),
        "importance_tried": tried,
        "importance_chosen": len(chosen),
        "importance_without": without,
    }


def _while_there_is_time(items: Iterable[Item]) -> Iterator[Item]:
    end = monotonic() + _IMPORTANCE_S
    for item in items:
        if monotonic() >= end:
            return
        yield item


def _tokens_to_try(texts: Sequence[Sequence[str]], answers: Sequence[str]) -> list[str]:
    """The tokens that go most with what is answered, by the log-likelihood ratio of the answers to the texts with the
    token and to those without (Dunning, 1993): unlike chi-square it does not put those first that stand in one text
    with a rare answer. Where nearly every text has an answer of its own, by how many texts have the token.
    """
    of_tokens: dict[str, Counter[str]] = {}
    for tokens, answer in zip(texts, answers, strict=True):
        for token in dict.fromkeys(tokens):
            of_tokens.setdefault(token, Counter())[answer] += 1
    every = Counter(answers)

    def weight(token: str) -> float:
        seen = of_tokens[token]
        return seen.total() if len(every) > _MOST_ANSWERS else _likelihood_ratio(seen, every)

    return sorted(of_tokens, key=lambda token: -weight(token))[:_MOST_TOKENS]


def _likelihood_ratio(seen: Counter[str], every: Counter[str]) -> float:
    """-2 log λ of a table with two rows, what was `seen` and the rest of `every`; 0 where they are alike."""
    rows = (seen, every - seen)
    return 2 * sum(
        count * math.log(count * every.total() / (row.total() * every[answer]))
        for row in rows
        for answer, count in row.items()
    )


def importance(
    table: Table, signature: Signature, figure: Figure, loss: Loss, plain: float
) -> dict[str, Any]:
    """Permutation importance of each column (Breiman, 2001): what the main figure loses when it is shuffled. The
    columns are tried in their order while there is time; keys as of `importance_of_tokens`.

    Over the endpoint, so that it is the served model's; `sklearn.inspection.permutation_importance` gives the
    same for a model in the same process, and a test compares the two.
    """
    name = numeric_input(table)
    if name is None:
        return {"importance": []}
    values = table.inputs[name]
    flat = values.reshape(len(values), -1)
    titles = [column.title or column.name for column in signature.columns] or [
        str(place) for place in np.ndindex(values.shape[1:])
    ]
    if flat.shape[1] != len(titles) or flat.shape[1] > _MOST_COLUMNS:
        return {"importance": []}
    rng = np.random.default_rng(SEED)
    tried, found, without = 0, [], []
    for column, title in _while_there_is_time(enumerate(titles)):
        shuffled = flat.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        tried += 1
        try:
            drop = loss(plain, figure({name: shuffled.reshape(values.shape)}))
        except Refused:
            drop = math.nan
        if math.isfinite(drop):
            found.append({"input": title, "drop": drop})
        else:
            without.append(title)
    return {
        "importance": sorted(found, key=lambda item: -item["drop"]),
        "importance_tried": tried,
        "importance_chosen": len(titles),
        "importance_without": without,
    }
