"""What the store shows of releases: which versions carry a valid signature, on which report, and for the capability's
team the one that has production's traffic, with the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from apps.releases.models import Release
from apps.releases.order import STANDING, in_gray
from apps.releases.policy import may_see_releases, offers_way_back
from apps.releases.signing import may_take_production_traffic, signed_among
from apps.store.panels import Panel, Signed, SignedReport, register_panel, register_sign_off

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User
    from apps.catalog.models import Capability, Version


def signed_report(version: Version) -> SignedReport | None:
    """The report of the newest standing release, while its signature is valid."""
    if not may_take_production_traffic(version):
        return None
    release = Release.objects.filter(version=version, status__in=STANDING).order_by("-pk").first()
    if release is None:
        return None
    signatures = release.signatures.select_related("user").order_by("at")
    return SignedReport(
        release.report_id,
        release.content_digest,
        [Signed(each.user.called, each.role, each.at) for each in signatures],
    )


def release_panel(request: HttpRequest, capability: Capability) -> Panel | None:
    """The release in gray, else the one that everybody has: for the team, and operators roll it back here."""
    user = cast("User", request.user)
    if not may_see_releases(user, capability):
        return None
    gray = in_gray(capability).select_related("capability__team").first()
    whole = Release.objects.filter(capability=capability, status=Release.Status.RELEASED)
    release = gray or whole.select_related("version__capability", "capability__team").order_by("-pk").first()
    if release is None:
        return None
    context = {"release": release, "may_go_back": offers_way_back(user, release)}
    html = render_to_string("releases/_panel.html", context, request)
    return Panel(_("Release"), html)


def register() -> None:
    """Tell the store; called once when the app is ready."""
    register_sign_off(signed_among, signed_report)
    register_panel("releases", release_panel)
