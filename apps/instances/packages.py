"""Which packages lie on this machine for a reason, and the removal of the others."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.catalog.services import collect_packages
from apps.instances.models import Deployment

#: A package that nothing runs stays so long after it was last asked for: starting it again is then quick.
KEPT_FOR = timedelta(days=7)


def remove_unused_packages() -> list[str]:
    """Remove the package directories that no deployment runs or is meant to run; returns their digests."""
    living = Deployment.objects.exclude(
        desired=Deployment.Desired.STOPPED, status=Deployment.Status.STOPPED
    ).values_list("version__digest", flat=True)
    return collect_packages(set(living), timezone.now() - KEPT_FOR)
