"""What the store shows of signatures: which versions carry a valid one, and on which report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.releases.models import Release
from apps.releases.order import STANDING
from apps.releases.signing import may_take_production_traffic, signed_among
from apps.store.panels import Signed, SignedReport, register_sign_off

if TYPE_CHECKING:
    from apps.catalog.models import Version


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
        [Signed(each.user.get_full_name() or each.user.username, each.role, each.at) for each in signatures],
    )


def register() -> None:
    """Tell the store; called once when the app is ready."""
    register_sign_off(signed_among, signed_report)
