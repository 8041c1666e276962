"""Parsing rules: JMESPath expressions that say which part of a logged call is what.

    {"answer": "outputs[?name=='class'].data | [0]", "score": "max(outputs[?name=='probabilities'].data | [0])"}

They read one document that holds the request's `inputs` and the answer's `outputs`, as the Open Inference Protocol
writes them. Each gives the field of its name; the one called `score` gives the number by which calls are filtered and
pulled for labelling. The language is that of https://jmespath.org/specification.html.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import IncompleteExpressionError, JMESPathError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult

from atrium.oip.tensors import show

FILE = "parsing.json"
SCORE = "score"
MOST_RULES = 40
LONGEST_EXPRESSION = 2000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,59}")

Rules = dict[str, ParsedResult]


class InvalidRules(ValueError):
    """Rules that cannot be applied; `wrong` has what is wrong by the name of the rule."""

    def __init__(self, message: str, wrong: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.wrong = dict(wrong or {})


def read_rules(document: Any) -> dict[str, str]:
    """{name: expression} of a document that says so; raises InvalidRules that names each rule that is wrong."""
    if not isinstance(document, dict):
        raise InvalidRules(
            f"{FILE} must be an object of names and JMESPath expressions, got {show(document)}"
        )
    if len(document) > MOST_RULES:
        raise InvalidRules(f"there are {len(document)} rules; at most {MOST_RULES} are taken")
    wrong = {}
    for name, expression in document.items():
        try:
            _check_name(name)
            compile_rule(expression)
        except InvalidRules as error:
            wrong[str(name)] = str(error)
    if wrong:
        told = "; ".join(f"rule '{name}': {reason}" for name, reason in wrong.items())
        raise InvalidRules(told, wrong)
    return dict(document)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRules(
            "a name begins with a letter and has at most 60 letters, digits, dots, hyphens and underscores"
        )


def compile_rule(expression: Any) -> ParsedResult:
    """The expression, ready to be applied; raises InvalidRules that says where it is wrong."""
    if not isinstance(expression, str) or not expression.strip():
        raise InvalidRules(f"the expression must be a text, got {show(expression)}")
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidRules(f"the expression is longer than {LONGEST_EXPRESSION} characters")
    try:
        rule = jmespath.compile(expression)
    except IncompleteExpressionError as error:
        raise InvalidRules("the expression breaks off at its end") from error
    except LexerError as error:
        raise InvalidRules(f"column {error.lex_position + 1}: {error.message}") from error
    except ParseError as error:
        raise InvalidRules(
            f"column {error.lex_position + 1}: '{error.token_value}' is not expected here"
        ) from error
    except (JMESPathError, ValueError, RecursionError) as error:
        raise InvalidRules(str(error).splitlines()[0] or "the expression cannot be read") from error
    for name in _functions(rule.parsed):
        if name not in Functions.FUNCTION_TABLE:
            known = ", ".join(sorted(Functions.FUNCTION_TABLE))
            raise InvalidRules(f"there is no function '{name}'; there are {known}")
    return rule


def _functions(node: Any) -> Iterator[str]:
    """The names of the functions that an expression's tree calls."""
    if isinstance(node, dict):
        if node.get("type") == "function_expression":
            yield str(node.get("value"))
        for child in node.get("children") or []:
            yield from _functions(child)


def compile_rules(document: Mapping[str, Any]) -> Rules:
    """The rules that can be compiled. For documents that were checked before: what is wrong is left out."""
    rules: Rules = {}
    for name, expression in document.items():
        try:
            rules[str(name)] = compile_rule(expression)
        except InvalidRules:
            continue
    return rules


def apply_rules(
    rules: Rules, document: Mapping[str, Any], wrong: dict[str, str] | None = None
) -> dict[str, Any]:
    """The fields that the rules find in a call; the score is a finite number.

    A rule that cannot be applied to the call gives nothing, and `wrong` says why by its name.
    """
    parsed: dict[str, Any] = {}
    for name, rule in rules.items():
        try:
            value = take(name, rule, document)
        except InvalidRules as error:
            if wrong is not None:
                wrong[name] = str(error)
            continue
        if value is not None:
            parsed[name] = value
    return parsed


def take(name: str, rule: ParsedResult, document: Mapping[str, Any]) -> Any:
    """What one rule finds, None for nothing; raises InvalidRules that says why it cannot be applied to this call."""
    try:
        value = rule.search(document)
    except (JMESPathError, TypeError, ValueError, RecursionError) as error:
        raise InvalidRules(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if name != SCORE or value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise InvalidRules(f"the score must be a number, got {show(value)}")
    return float(value)


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")
