"""Data sets: list, one data set, one version, upload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import FileResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.accounts.selectors import person_called, teams_of
from apps.compute.forms import names_sent
from apps.core import archives, naming
from apps.core.errors import Invalid
from apps.core.paging import keyset
from apps.core.policy import require
from apps.core.urns import urn
from apps.datasets import images, services
from apps.datasets.charts import class_chart, column_chart, shift_chart, size_chart, split_chart
from apps.datasets.forms import (
    DatasetForm,
    DatasetVersionForm,
    NewDatasetForm,
    ReaderForm,
    SplitForm,
    datasets_picked,
    uploads_of,
)
from apps.datasets.models import Comparison, Dataset, DatasetVersion
from apps.datasets.policy import may_add_version, may_edit, may_share, may_split
from apps.datasets.selectors import (
    datasets_visible_to,
    get_dataset,
    get_version,
    latest_version,
    open_file,
    preview,
    preview_columns,
    readers_of,
    split_of,
    tags_of,
    thumbnail,
    version_called,
    versions_of,
)

if TYPE_CHECKING:
    from django import forms
    from django.http import HttpRequest, HttpResponse

    from apps.accounts.models import User

SHOWN_COLUMNS = 200
CHARTS = 6


def _show_error(form: forms.BaseForm, error: Invalid) -> None:
    told = {name: text for name, text in error.fields.items() if name in form.fields}
    for name, text in told.items():
        form.add_error(name, text)
    if not told:
        form.add_error(None, error.message)


@login_required
@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    """The data sets that I may read."""
    user = cast("User", request.user)
    newest = DatasetVersion.objects.filter(dataset=OuterRef("pk")).order_by("-number")
    rows = datasets_visible_to(user).annotate(
        latest=Subquery(newest.values("number")[:1]),
        latest_rows=Subquery(newest.values("rows")[:1]),
        latest_size=Subquery(newest.values("size")[:1]),
        latest_at=Subquery(newest.values("created_at")[:1]),
    )
    q = request.GET.get("q", "").strip()
    if q:
        rows = rows.filter(name__icontains=q)
    context = {
        "page": keyset(rows, ("name", "pk"), request.GET.get("cursor", ""), 30),
        "q": q,
        "may_create": teams_of(user, Role.DEVELOPER, Role.QA).exists(),
    }
    return render(request, "datasets/list.html", context)


@login_required
@require_GET
def to_add_to(request: HttpRequest) -> HttpResponse:
    """The list of a form's picker of data sets: what is chosen stays, then what the words find."""
    asked = request.GET
    field, words = asked.get("field", "")[:100], asked.get("words", "")[:100].replace("\0", "")
    context = datasets_picked(cast("User", request.user), field, names_sent(asked, field), words)
    return render(request, "components/_picked.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Name a new data set."""
    user = cast("User", request.user)
    form = NewDatasetForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        try:
            dataset = services.create_dataset(values.pop("slug"), by=user, **values)
        except Invalid as error:
            _show_error(form, error)
        else:
            return redirect("datasets:upload", slug=dataset.slug)
    return render(request, "datasets/create.html", {"form": form})


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change what is said about a data set."""
    user = cast("User", request.user)
    dataset = get_dataset(slug, user=user)
    require(may_edit(user, dataset))
    initial = {name: getattr(dataset, name) for name in ("name", "description", "visibility")}
    form = DatasetForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_dataset(dataset, by=user, **form.cleaned_data)
        except Invalid as error:
            _show_error(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("datasets:detail", slug=slug)
    return render(request, "datasets/edit.html", {"form": form, "dataset": dataset})


@login_required
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest, slug: str) -> HttpResponse:
    """Send a new version: CSV, JSONL or any files, or an archive of them."""
    user = cast("User", request.user)
    dataset = get_dataset(slug, user=user)
    require(may_add_version(user, dataset))
    form = DatasetVersionForm(request.POST if request.method == "POST" else None)
    by_script = request.headers.get("Accept", "") == "application/json"
    if request.method == "POST" and form.is_valid():
        try:
            files = archives.store(uploads_of(request))
            version = services.create_version(
                dataset, files, by=user, note=form.cleaned_data["note"], parent=latest_version(dataset)
            )
        except Invalid as error:
            if by_script:
                return JsonResponse({"message": error.message, "fields": error.fields}, status=422)
            _show_error(form, error)
        else:
            address = reverse("datasets:version", args=[slug, version.number])
            return JsonResponse({"url": address}, status=201) if by_script else redirect(address)
    return render(request, "datasets/upload.html", {"form": form, "dataset": dataset})


@login_required
@require_GET
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One data set with its newest version."""
    dataset = get_dataset(slug, user=request.user)
    return _page(request, dataset, latest_version(dataset))


@login_required
@require_GET
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One version of a data set."""
    dataset = get_dataset(slug, user=request.user)
    return _page(request, dataset, get_version(dataset, number))


def _page(
    request: HttpRequest, dataset: Dataset, shown: DatasetVersion | None, *, form: ReaderForm | None = None
) -> HttpResponse:
    user = cast("User", request.user)
    context: dict[str, Any] = {
        "dataset": dataset,
        "version": shown,
        "page": keyset(versions_of(dataset), ("-number",), request.GET.get("cursor", ""), 20),
        "may_add_version": may_add_version(user, dataset),
        "may_edit": may_edit(user, dataset),
        "may_split": may_split(user, dataset),
        "readers": list(readers_of(dataset)) if may_share(user, dataset) else None,
        "reader_form": form or ReaderForm(auto_id="reader-%s"),
        "tags": [tag for tag in tags_of(dataset) if shown is not None and tag.version_id == shown.pk],
    }
    if shown is not None:
        rows = preview(shown)
        names = preview_columns(rows)[:40]
        statistics = shown.statistics.get("columns", {})
        context |= {
            "columns": [
                {**column, **statistics.get(column["name"], {})}
                for column in shown.schema.get("columns", [])[:SHOWN_COLUMNS]
            ],
            "names": names,
            "preview": [[str(row.get(name, ""))[:80] for name in names] for row in rows],
            "files": sorted(shown.manifest.items())[:500],
            "lineage": naming.lineage_of(shown, user),
            "here": urn(shown),
            "charts": _charts(statistics, request.GET.get("column", "")),
            "column": request.GET.get("column", ""),
            "split": (divided := split_of(shown)),
            "split_chart": split_chart(divided) if divided else None,
            "versions": dataset.versions.count(),
            **_pictures(shown),
        }
    return render(request, "datasets/detail.html", context, status=422 if form and form.errors else 200)


def _charts(statistics: dict[str, Any], wanted: str) -> list[dict[str, Any]]:
    """Charts of the asked column, or of the first ones that can be drawn; the label column, if any, first."""
    names = [wanted] if wanted in statistics else sorted(statistics, key=lambda name: name not in _LABELS)
    charts = []
    for name in names:
        figure = column_chart(name, statistics[name])
        if figure is not None:
            charts.append({"name": name, "figure": figure})
        if len(charts) == CHARTS:
            break
    return charts


_LABELS = frozenset({"label", "class", "target", "y"})


def _pictures(shown: DatasetVersion) -> dict[str, Any]:
    """What the page tells of the images in a version, if it has some."""
    told = shown.statistics.get("images")
    if not told:
        return {}
    charts = [(_("Images by class"), class_chart(told)), (_("Sizes"), size_chart(told))]
    return {
        "images": told,
        "classes": sorted(told.get("classes", {}).items(), key=lambda row: (-row[1]["count"], row[0])),
        "image_charts": [{"name": name, "figure": figure} for name, figure in charts if figure],
        "thumbnails": [
            {"path": path, "class": images.class_of(path), "picture": picture}
            for path in images.shown(shown.manifest)
            if (picture := thumbnail(shown, path))
        ],
    }


@login_required
@require_http_methods(["GET", "POST"])
def split(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Divide a version into parts for training, validation and the test, once."""
    user = cast("User", request.user)
    dataset = get_dataset(slug, user=user)
    shown = get_version(dataset, number)
    require(may_split(user, dataset))
    columns = [one["name"] for one in shown.schema.get("columns", [])][:SHOWN_COLUMNS]
    if not columns:
        columns = [services.FOLDER]
    label = next((name for name in columns if name in {*_LABELS, services.FOLDER}), "")
    posted = request.POST if request.method == "POST" else None
    form = SplitForm(posted, columns=columns, label=label)
    if request.method == "POST" and form.is_valid():
        try:
            services.split_version(shown, by=user, **form.facts())
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The version is split. Code gets a part with its name."))
            return redirect("datasets:version", slug=slug, number=number)
    context = {"form": form, "dataset": dataset, "version": shown, "split": split_of(shown)}
    return render(request, "datasets/split.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def tag(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Give a version a name."""
    user = cast("User", request.user)
    found = get_version(get_dataset(slug, user=user), number)
    try:
        made = services.tag_version(found, request.POST.get("name", ""), by=user)
    except Invalid as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("“%(tag)s” now names version %(n)d.") % {"tag": made.name, "n": number})
    return redirect("datasets:version", slug=slug, number=number)


@login_required
@require_POST
def drop_tag(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Take a name away."""
    user = cast("User", request.user)
    services.drop_tag(get_dataset(slug, user=user), name, by=user)
    messages.success(request, _("The tag “%(tag)s” is gone.") % {"tag": name})
    return redirect("datasets:detail", slug=slug)


@login_required
@require_POST
def share(request: HttpRequest, slug: str) -> HttpResponse:
    """Let a person outside the team read it."""
    user = cast("User", request.user)
    dataset = get_dataset(slug, user=user)
    require(may_share(user, dataset))
    form = ReaderForm(request.POST)
    if form.is_valid():
        try:
            person = person_called(form.cleaned_data["username"])
            services.share_dataset(dataset, person, by=user)
        except Invalid as error:
            _show_error(form, Invalid(error.message, fields={"username": error.message}))
        else:
            messages.success(request, _("%(name)s may read it now.") % {"name": person.username})
            return redirect("datasets:detail", slug=slug)
    return _page(request, dataset, latest_version(dataset), form=form)


@login_required
@require_POST
def stop_sharing(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    """Take it from a person outside the team."""
    user = cast("User", request.user)
    services.stop_sharing(get_dataset(slug, user=user), username, by=user)
    messages.success(request, _("%(name)s no longer reads it.") % {"name": username})
    return redirect("datasets:detail", slug=slug)


@login_required
@require_GET
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """What changed between two versions."""
    dataset = get_dataset(slug, user=request.user)
    offered = list(versions_of(dataset)[:100])
    context: dict[str, Any] = {"dataset": dataset, "offered": offered, "key": request.GET.get("key", "")}
    if len(offered) > 1:
        after = version_called(dataset, request.GET.get("after") or str(offered[0].number))
        earlier = after.parent or next((one for one in offered if one.number < after.number), offered[-1])
        asked = request.GET.get("before")
        before = version_called(dataset, asked) if asked else earlier
        context |= {"before": before, "after": after, "columns": _in_both(before, after)}
        try:
            found = services.compare_versions(before, after, key=context["key"])
        except Invalid as error:
            context["problem"] = error.message
        else:
            context |= {"found": found, **_shifts(found)}
    in_place = request.headers.get("HX-Request") == "true"
    return render(request, "datasets/_comparison.html" if in_place else "datasets/compare.html", context)


def _in_both(before: DatasetVersion, after: DatasetVersion) -> list[str]:
    names = {one["name"] for one in before.schema.get("columns", [])}
    return [one["name"] for one in after.schema.get("columns", []) if one["name"] in names][:SHOWN_COLUMNS]


def _as_table(names: list[str], rows: list[dict[str, str]]) -> dict[str, Any] | None:
    return {"names": names, "rows": [[row[name] for name in names] for row in rows]} if rows else None


def _shifts(found: Comparison) -> dict[str, Any]:
    """The columns that moved most, and the chart of the label column or of the first one with values."""
    if found.result is None:
        return {}
    columns = found.result["columns"]
    labels = sorted(
        (one for one in columns if one["kind"] == "values"),
        key=lambda one: one["name"] not in {*_LABELS, services.FOLDER},
    )
    sides = (f"v{found.before.number}", f"v{found.after.number}")
    rows = found.result["rows"] or {}
    return {
        "shifts": [{**one, "percent": 100 * one["shift"]} for one in columns[:50]],
        "added": _as_table(rows.get("columns", []), rows.get("added_rows", [])),
        "removed": _as_table(rows.get("columns", []), rows.get("removed_rows", [])),
        "changed": [(row["key"], list(row["cells"].items())) for row in rows.get("changed_rows", [])],
        "chart_of": labels[0]["name"] if labels else "",
        "chart": shift_chart(labels[0], *sides) if labels else None,
    }


@login_required
@require_GET
def file(request: HttpRequest, slug: str, number: int, path: str) -> FileResponse:
    """One file of a version. Only ever downloaded."""
    found = get_version(get_dataset(slug, user=request.user), number)
    return FileResponse(
        open_file(found, path),
        as_attachment=True,
        filename=path.rsplit("/", 1)[-1],
        content_type="application/octet-stream",
    )
