"""A version to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.views.decorators.http import require_safe

from apps.catalog.selectors import get_capability
from apps.store import selectors, services
from apps.store.bundles import file_name

if TYPE_CHECKING:
    from django.http import HttpRequest

    from apps.accounts.models import User


@require_safe
@login_required
def bundle(request: HttpRequest, slug: str, number: str) -> StreamingHttpResponse:
    """The device bundle of a version, made while it is sent."""
    user = cast("User", request.user)
    version = selectors.get_packaged(get_capability(slug, user=user), number)
    response = StreamingHttpResponse(services.take_bundle(version, by=user), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{file_name(version)}"'
    return response
