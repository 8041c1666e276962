"""Describing capabilities, and showing them to others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.search import SearchVector
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction
from django.db.models import Value
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog.models import Capability, Version
from apps.catalog.policy import (
    may_create_capability,
    may_edit_capability,
    may_publish_capability,
)
from apps.catalog.services.deprecation import check_day
from apps.catalog.words import signature_words
from apps.core import audit
from apps.core.errors import Invalid
from apps.core.events import publish
from apps.core.policy import require
from apps.core.search import lexemes

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

MOST_TAGS = 12
LARGEST_CARD = 200_000
_EDITABLE = frozenset({"name", "summary", "card", "domain", "tags", "visibility"})


@transaction.atomic
def create_capability(
    slug: str,
    *,
    team: Team,
    by: User,
    name: str = "",
    summary: str = "",
    card: str = "",
    domain: str = "",
    tags: Iterable[str] = (),
    visibility: str = Capability.Visibility.TEAM,
) -> Capability:
    """Describe a new capability of a team. Raises Invalid for a short name that is taken or malformed."""
    require(may_create_capability(by, team))
    _check_slug(slug)
    values = _checked(
        {
            "name": name or slug,
            "summary": summary,
            "card": card,
            "domain": domain,
            "tags": list(tags),
            "visibility": visibility,
        }
    )
    try:
        with transaction.atomic():
            capability = Capability.objects.create(slug=slug, team=team, created_by=by, **values)
    except IntegrityError as error:
        raise Invalid(
            _("The short name “%(slug)s” is taken. Choose another one.") % {"slug": slug},
            fields={"slug": _("This one is taken: choose another.")},
        ) from error
    index_words(capability)
    audit.record("catalog.capability.created", capability, by=by, slug=slug, team=team.slug)
    return capability


@transaction.atomic
def edit_capability(capability: Capability, *, by: User, **changes: Any) -> Capability:
    """Change what is said about a capability. What runs stays as it is. Raises Invalid, NotAllowed."""
    require(may_edit_capability(by, capability))
    unknown = set(changes) - _EDITABLE
    if unknown:
        raise Invalid(_("These fields cannot be changed: %(names)s.") % {"names": ", ".join(sorted(unknown))})
    values = _checked(changes)
    before = {name: getattr(capability, name) for name in values}
    changed = {name: value for name, value in values.items() if before[name] != value}
    if not changed:
        return capability
    for name, value in changed.items():
        setattr(capability, name, value)
    capability.save(update_fields=[*changed, "changed_at"])
    index_words(capability)
    told = {name: value for name, value in changed.items() if name != "card"}
    audit.record("catalog.capability.edited", capability, by=by, fields=sorted(changed), after=told)
    publish("catalog.capability_changed", capability.pk)
    return capability


@transaction.atomic
def publish_capability(capability: Capability, *, by: User) -> Capability:
    """Show a capability in the store, to those whom its visibility names."""
    require(may_publish_capability(by, capability))
    Capability.lifecycle.move(
        capability, "published", by=by, published_at=timezone.now(), deprecated_at=None, deprecation_note=""
    )
    publish("catalog.capability_published", capability.pk)
    return capability


@transaction.atomic
def withdraw_capability(capability: Capability, *, by: User) -> Capability:
    """Take a published capability out of the store again; existing subscriptions keep working."""
    require(may_edit_capability(by, capability))
    Capability.lifecycle.move(capability, "draft", by=by)
    publish("catalog.capability_changed", capability.pk)
    return capability


@transaction.atomic
def deprecate_capability(
    capability: Capability, *, by: User, note: str = "", retires_on: date | None = None
) -> Capability:
    """Tell that a capability will go, on which day, and what to use instead. It keeps answering until then.

    Said again of a deprecated one, it changes the day and the words, and subscribers hear of it anew.
    """
    require(may_edit_capability(by, capability))
    check_day(retires_on)
    told = {"deprecation_note": note.strip(), "retires_on": retires_on}
    if capability.status == Capability.Status.DEPRECATED:
        if all(getattr(capability, name) == value for name, value in told.items()):
            return capability
        for name, value in told.items():
            setattr(capability, name, value)
        capability.save(update_fields=[*told, "changed_at"])
        audit.record("catalog.capability.deprecation_changed", capability, by=by, **told)
    else:
        Capability.lifecycle.move(capability, "deprecated", by=by, deprecated_at=timezone.now(), **told)
    publish("catalog.capability_deprecated", capability.pk)
    return capability


def _check_slug(slug: str) -> None:
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise Invalid(
            _("“%(slug)s” cannot be a short name: use letters, digits, hyphens.") % {"slug": slug[:80]},
            fields={"slug": _("has other characters than letters, digits and hyphens")},
        ) from error
    if slug != slug.lower() or len(slug) > 63 or "_" in slug:
        raise Invalid(
            _("“%(slug)s” cannot be a short name: at most 63 lower-case letters, digits and hyphens.")
            % {"slug": slug[:80]},
            fields={"slug": _("must be lower case, without underscores, at most 63 long")},
        )


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values cleaned. Raises Invalid with a reason for each field."""
    clean, wrong = dict(values), {}
    if "tags" in clean:
        clean["tags"] = _clean_tags(clean["tags"])
        if len(clean["tags"]) > MOST_TAGS or any(len(tag) > 30 for tag in clean["tags"]):
            wrong["tags"] = _("at most %(most)d tags of at most 30 letters") % {"most": MOST_TAGS}
    if "visibility" in clean and clean["visibility"] not in Capability.Visibility.values:
        wrong["visibility"] = _("must be one of %(names)s") % {
            "names": ", ".join(Capability.Visibility.values)
        }
    for name, most in (("name", 100), ("summary", 240), ("domain", 60), ("card", LARGEST_CARD)):
        if name in clean:
            clean[name] = str(clean[name]).strip()
            if len(clean[name]) > most or "\x00" in clean[name]:
                wrong[name] = _("is longer than %(most)d characters") % {"most": most}
    if "name" in clean and not clean["name"]:
        wrong["name"] = _("is empty")
    if wrong:
        text = "; ".join(f"{name} {reason}" for name, reason in wrong.items())
        raise Invalid(_("The description cannot be saved: %(text)s.") % {"text": text}, fields=wrong)
    return clean


def _clean_tags(tags: Iterable[str]) -> list[str]:
    seen = dict.fromkeys(" ".join(str(tag).lower().split()) for tag in tags)
    return [tag for tag in seen if tag]


def index_words(capability: Capability) -> None:
    """Write the words that search finds the capability by: what is said of it, and what it takes and gives."""
    newest = capability.versions.filter(status=Version.Status.PACKAGED).order_by("-packaged_at", "-pk")
    signature = newest.values_list("signature", flat=True).first() or {}

    def vector(text: str, weight: str) -> SearchVector:
        return SearchVector(Value(" ".join(lexemes(text))), config="simple", weight=weight)

    Capability.objects.filter(pk=capability.pk).update(
        text=vector(f"{capability.name} {capability.slug} {' '.join(capability.tags)}", "A")
        + vector(f"{capability.summary} {capability.domain}", "B")
        + vector(" ".join(signature_words(signature)), "C")
        + vector(capability.card[:50_000], "D")
    )
