"""The order of the way to production: what a person may do beside a release, and what only its stages do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from apps.core.policy import Verdict, allow, deny
from apps.core.telling import say as _
from apps.releases.models import Bypass, Release

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.catalog.models import Capability, Version

UNDER_WAY = (Release.Status.ROLLING, Release.Status.PAUSED)
GONE = (Release.Status.RELEASED, Release.Status.SUPERSEDED)
OPEN = (Release.Status.SIGNING, Release.Status.SIGNED, *UNDER_WAY)
STANDING = (Release.Status.SIGNED, *UNDER_WAY, *GONE)


def may_divide_by_hand(capability: Capability) -> Verdict:
    """No while a release in gray or an emergency bypass divides the traffic."""
    release = in_gray(capability).first()
    if release is not None:
        return deny(
            _(
                "The release of %(version)s is in gray, and its stages divide the traffic."
                " Pause it, promote it or roll it back on its page."
            )
            % {"version": release.version},
            url=reverse("releases:detail", args=[release.pk]),
        )
    if Bypass.objects.filter(capability=capability, status=Bypass.Status.ACTIVE).exists():
        return deny(
            _("An emergency bypass is in force and has the traffic. End it on its page."),
            url=reverse("releases:emergency"),
        )
    return allow()


def in_gray(capability: Capability) -> QuerySet[Release]:
    """The release that has a part of the capability's traffic, if there is one."""
    return Release.objects.filter(capability=capability, status__in=UNDER_WAY).select_related(
        "version__capability"
    )


def has_gone_the_whole_way(version: Version) -> Verdict:
    """Whether these bytes were released before: their stages are passed, so a person may go back to them at once."""
    mine = Release.objects.filter(version=version)
    if mine.filter(status__in=GONE, report__run__version_digest=version.digest).exists():
        return allow()
    told = {"version": version}
    waiting = mine.filter(status__in=OPEN).order_by("-pk").first()
    if waiting is not None:
        return deny(
            _(
                "%(version)s was never released, so nobody gives it a share by hand."
                " Its release does, stage by stage: go on there."
            )
            % told,
            url=reverse("releases:detail", args=[waiting.pk]),
        )
    return deny(
        _(
            "%(version)s was never released, so nobody gives it a share by hand."
            " Evaluate it and open its release."
        )
        % told,
        url=reverse("evaluation:start", args=[version.pk]),
    )
