"""Teams and sites: everybody sees them, administrators change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services
from apps.accounts.forms import (
    MemberForm,
    PersonForm,
    SiteChangeForm,
    SiteForm,
    TeamChangeForm,
    TeamForm,
    show,
)
from apps.accounts.models import Membership, Role, Site, Team, User
from apps.accounts.policy import may_administer, may_archive_site, may_lead
from apps.accounts.selectors import people_found
from apps.core.errors import Invalid, NotFound
from apps.core.paging import keyset
from apps.core.policy import require

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_http_methods(["GET", "POST"])
def teams(request: HttpRequest) -> HttpResponse:
    """All teams with their site and size."""
    user = cast("User", request.user)
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = services.create_team(**form.cleaned_data, by=user)
        except Invalid as error:
            show(form, error)
        else:
            messages.success(request, _("The team is made. Add its members now."))
            return redirect("accounts:team", slug=team.slug)
    archived = request.GET.get("archived") == "1"
    rows = Team.objects.filter(archived_at__isnull=not archived).select_related("site", "owner")
    rows = rows.annotate(people=Count("memberships__user", distinct=True))
    page = keyset(rows, ("name", "pk"), request.GET.get("cursor", ""), 50)
    context = {"page": page, "form": form, "may_administer": may_administer(user), "archived": archived}
    return render(request, "accounts/teams.html", context)


def _people_of(team: Team) -> list[dict[str, Any]]:
    """Each member once, with their memberships."""
    people: dict[int, dict[str, Any]] = {}
    for membership in team.memberships.select_related("user").order_by("user__username", "role"):
        entry = people.setdefault(membership.user_id, {"user": membership.user, "memberships": []})
        entry["memberships"].append(membership)
    return list(people.values())


@login_required
@require_http_methods(["GET", "POST"])
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """One team: its members and their roles."""
    user = cast("User", request.user)
    found = _team(slug)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        person, role = form.cleaned_data["username"], form.cleaned_data["role"]
        services.add_member(found, person, role, by=user)
        messages.success(
            request, _("%(name)s is %(role)s now.") % {"name": person.username, "role": Role(role).label}
        )
        return redirect("accounts:team", slug=slug)
    context = {
        "team": found,
        "people": _people_of(found),
        "form": form,
        "may_administer": may_administer(user),
        "may_lead": may_lead(user, found),
    }
    return render(request, "accounts/team.html", context)


def _team(slug: str) -> Team:
    found = Team.objects.select_related("site", "owner").filter(slug=slug).first()
    if found is None:
        raise NotFound(_("There is no team “%(slug)s”.") % {"slug": slug})
    return found


@login_required
@require_http_methods(["GET", "POST"])
def change_team(request: HttpRequest, slug: str) -> HttpResponse:
    """A team's name, site and owner."""
    user, found = cast("User", request.user), _team(slug)
    require(may_administer(user))
    form = TeamChangeForm(request.POST or None, team=found)
    if request.method == "POST" and form.is_valid():
        services.change_team(found, **form.cleaned_data, by=user)
        messages.success(request, _("The team is changed."))
        return redirect("accounts:team", slug=slug)
    return render(request, "accounts/team_change.html", {"team": found, "form": form})


@login_required
@require_POST
def archive_team(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a team out of use, or open it again."""
    archived = request.POST.get("archived") == "1"
    services.archive_team(_team(slug), archived=archived, by=cast("User", request.user))
    messages.success(request, _("The team is archived.") if archived else _("The team is open again."))
    return redirect("accounts:team", slug=slug)


def _site(slug: str) -> Site:
    found = Site.objects.filter(slug=slug).first()
    if found is None:
        raise NotFound(_("There is no site “%(slug)s”.") % {"slug": slug})
    return found


@login_required
@require_http_methods(["GET", "POST"])
def change_site(request: HttpRequest, slug: str) -> HttpResponse:
    """A site's name and kind, and which teams work there."""
    user, site = cast("User", request.user), _site(slug)
    form = SiteChangeForm(request.POST or None, initial={"name": site.name, "kind": site.kind})
    if request.method == "POST" and form.is_valid():
        services.change_site(site, **form.cleaned_data, by=user)
        messages.success(request, _("The site is changed."))
        return redirect("accounts:site", slug=slug)
    at_site = site.teams.filter(archived_at=None).annotate(people=Count("memberships__user", distinct=True))
    context = {"site": site, "form": form, "teams": at_site.order_by("name")[:200]}
    allowed = {"may_administer": may_administer(user), "may_archive": may_archive_site(user, site)}
    return render(request, "accounts/site.html", context | allowed)


@login_required
@require_POST
def archive_site(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a site out of use, or open it again."""
    archived = request.POST.get("archived") == "1"
    services.archive_site(_site(slug), archived=archived, by=cast("User", request.user))
    messages.success(request, _("The site is archived.") if archived else _("The site is open again."))
    return redirect("accounts:site", slug=slug)


@login_required
@require_POST
def remove_member(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take one role from one member."""
    membership = Membership.objects.select_related("team", "user").filter(team__slug=slug, pk=pk).first()
    if membership is None:
        raise NotFound(_("This role was taken away already."))
    services.remove_member(membership, by=cast("User", request.user))
    messages.success(request, _("The role is taken away."))
    return redirect("accounts:team", slug=slug)


@login_required
@require_http_methods(["GET", "POST"])
def sites(request: HttpRequest) -> HttpResponse:
    """The centre and the provinces."""
    user = cast("User", request.user)
    form = SiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.create_site(**form.cleaned_data, by=user)
        except Invalid as error:
            show(form, error)
        else:
            messages.success(request, _("The site is added."))
            return redirect("accounts:sites")
    archived = request.GET.get("archived") == "1"
    rows = Site.objects.filter(archived_at__isnull=not archived)
    rows = rows.annotate(team_count=Count("teams", filter=Q(teams__archived_at=None)))
    page = keyset(rows, ("kind", "name", "pk"), request.GET.get("cursor", ""), 50)
    context = {"page": page, "form": form, "may_administer": may_administer(user), "archived": archived}
    return render(request, "accounts/sites.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """Everybody who can log in."""
    user = cast("User", request.user)
    require(may_administer(user))
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.create_person(**form.cleaned_data, by=user)
        except Invalid as error:
            show(form, error)
        else:
            messages.success(request, _("The person is added. Give them a role in a team."))
            return redirect("accounts:people")
    query = request.GET.get("q", "").strip()
    page = keyset(people_found(query), ("username", "pk"), request.GET.get("cursor", ""), 50)
    return render(request, "accounts/people.html", {"page": page, "form": form, "query": query})


@login_required
@require_POST
def set_active(request: HttpRequest, pk: int) -> HttpResponse:
    """Shut somebody out, or let them in again."""
    person = User.objects.filter(pk=pk).first()
    if person is None:
        raise NotFound(_("There is no such person."))
    active = request.POST.get("active") == "1"
    services.set_active(person, active, by=cast("User", request.user))
    messages.success(
        request,
        _("%(name)s can log in again.") % {"name": person.username}
        if active
        else _("%(name)s is shut out.") % {"name": person.username},
    )
    return redirect("accounts:people")
