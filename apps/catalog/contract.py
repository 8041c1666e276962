"""What callers of one version have to change for another one: does a call that it answers still work? No database here.

The signature is the contract: what every call has to send and what comes back. Its `kind`, unit and range say how pages
offer an input; a version that says nothing of them answers all the same, but its page for trying is poorer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

Signature = Mapping[str, Any]
_OFFERED = ("kind", "unit", "minimum", "maximum", "choices", "labels")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference in words. `breaks`: calls as they are made today are refused, or their answers read wrongly."""

    words: str
    breaks: bool


def changes(before: Signature, after: Signature) -> list[Change]:
    """What differs for whoever calls, what breaks them first; empty where one of the two has no signature."""
    if not before.get("inputs") or not after.get("inputs"):
        return []
    found = [*_inputs(before, after), *_outputs(before, after), *_columns(before, after)]
    return sorted(found, key=lambda change: not change.breaks)


def _named(signature: Signature, where: str) -> dict[str, Mapping[str, Any]]:
    return {str(spec["name"]): spec for spec in signature.get(where) or []}


def _inputs(before: Signature, after: Signature) -> Iterator[Change]:
    old, new = _named(before, "inputs"), _named(after, "inputs")
    for name in (name for name in old if name not in new):
        yield Change(_("Calls send “%(name)s”, and this version takes no such input.") % {"name": name}, True)
    for name, spec in new.items():
        if name not in old and not spec.get("optional"):
            told = {"name": name, "what": _shaped(spec)}
            yield Change(
                _("Calls do not send “%(name)s” (%(what)s), and this version needs it.") % told, True
            )
        elif name in old:
            yield from _tensor(name, old[name], spec, sent=True)


def _outputs(before: Signature, after: Signature) -> Iterator[Change]:
    old, new = _named(before, "outputs"), _named(after, "outputs")
    for name in (name for name in old if name not in new):
        yield Change(_("Answers had “%(name)s”, and this version does not answer it.") % {"name": name}, True)
    for name, spec in new.items():
        if name in old:
            yield from _tensor(name, old[name], spec, sent=False)


def _columns(before: Signature, after: Signature) -> Iterator[Change]:
    old, new = _named(before, "columns"), _named(after, "columns")
    if not old or not new:
        return
    common = [name for name in old if name in new]
    if common != [name for name in new if name in old]:
        yield Change(_("The columns stand in another order, and rows are read by their order."), True)
    for name in common:
        yield from _narrowed(name, old[name], new[name])
    for name in (name for name in old if name not in new):
        yield Change(_("Rows have a column “%(name)s”, and this version knows none.") % {"name": name}, True)
    for name, spec in new.items():
        if name not in old and not spec.get("optional"):
            yield Change(
                _("Rows have no column “%(name)s”, and this version needs it.") % {"name": name}, True
            )


def _tensor(name: str, old: Mapping[str, Any], new: Mapping[str, Any], *, sent: bool) -> Iterator[Change]:
    sending, taking = (old, new) if sent else (new, old)
    if old.get("datatype") != new.get("datatype") or not _takes(taking.get("shape"), sending.get("shape")):
        told = {"name": name, "before": _shaped(old), "after": _shaped(new)}
        yield Change(_("“%(name)s” was %(before)s and is %(after)s.") % told, True)
        return
    if sent:
        yield from _narrowed(name, old, new)
    if sent and (lost := [prop for prop in _OFFERED if _said(old, prop) and not _said(new, prop)]):
        told = {"name": name, "lost": ", ".join(f"{prop} {_short(old[prop])}" for prop in lost)}
        yield Change(
            _(
                "“%(name)s” had %(lost)s, and this version says nothing of it: pages offer plain numbers or text. Say "
                "it in signature.json of the package."
            )
            % told,
            False,
        )


def _narrowed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """What may be sent today and is refused then: a tighter range, fewer choices, whole numbers only."""
    tighter = []
    for bound, sign in (("minimum", 1), ("maximum", -1)):
        if _said(new, bound) and (not _said(old, bound) or sign * new[bound] > sign * old[bound]):
            tighter.append(f"{bound} {new[bound]}")
    if _said(new, "choices") and (not _said(old, "choices") or set(old["choices"]) - set(new["choices"])):
        tighter.append(f"choices {_short(new['choices'])}")
    if _whole(new) and not _whole(old) and "shape" not in old:
        tighter.append(str(new["datatype"]))
    tighter += [f"{prop} no" for prop in ("allow_missing", "optional") if old.get(prop) and not new.get(prop)]
    if tighter:
        words = _("“%(name)s” takes less than before: %(tighter)s.")
        yield Change(words % {"name": name, "tighter": ", ".join(tighter)}, True)


def _whole(spec: Mapping[str, Any]) -> bool:
    return str(spec.get("datatype") or "").startswith(("INT", "UINT"))


def _said(spec: Mapping[str, Any], prop: str) -> bool:
    return spec.get(prop) not in (None, "", [])


def _takes(new: Sequence[int] | None, old: Sequence[int] | None) -> bool:
    """Whether every array of the old shape has the new one; -1 stands for any length."""
    new, old = list(new or []), list(old or [])
    return len(new) == len(old) and all(mine in (-1, theirs) for mine, theirs in zip(new, old, strict=True))


def _shaped(spec: Mapping[str, Any]) -> str:
    shape = ",".join(str(length) for length in spec.get("shape") or [])
    return f"{spec.get('datatype', '')} [{shape}]"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
