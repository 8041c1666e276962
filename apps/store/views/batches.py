"""Many questions at once: a file in, progress, a file out."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.core import objects
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.store import batches, selectors, services, snippets
from apps.store.views.capability import context_of

_MOST_SHOWN = 20


def _context(request: HttpRequest, slug: str) -> dict[str, Any]:
    context = context_of(request, slug, "try")
    require(context["may_try"])
    user = cast("User", request.user)
    own = selectors.batches_of(user, context["capability"])[:_MOST_SHOWN]
    shown = [(batch, batches.state_of(batch)) for batch in own]
    running = any(state["status"] in {"queued", "running", "stopping"} for _batch, state in shown)
    return context | {"batches": shown, "running": running}


@login_required
def batch(request: HttpRequest, slug: str) -> HttpResponse:
    """Send a file; see how far the sent ones are."""
    context = _context(request, slug)
    version = context["version"] = context["answering"]
    if request.method == "POST" and version is not None:
        sent = request.FILES.get("file")
        if sent is None:
            raise Invalid(_("Choose a file first."), fields={"file": _("is missing")})
        user, name = cast("User", request.user), sent.name or "rows.csv"
        services.start_batch(context["capability"], version, sent.chunks(), name, by=user)
        return redirect("store:batch", slug)
    if request.headers.get("HX-Target") == "batches":
        return render(request, "store/_batches.html", context)
    if version is not None:
        context["template"] = _template(version)
        context["limits"] = services.limits_of_files(context["capability"])
    return render(request, "store/batch.html", context)


def _template(version: Any) -> str:
    examples = snippets.inputs_of(version.signature, selectors.cases_of(version))
    return batches.template_of(version.signature, examples)


@require_safe
@login_required
def batch_template(request: HttpRequest, slug: str) -> HttpResponse:
    """A file with the right columns and one row."""
    version = _context(request, slug)["answering"]
    if version is None:
        raise NotFound(_("No version takes production traffic."))
    response = HttpResponse(_template(version), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-rows.csv"'
    return response


@require_POST
@login_required
def batch_stop(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask about no more rows."""
    user = cast("User", request.user)
    services.stop_batch(selectors.get_batch(pk, user=user), by=user)
    return redirect("store:batch", slug)


@require_safe
@login_required
def batch_answers(request: HttpRequest, slug: str, pk: int, kind: str) -> FileResponse:
    """The rows with their answers, as CSV or Parquet."""
    found = selectors.get_batch(pk, user=cast("User", request.user))
    sha256 = batches.answers_of(found, kind)
    if sha256 is None:
        raise NotFound(_("This batch has no answers."))
    return FileResponse(
        objects.open_object(sha256),
        content_type=batches.CONTENT_TYPES[kind],
        as_attachment=True,
        filename=f"{slug}-{pk}-{batches.ANSWERS[kind]}",
    )
