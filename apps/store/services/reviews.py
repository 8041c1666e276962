"""What subscribers say of a capability, and what its team answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import users_with
from apps.core import audit
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.requests import services as requests
from apps.store import standing
from apps.store.models import Review
from apps.store.policy import may_answer_review, may_remove_review, may_review

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability

LONGEST = 4000


@transaction.atomic
def write_review(capability: Capability, *, rating: int, text: str = "", by: User) -> Review:
    """Say what one thinks of a capability; a second word of the same person replaces the first.

    Raises NotAllowed for who has no subscription, Invalid for a rating outside of 1 to 5.
    """
    require(may_review(by, capability))
    text = _checked(text)
    if not 1 <= rating <= 5:
        raise Invalid(
            _("A rating goes from 1 to 5 stars; %(rating)s is none.") % {"rating": rating},
            fields={"rating": _("must be 1 to 5")},
        )
    review, made = Review.objects.update_or_create(
        capability=capability,
        user=by,
        defaults={"rating": rating, "text": text, "edited_at": timezone.now()},
        create_defaults={"rating": rating, "text": text},
    )
    audit.record("store.review.written" if made else "store.review.edited", review, by=by, rating=rating)
    standing.refresh([capability.pk])
    if made:
        _tell_team(capability, by)
    return review


def _checked(text: str) -> str:
    text = text.replace("\x00", "").strip()
    if len(text) > LONGEST:
        raise Invalid(
            _("The text has %(got)d characters; %(most)d is the most.") % {"got": len(text), "most": LONGEST},
            fields={"text": _("is too long")},
        )
    return text


def _tell_team(capability: Capability, by: User) -> None:
    requests.notify(
        users_with(Role.DEVELOPER, capability.team).exclude(pk=by.pk),
        lambda: _("%(name)s has a new review") % {"name": capability.name},
        url=reverse("store:reviews", args=[capability.slug]),
    )


@transaction.atomic
def remove_review(review: Review, *, by: User) -> None:
    """Take a review back: its author, or an administrator."""
    require(may_remove_review(by, review))
    audit.record("store.review.removed", review, by=by, author=review.user_id)
    review.delete()
    standing.refresh([review.capability_id])


@transaction.atomic
def answer_review(review: Review, *, text: str, by: User) -> Review:
    """The providing team answers below a review; an empty text takes the answer back."""
    require(may_answer_review(by, review))
    text = _checked(text)
    review.answer = text
    review.answered_by, review.answered_at = (by, timezone.now()) if text else (None, None)
    review.save(update_fields=["answer", "answered_by", "answered_at"])
    audit.record("store.review.answered", review, by=by)
    if text:
        requests.notify(
            [review.user],
            lambda: _("Your review of %(name)s was answered") % {"name": review.capability.name},
            url=reverse("store:reviews", args=[review.capability.slug]),
        )
    return review
