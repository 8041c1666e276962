"""The parsing rules of a version: read, tried on real calls, and written as a new revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.catalog import services
from apps.catalog.examples import examples_of
from apps.catalog.policy import may_edit_parsing_rules
from apps.catalog.selectors import failures_of, rules_of, shipped_rules
from apps.catalog.trying import try_rules
from apps.catalog.views.versions import version_of
from apps.core.errors import Conflict, Invalid, StaleWrite
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User
    from apps.catalog.models import Version

SPARE_ROWS = 2


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Rules by name with what they find in a call; saving makes a new revision."""
    version = version_of(request, slug, number)
    user = cast("User", request.user)
    may_edit = may_edit_parsing_rules(user, version)
    current = rules_of(version)
    context: dict[str, Any] = {"rules": current.rules, "error": "", "note": ""}
    if request.method == "POST":
        require(may_edit)
        context = {"rules": _asked(request), "note": request.POST.get("note", "")}
        try:
            services.set_parsing_rules(
                version, _distinct(request), by=user, note=context["note"], seen=_seen(request)
            )
        except (Invalid, StaleWrite) as error:
            context["error"] = error.message
        else:
            messages.success(request, _("Saved. Calls that are logged from now on are read by these rules."))
            return redirect("catalog:parsing", slug=slug, number=number)
    revision = request.GET.get("revision", "")
    if revision.isdecimal() and request.method == "GET":
        context["rules"] = _of_revision(version, int(revision))
    context |= {
        "version": version,
        "capability": version.capability,
        "current": current,
        "rule_failures": failures_of(version),
        "rows": _rows(context["rules"]),
        "history": version.parsing_rules.select_related("created_by").order_by("-revision")[:50],
        "shipped": shipped_rules(version),
        "may_edit": may_edit,
    }
    return render(request, "catalog/parsing.html", context | _preview(request, version, context["rules"]))


@login_required
@require_POST
def preview(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """What the rules of the form find in the chosen call."""
    version = version_of(request, slug, number)
    return render(request, "catalog/_parsed.html", _preview(request, version, _asked(request)))


def _seen(request: HttpRequest) -> int | None:
    seen = request.POST.get("seen", "")
    return int(seen[:9]) if seen.isdecimal() else None


def _asked(request: HttpRequest) -> dict[str, str]:
    """The rules that the form says; rows without a name and an expression are spare ones."""
    pairs = zip(request.POST.getlist("name"), request.POST.getlist("expression"), strict=False)
    return {name.strip(): text.strip() for name, text in pairs if name.strip() or text.strip()}


def _distinct(request: HttpRequest) -> dict[str, str]:
    """The same for saving, where a name that stands twice would silently lose a rule. Raises Invalid."""
    names = [name.strip() for name in request.POST.getlist("name") if name.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(_("The name “%(name)s” stands twice. Names must differ.") % {"name": twice[0][:60]})
    return _asked(request)


def _of_revision(version: Version, revision: int) -> dict[str, str]:
    if revision == 0:
        return shipped_rules(version)
    row = version.parsing_rules.filter(revision=min(revision, 1 << 30)).first()
    if row is None:
        raise Conflict(_("There is no revision %(revision)s of these rules.") % {"revision": revision})
    return dict(row.rules)


def _rows(rules: dict[str, str]) -> list[dict[str, str]]:
    rows = [{"name": name, "expression": text} for name, text in rules.items()]
    return rows + [{"name": "", "expression": ""}] * SPARE_ROWS


def _preview(request: HttpRequest, version: Version, rules: dict[str, str]) -> dict[str, Any]:
    """What the fragment shows: each rule on the chosen call, and in how many calls it finds something."""
    examples = examples_of(version, user=cast("User", request.user))
    chosen = request.POST.get("example", "")
    at = int(chosen) if chosen.isdecimal() and int(chosen) < len(examples) else 0
    return {
        "examples": examples,
        "at": at,
        "document": examples[at].document if examples else None,
        "tried": try_rules(rules, examples, at),
    }
