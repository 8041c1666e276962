"""Parsing rules tried on calls: what each finds in one of them, and in how many it finds something."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.examples import Example
from atrium.parsing import InvalidRules, compile_rule, read_rules, take

LONGEST_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule. `error` says what is wrong with it, `value` is what it finds in the chosen call (None: nothing)."""

    name: str
    expression: str
    error: str = ""
    value: Any = None
    found: int = 0
    of: int = 0

    @property
    def shown(self) -> str:
        """The value as short JSON."""
        text = json.dumps(self.value, ensure_ascii=False)
        return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def try_rules(rules: Mapping[str, Any], examples: Sequence[Example], chosen: int = 0) -> list[Tried]:
    """Try each rule on all examples; its value is the one in the chosen example."""
    return [_try(name, text, examples, chosen) for name, text in rules.items()]


def _try(name: str, text: Any, examples: Sequence[Example], chosen: int) -> Tried:
    try:
        read_rules({name: text})
    except InvalidRules as error:
        return Tried(name, str(text), error=error.wrong.get(name, str(error)))
    rule = compile_rule(text)
    found, value, wrong = 0, None, ""
    for at, example in enumerate(examples):
        try:
            here = take(name, rule, example.document)
        except InvalidRules as error:
            here, told = None, str(error)
        else:
            told = ""
        found += here is not None
        if at == chosen:
            value, wrong = here, told
    return Tried(name, text, wrong, value, found, len(examples))
