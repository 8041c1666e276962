"""What a project on a capability most likely asks: read from the signature of its version and from its suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.annotation.label_types import TYPES
from apps.annotation.models import Project
from apps.evaluation.selectors import latest_suite
from apps.store.selectors import version_to_show

if TYPE_CHECKING:
    from apps.catalog.models import Capability

_SHOWS = {
    "image": Project.Show.IMAGE,
    "text": Project.Show.TEXT,
    "series": Project.Show.SERIES,
    "number": Project.Show.ROW,
}
_KINDS = {"class": "single", "spans": "spans"}
"""The label type for the kind of an output; other answers are numbers, which people write."""


def suggested(capability: Capability) -> dict[str, Any]:
    """Values for fields of the project's form, by name; only those that are known."""
    signature = _signature_of(capability)
    found: dict[str, Any] = {}
    if signature.get("inputs"):
        found["show"] = _shown_as(signature["inputs"][0])
    if signature.get("outputs"):
        output = signature["outputs"][0]
        found["kind"] = _KINDS.get(output.get("kind", ""), "text")
        found["labels"] = ", ".join(map(str, output.get("labels") or []))
        found["question"] = questions()[found["kind"]]
    if suite := latest_suite(capability):
        found |= {"dataset": suite.dataset_version.dataset.slug, "target": suite.target}
    return found


def questions() -> dict[str, str]:
    """The question that is proposed for a label type."""
    return {
        "single": _("Which label is right?"),
        "spans": _("What is named in this text?"),
        "text": _("What would have been the right answer?"),
    }


def example_of(capability: Capability, kind: str, show: str) -> dict[str, Any] | None:
    """An input of the capability to preview a label type on; None where it cannot be drawn so."""
    inputs = _signature_of(capability).get("inputs") or []
    if not inputs or inputs[0].get("example") is None or _shown_as(inputs[0]) != show:
        return None
    return {inputs[0]["name"]: inputs[0]["example"]} if show in TYPES[kind].shows else None


def _shown_as(spec: dict[str, Any]) -> str:
    return str(_SHOWS.get(spec.get("kind", ""), Project.Show.TEXT))


def _signature_of(capability: Capability) -> dict[str, Any]:
    version = version_to_show(capability)
    return version.signature if version else {}
