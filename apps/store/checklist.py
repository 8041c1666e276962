"""What a capability still lacks before others can find, trust and use it: for its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.catalog.cards import missing_sections
from apps.catalog.models import Capability
from apps.store.models import Plan
from apps.store.selectors import contacts_of
from apps.store.standing import licence_of

if TYPE_CHECKING:
    from apps.catalog.models import Version
    from apps.store.models import Standing


@dataclass(frozen=True)
class Item:
    """One thing that a reader of the store looks for; `url` leads to where it is done."""

    name: str
    title: str
    done: bool
    advice: str
    url: str


def checklist_of(capability: Capability, version: Version | None, standing: Standing | None) -> list[Item]:
    """Everything that makes a capability usable by others, the missing with what to do."""
    edit = reverse("catalog:edit", args=[capability.slug])
    detail = reverse("catalog:detail", args=[capability.slug])
    plans = reverse("store:plans", args=[capability.slug])
    badges = set(standing.badges) if standing else set()
    offered = Plan.objects.filter(capability=capability, status=Plan.Status.PUBLISHED, trial=False).exists()
    reachable = bool(contacts_of(capability))
    unsaid = missing_sections(capability.card)
    found = [
        ("summary", _("A summary and a domain"), bool(capability.summary and capability.domain),
         _("One sentence and one word by which people search and filter."), edit),
        ("card", _("A card with sections"), not unsaid,
         _("It says nothing yet about: %(names)s.") % {"names": ", ".join(unsaid)}, edit),
        ("licence", _("A licence"), bool(licence_of(capability.card)),
         _("Name it in the card's front matter: license: apache-2.0."), edit),
        ("version", _("A packaged version"), version is not None, _("Upload a model or register one."), detail),
        ("cases", _("Shipped cases"), bool(version and version.cases_count),
         _("Cases are the examples of Try it, and are checked after each deployment."), detail),
        ("example", _("Inputs that explain themselves"), _explains(version),
         _("Give inputs a title, a range or an example in the signature."), detail),
        ("contact", _("Somebody to ask"), reachable,
         _("A developer of the team, or its owner, needs an e-mail address; readers see it."),
         reverse("accounts:profile")),
        ("plan", _("A plan"), offered, _("Nobody can subscribe without one."), plans),
        ("evaluated", _("A passed evaluation"), "evaluated" in badges,
         _("The report becomes the Quality tab."), reverse("evaluation:list")),
        ("signed", _("A signature"), "signed" in badges,
         _("QA signs the release that answers in production."), detail),
        ("listed", _("Listed for the whole organisation"),
         capability.status == Capability.Status.PUBLISHED
         and capability.visibility == Capability.Visibility.ORGANISATION,
         _("Publish it, visible to the organisation."), detail),
    ]  # fmt: skip
    return [Item(*facts) for facts in found]


def _explains(version: Version | None) -> bool:
    """Whether every input says more than its name."""
    signature = (version.signature if version else None) or {}
    inputs = signature.get("inputs") or []
    said = ("title", "description", "example", "minimum", "choices", "labels", "kind")
    return bool(inputs) and all(
        any(spec.get(word) is not None for word in said) or signature.get("columns") for spec in inputs
    )
