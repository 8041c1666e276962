"""Reads about suites, evaluations and reports."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.selectors import teams_of
from apps.catalog.models import Version
from apps.core import objects
from apps.core.errors import Invalid
from apps.evaluation.gates import Asked
from apps.evaluation.models import Claim, Report, Run, Suite
from apps.instances.models import Deployment, TrafficWeight
from atrium.evaluation import DATASET
from atrium.signature import InvalidSignature, Signature, parse_signature

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Capability
    from apps.datasets.models import DatasetVersion

#: A column with more values than this makes no groups or slices.
MOST_VALUES = 1000
MOST_FIXTURES = 200
_KINDS = {
    "classification": {"class"},
    "text_spans": {"spans"},
    "forecasting": {"series"},
    "regression": {"value", "number"},
}
_VIEWERS = (Role.DEVELOPER, Role.QA, Role.OPERATOR)


def suites_visible_to(user: User) -> QuerySet[Suite]:
    """Suites of the person's teams, with what a list shows."""
    teams = teams_of(user, *_VIEWERS)
    return with_data(Suite.objects.filter(capability__team__in=teams).select_related("capability"))


def with_data(suites: QuerySet[Suite]) -> QuerySet[Suite]:
    """The same with the names of all their data set versions."""
    return suites.select_related("dataset_version__dataset").prefetch_related(
        "further_data__dataset_version__dataset"
    )


def names_of(data: Sequence[DatasetVersion]) -> list[str]:
    """How a suite's slices and its gates name data set versions: `tickets@3`."""
    return [f"{each.dataset.slug}@{each.number}" for each in data]


def runs_visible_to(user: User) -> QuerySet[Run]:
    """Evaluations of the person's teams, with what a list shows."""
    teams = teams_of(user, *_VIEWERS)
    return Run.objects.filter(version__capability__team__in=teams).select_related(
        "suite",
        "version__capability__team",
        "started_by",
        "job",
        "report",
        "deployment",
        "production__version",
    )


def reports_visible_to(user: User) -> QuerySet[Report]:
    """Reports of the person's teams."""
    return Report.objects.filter(version__capability__team__in=teams_of(user, *_VIEWERS)).select_related(
        "run__suite__dataset_version__dataset", "version__capability__team", "run__started_by"
    )


def claims_visible_to(user: User) -> QuerySet[Claim]:
    """What is claimed of the capabilities of the person's teams, and not withdrawn."""
    teams = teams_of(user, *_VIEWERS)
    found = Claim.objects.filter(capability__team__in=teams, withdrawn_at=None)
    return found.select_related("capability", "by")


def production_of(capability: Capability) -> Deployment | None:
    """The deployment that answers the largest share of a capability's production calls, or None."""
    share = TrafficWeight.objects.filter(capability=capability).select_related("deployment__version")
    largest = share.order_by("-weight", "-deployment_id").first()
    return largest.deployment if largest else None


def latest_suite(capability: Capability) -> Suite | None:
    """The suite that a new evaluation uses unless told otherwise."""
    return Suite.objects.filter(capability=capability).order_by("-number").first()


def latest_report(version: Version) -> Report | None:
    """The newest report about exactly the bytes that the version has now."""
    reports = Report.objects.filter(version=version, run__version_digest=version.digest)
    return reports.select_related("run__suite").order_by("-pk").first()


def deciding_report(version: Version) -> Report | None:
    """The newest report about these very bytes by the capability's newest suite: the only one that opens a release."""
    suite = latest_suite(version.capability)
    reports = Report.objects.filter(run__suite=suite, version=version, run__version_digest=version.digest)
    return reports.select_related("run__suite").order_by("-pk").first() if suite is not None else None


def cases_of(version: Version) -> list[dict[str, Any]]:
    """The cases that a packaged version ships."""
    return _list_in(version, "cases.json")


def fixtures_of(version: Version) -> list[dict[str, Any]]:
    """What a version ships to compare the features of training and serving, see `atrium.evaluation.parity`."""
    return _list_in(version, "model/features.json")[:MOST_FIXTURES]


