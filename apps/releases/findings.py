"""What signers found, and how much of the traffic a release may have until it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.releases.models import Finding, Release
from apps.releases.order import STANDING
from apps.releases.policy import may_close_finding, may_raise_finding
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version

EVERYTHING = 100


@transaction.atomic
def raise_finding(release: Release, *, by: User, text: str, most_percent: int = 0) -> Finding:
    """Limit a release to a share of the traffic until this is closed; 0: it may not start. Raises Invalid."""
    require(may_raise_finding(by, release))
    if not text.strip():
        raise Invalid(_("Say what you found."), fields={"text": _("is empty")})
    if not 0 <= most_percent <= 99:
        raise Invalid(
            _("A finding limits the share to 0 to 99 %%, not %(most)d.") % {"most": most_percent},
            fields={"most_percent": _("must be 0 to 99")},
        )
    finding = Finding.objects.create(
        release=release, text=text.strip()[:4000], most_percent=most_percent, raised_by=by
    )
    audit.record(
        "releases.finding.raised", release, by=by, finding=finding.pk, text=finding.text, most=most_percent
    )
    people = {user.pk: user for user in (release.opened_by, release.version.created_by) if user.pk != by.pk}
    words = _("%(version)s: %(who)s found something") % {"version": release.version, "who": by.called}
    notify(list(people.values()), words, url=f"/releases/{release.pk}/", body=finding.text)
    return finding


@transaction.atomic
def close_finding(finding: Finding, *, by: User, resolution: str) -> Finding:
    """Say how it was resolved. QA closes, never the version's author. Raises NotAllowed, Invalid, Conflict."""
    finding = Finding.objects.select_for_update(of=("self",)).select_related("release").get(pk=finding.pk)
    require(may_close_finding(by, finding))
    if not resolution.strip():
        raise Invalid(_("Say how it was resolved."), fields={"resolution": _("is empty")})
    if finding.closed_at is not None:
        raise Conflict(_("This finding was closed meanwhile."))
    finding.closed_by, finding.closed_at = by, timezone.now()
    finding.resolution = resolution.strip()[:4000]
    finding.save(update_fields=["closed_by", "closed_at", "resolution"])
    audit.record(
        "releases.finding.closed", finding.release, by=by, finding=finding.pk, resolution=finding.resolution
    )
    return finding


def most_percent(release: Release) -> int:
    """The share that the open findings leave to a release; 100 without any."""
    least = release.findings.filter(closed_at=None).aggregate(least=Min("most_percent"))["least"]
    return EVERYTHING if least is None else int(least)


def most_percent_of(version: Version) -> int:
    """The same for a version, over all its releases that one may go on or back to. The guard asks it."""
    found = Finding.objects.filter(release__version=version, release__status__in=STANDING, closed_at=None)
    least = found.aggregate(least=Min("most_percent"))["least"]
    return EVERYTHING if least is None else int(least)