def _list_in(version: Version, path: str) -> list[dict[str, Any]]:
    entry = version.manifest.get(path)
    if entry is None:
        return []
    with objects.open_object(entry["sha256"]) as file:
        found = orjson.loads(file.read())
    return found if isinstance(found, list) else []


def what_it_asks(
    capability: Capability,
    data: Sequence[DatasetVersion],
    *,
    target: str,
    slices: Sequence[str],
    groups: Sequence[str],
    classes: bool,
) -> Asked:
    """The facts that say whether a suite's gates can be met: its rows, and the newest packaged version.

    `classes`: whether the right answers are to be counted, too; there may be many.
    """
    columns = list(dict.fromkeys([*slices, *groups]))
    rows, counts = all_held_out(data, list(dict.fromkeys([*columns, *([target] if classes else [])])))
    if len(data) > 1:
        columns.append(DATASET)
    version = newest_packaged(capability)
    signature = _signature_of(version)
    return Asked(
        rows=rows,
        counts={column: counts[column] for column in columns},
        groups=groups,
        classes=len({*counts[target], *_labels_of(signature)}) if classes and rows is not None else None,
        version=version.number if version else "",
        columns=_numbers_of(signature),
        fixtures=len(fixtures_of(version)) if version else None,
    )


def _labels_of(signature: Signature | None) -> list[str]:
    """The classes that a version can answer."""
    outputs = signature.outputs if signature else []
    return [str(label) for spec in outputs if spec.kind == "class" for label in spec.labels or []]


def _numbers_of(signature: Signature | None) -> int | None:
    """How many numbers the first input of numbers has; 0 when there is none, None when nobody knows."""
    if signature is None:
        return None
    return next((spec.item_count for spec in signature.inputs if spec.datatype != "BYTES"), 0)


def newest_packaged(capability: Capability) -> Version | None:
    """The version that a new suite would be tried on first."""
    return (
        Version.objects.filter(capability=capability, status=Version.Status.PACKAGED).order_by("-pk").first()
    )


def task_of(capability: Capability) -> str:
    """What an evaluation takes the newest packaged version for, by the kinds of its outputs; empty before there is one.

    The same choice as the job's, `atrium.evaluation.tasks.choose`.
    """
    return _task_of(_signature_of(newest_packaged(capability)))


def tasks_of(capabilities: QuerySet[Capability]) -> dict[int, str]:
    """The same of many, by their ids, with one query; those without a packaged version are left out."""
    packaged = Version.objects.filter(capability__in=capabilities.order_by(), status=Version.Status.PACKAGED)
    newest = packaged.order_by("capability", "-pk").distinct("capability").only("capability", "signature")
    return {version.capability_id: _task_of(_signature_of(version)) for version in newest}


def _task_of(signature: Signature | None) -> str:
    if signature is None:
        return ""
    kinds = {spec.kind for spec in signature.outputs}
    return next((task for task, its in _KINDS.items() if kinds & its), "classification")


def _signature_of(version: Version | None) -> Signature | None:
    try:
        return parse_signature(version.signature) if version is not None else None
    except InvalidSignature:
        return None


def digest_of_data(data: Sequence[DatasetVersion]) -> str:
    """The digest of a suite's one data set version; of several SHA-256 in hex over their digests, a line each."""
    if len(data) == 1:
        return data[0].digest
    return hashlib.sha256("\n".join(each.digest for each in data).encode()).hexdigest()


def all_held_out(
    data: Sequence[DatasetVersion], columns: Sequence[str]
) -> tuple[int | None, dict[str, dict[str, int]]]:
    """`held_out` of all together; None rows if one is unknown. Of several `DATASET` counts the rows of each by name."""
    total: int | None = 0
    counts: dict[str, dict[str, int]] = {column: {} for column in columns}
    if len(data) > 1:
        counts[DATASET] = {}
    for name, version in zip(names_of(data), data, strict=True):
        rows, local = held_out(version, columns)
        total = None if total is None or rows is None else total + rows
        if len(data) > 1:
            counts[DATASET][name] = rows or 0
        for column, values in local.items():
            for value, count in values.items():
                counts[column][value] = counts[column].get(value, 0) + count
    return total, counts


def held_out(data: DatasetVersion, columns: Sequence[str]) -> tuple[int | None, dict[str, dict[str, int]]]:
    """How many rows an evaluation would ask, and how many of each value of some columns. Reads the table once.

    The same choice of rows as the job's: test.csv, else the only CSV; its rows whose `split` says test, if any.
    None rows when there is no such table. Raises Invalid for a table that cannot be read or a column that it lacks.
    """
    entry = _held_out_file(data)
    if entry is None:
        return None, {column: {} for column in columns}
    try:
        return _read_held_out(entry, columns)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise Invalid(
            _("The rows of %(data)s cannot be read: %(problem)s") % {"data": data, "problem": problem}
        ) from problem


def _read_held_out(entry: str, columns: Sequence[str]) -> tuple[int, dict[str, dict[str, int]]]:
    with objects.open_object(entry) as file:
        reader = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        if "split" not in (reader.fieldnames or []):
            return _count(reader, columns)
        rows, counts = _count((row for row in reader if row["split"] == "test"), columns)
    if rows:
        return rows, counts
    with objects.open_object(entry) as file:
        return _count(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")), columns)


def _held_out_file(data: DatasetVersion) -> str | None:
    found = {path: entry["sha256"] for path, entry in data.manifest.items() if path.endswith(".csv")}
    if "test.csv" in found:
        return str(found["test.csv"])
    return str(next(iter(found.values()))) if len(found) == 1 else None


def _count(rows: Iterable[Any], columns: Sequence[str]) -> tuple[int, dict[str, dict[str, int]]]:
    counts: dict[str, dict[str, int]] = {column: {} for column in columns}
    total = 0
    for row in rows:
        total += 1
        for column in columns:
            if row.get(column) is None:
                raise Invalid(_("Row %(row)d has no column “%(column)s”.") % {"row": total, "column": column})
            counts[column][row[column]] = counts[column].get(row[column], 0) + 1
            if len(counts[column]) > MOST_VALUES:
                raise Invalid(
                    _("“%(column)s” has more than %(most)d values; a group needs a column with few.")
                    % {"column": column, "most": MOST_VALUES}
                )
    return total, counts


def rows_of(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every evaluated row of a report, in the data set's order: id, truth, answer, error, inputs, slices."""
    kept = content.get("rows")
    if not kept:
        return
    with objects.open_object(kept["sha256"]) as file:
        for line in file:
            yield orjson.loads(line)


def chosen_rows(
    content: dict[str, Any], wanted: Mapping[str, str], *, after: int = -1, size: int = 50
) -> list[dict[str, Any]]:
    """The first rows after row `after` that fit: `truth`, `answer`, `slice` (column=value), `only` = wrong."""
    fitting = (row for row in rows_of(content) if row["row"] > after and _fits(row, wanted))
    return list(islice(fitting, size))


def page_of_rows(
    content: dict[str, Any], wanted: Mapping[str, str], *, after: str, size: int
) -> tuple[list[dict[str, Any]], int | None]:
    """So many rows as `chosen_rows` finds them after a row, and after which one the next page begins; None: no more."""
    rows = chosen_rows(content, wanted, after=int(after) if after.isdecimal() else -1, size=size + 1)
    return rows[:size], rows[size - 1]["row"] if len(rows) > size else None


def _fits(row: dict[str, Any], wanted: Mapping[str, str]) -> bool:
    column, _equals, value = wanted.get("slice", "").partition("=")
    return (
        (not wanted.get("truth") or str(row["truth"]) == wanted["truth"])
        and (not wanted.get("answer") or str(row["answer"]) == wanted["answer"])
        and (not column or row.get("slices", {}).get(column) == value)
        and (wanted.get("only") != "wrong" or row.get("error", row["truth"] != row["answer"]) != 0)
    )


def content_of(report: Report) -> dict[str, Any]:
    """The report's content, checked against its digest by the store's naming."""
    with objects.open_object(report.digest) as file:
        content: dict[str, Any] = orjson.loads(file.read())
    return content
