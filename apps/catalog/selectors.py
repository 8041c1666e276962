"""Reads of the catalog, always under the reader's rights."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from django.contrib.postgres.search import SearchQuery
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.policy import is_platform_admin, team_ids_of
from apps.accounts.selectors import teams_of
from apps.catalog.comparison import Side
from apps.catalog.contract import changes
from apps.catalog.models import Capability, ParsingRules, RuleFailure, Version
from apps.catalog.policy import BUILDERS, LISTED, may_build, may_view_capability
from apps.core import naming, objects
from apps.core.errors import Invalid, NotFound
from apps.core.search import lexemes
from apps.core.telling import in_words
from atrium.parsing import FILE as PARSING
from atrium.parsing import MOST_RULES, InvalidRules, read_rules

MOST_COMPARED = 6
_LARGEST_TEXT = 1 << 20

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import User


def capabilities_visible_to(user: User | AnonymousUser) -> QuerySet[Capability]:
    """Every capability that a person may know of."""
    return _seen_by(user, Q(status__in=LISTED))


def listed_capabilities(user: User | AnonymousUser) -> QuerySet[Capability]:
    """What the store shows to a person: published or deprecated, and visible to them."""
    return _seen_by(user, Q()).filter(status__in=LISTED)


def _seen_by(user: User | AnonymousUser, shown: Q) -> QuerySet[Capability]:
    """What is `shown` to those for whom it is visible, and all that is of a person's own building teams.

    A condition that holds for every row of a list stands there once: said again in each way to see a row it makes a
    search for a common word twice as slow.
    """
    found = Capability.objects.select_related("team", "team__site")
    if is_platform_admin(user):
        return found
    if not user.is_authenticated:
        return found.none()
    seen = Q(visibility=Capability.Visibility.ORGANISATION)
    seen |= Q(visibility=Capability.Visibility.TEAM, team__in=team_ids_of(user))
    return found.filter((shown & seen) | Q(team__in=team_ids_of(user, *BUILDERS)))


def capabilities_built_by(user: User | AnonymousUser) -> QuerySet[Capability]:
    """The capabilities of the teams in which a person builds, tests or operates."""
    return Capability.objects.select_related("team", "team__site").filter(team__in=teams_of(user, *BUILDERS))


def matching(capabilities: QuerySet[Capability], words: str) -> QuerySet[Capability]:
    """Those whose name, summary, tags, signature or card have every word; the last word may be a beginning."""
    parts = lexemes(words)
    if not parts:
        return capabilities if not words.strip() else capabilities.none()
    query = " & ".join(part if part != parts[-1] else f"{part}:*" for part in parts)
    return capabilities.filter(text=SearchQuery(query, search_type="raw", config="simple"))


def get_capability(slug: str, *, user: User | AnonymousUser) -> Capability:
    """A capability by its short name. Raises NotFound for what the person may not know of."""
    capability = Capability.objects.select_related("team", "team__site").filter(slug=slug).first()
    if capability is None or not may_view_capability(user, capability):
        raise NotFound(_("There is no capability “%(slug)s” that you may see.") % {"slug": slug[:80]})
    return capability


def versions_of(capability: Capability) -> QuerySet[Version]:
    """All versions of a capability, newest first."""
    return Version.objects.filter(capability=capability).select_related("created_by").order_by("-pk")


def packaged_versions(capability: Capability) -> QuerySet[Version]:
    """The versions that can be deployed, newest first."""
    return versions_of(capability).filter(status=Version.Status.PACKAGED)


def successors_of(version: Version) -> list[str]:
    """The numbers of the versions that callers of this one can be sent to, newest first; at most 50."""
    others = packaged_versions(version.capability).filter(deprecated_at=None).exclude(pk=version.pk)
    return list(others.values_list("number", flat=True)[:50])


def latest_version(capability: Capability) -> Version | None:
    """The packaged version that was made last."""
    return packaged_versions(capability).first()


def contract_with(before: Version | None, version: Version) -> dict[str, Any]:
    """What callers of `before` have to change for a version: the `changes`, and whether one `breaks` their calls."""
    found = changes(before.signature, version.signature) if before is not None and before != version else []
    return {"before": before, "changes": found, "breaks": any(change.breaks for change in found)}


def packaged_before(version: Version) -> Version | None:
    """The newest version that was packaged before this one was made, for a comparison with what callers know."""
    earlier = Version.objects.filter(
        capability=version.capability_id, pk__lt=version.pk, status=Version.Status.PACKAGED
    )
    return earlier.only("capability", "number", "signature", "status").order_by("-pk").first()


def versions_visible_to(user: User | AnonymousUser) -> QuerySet[Version]:
    """Every version that a person may know of: builders all of theirs, others only packaged ones."""
    found = Version.objects.select_related("capability", "capability__team", "created_by", "successor")
    if is_platform_admin(user):
        return found
    own = Q(capability__team__in=teams_of(user, *BUILDERS))
    listed = Q(status=Version.Status.PACKAGED, capability__in=listed_capabilities(user).order_by())
    return found.filter(own | listed)


def get_version(pk: int, *, user: User | AnonymousUser) -> Version:
    """A version by its key. Raises NotFound for what the person may not know of."""
    version = Version.objects.select_related("capability__team", "created_by").filter(pk=pk).first()
    if version is not None and may_build(user, version.capability):
        return version
    if (
        version is not None
        and version.status == Version.Status.PACKAGED
        and may_view_capability(user, version.capability)
    ):
        return version
    raise NotFound(_("There is no version %(pk)s that you may see.") % {"pk": pk})


def open_file(version: Version, path: str) -> BinaryIO:
    """One file of the package, or of the upload as long as there is no package. Raises NotFound."""
    entry = (version.manifest or version.source_manifest).get(path)
    if entry is None:
        raise NotFound(_("There is no file “%(path)s” in this version.") % {"path": path[:120]})
    return objects.open_object(entry["sha256"])


def named_versions(pks: Collection[int], user: User | AnonymousUser) -> dict[int, tuple[str, str]]:
    """{pk: (name, address)} of the versions that a person may see; the page is the workshop's, for builders."""
    built = set(capabilities_built_by(user).values_list("pk", flat=True))
    found = {}
    for row in versions_visible_to(user).filter(pk__in=pks):
        place = reverse("catalog:version", args=[row.capability.slug, row.number])
        found[row.pk] = (str(row), place if row.capability_id in built else "")
    return found


def possible_members(capability: Capability, *, user: User | AnonymousUser) -> QuerySet[Version]:
    """Packaged versions of other capabilities that a composite of this one can be made of, newest first."""
    found = versions_visible_to(user).filter(
        status=Version.Status.PACKAGED, capability__in=capabilities_built_by(user)
    )
    return found.exclude(capability=capability).order_by("capability__slug", "-pk")[:500]


def next_patch(version: Version) -> str:
    """The first free patch version after a version's number."""
    core = version.number.split("+")[0].split("-")[0]
    major, minor, patch = (int(part) for part in core.split("."))
    taken = set(version.capability.versions.values_list("number", flat=True))
    while f"{major}.{minor}.{patch}" in taken:
        patch += 1
    return f"{major}.{minor}.{patch}"


def suggested_number(capability: Capability) -> str:
    """The next minor version after the highest one."""
    numbers = capability.versions.values_list("number", flat=True)
    cores = [tuple(int(part) for part in number.split("+")[0].split("-")[0].split(".")) for number in numbers]
    if not cores:
        return "1.0.0"
    major, minor, _patch = max(cores)
    return f"{major}.{minor + 1}.0"


def versions_to_compare(
    capability: Capability, numbers: Sequence[str], *, user: User | AnonymousUser
) -> list[Version]:
    """The named versions in that order, for their comparison. Raises Invalid, NotFound."""
    wanted = list(dict.fromkeys(number for number in numbers if number))
    if not 2 <= len(wanted) <= MOST_COMPARED:
        raise Invalid(
            _("Choose two to %(most)d versions to compare; %(count)d are chosen.")
            % {"most": MOST_COMPARED, "count": len(wanted)},
            fields={"versions": _("must name two to %(most)d versions") % {"most": MOST_COMPARED}},
        )
    seen = versions_visible_to(user).filter(capability=capability, number__in=wanted)
    found = {version.number: version for version in seen}
    for number in wanted:
        if number not in found:
            raise NotFound(
                _("%(name)s has no version %(number)s.") % {"name": capability.name, "number": number[:64]}
            )
    return [found[number] for number in wanted]


def side_of(version: Version, *, user: User | AnonymousUser) -> Side:
    """A version with the texts of its package and what it came from by name, as `comparison` wants it."""
    sources = {"dataset": version.dataset_version_urn, "job": version.training_job_urn}
    named = naming.names_of([each for each in sources.values() if each], user)
    return Side(
        number=version.number,
        facts={
            "status": version.get_status_display(),
            "digest": version.digest,
            "framework": version.framework,
            "runtime": version.runtime,
            "created_by": version.created_by.username,
            "created_at": version.created_at,
            "changelog": version.changelog,
            "size": version.size,
            "files": len(version.manifest or version.source_manifest),
        },
        signature=version.signature,
        report=in_words(version.report, version.report.get("told") or {}),
        parameters=version.parameters,
        lineage={
            **{name: named[each].label if each else "" for name, each in sources.items()},
            "code": version.code_digest,
            "source": version.source_digest,
        },
        environment=text_of(version, "environment.lock"),
        card=text_of(version, "card.md"),
    )


def text_of(version: Version, path: str) -> str:
    """A text file of a version's package, or of its upload; empty when there is none. At most 1 MB is read."""
    entry = version.manifest.get(path) or version.source_manifest.get(path)
    if entry is None:
        return ""
    with objects.open_object(entry["sha256"]) as stream:
        return stream.read(_LARGEST_TEXT).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The parsing rules of a version that count now; `row` is the revision's, None for those of the package."""

    revision: int
    rules: dict[str, str]
    row: ParsingRules | None = None


def rules_of(version: Version) -> RuleSet:
    """The newest revision of a version's parsing rules, else what its package ships."""
    row = version.parsing_rules.select_related("created_by").order_by("-revision").first()
    return RuleSet(row.revision, dict(row.rules), row) if row else RuleSet(0, shipped_rules(version))


def failures_of(version: Version) -> list[RuleFailure]:
    """The rules that count now and could not be applied to some calls, by name; there are as many rows as rules."""
    revision = newest_revisions([version.pk]).get(version.pk, 0)
    return list(version.rule_failures.filter(revision=revision).order_by("rule")[: MOST_RULES + 1])


def shipped_rules(version: Version) -> dict[str, str]:
    """The rules in a version's package; none where it ships none that can be read, which packaging refuses."""
    try:
        return read_rules(json.loads(text_of(version, PARSING) or "{}"))
    except (InvalidRules, ValueError):
        return {}


def newest_revisions(versions: Iterable[int]) -> dict[int, int]:
    """{version: its newest revision of parsing rules}; versions that have none are left out."""
    rows = ParsingRules.objects.filter(version__in=list(versions)).order_by("version", "-revision")
    return dict(rows.distinct("version").values_list("version", "revision"))


def rules_for_next(capability: Capability) -> dict[str, str]:
    """The rules that a new version begins with when it ships none: those of the version packaged last."""
    newest = latest_version(capability)
    return rules_of(newest).rules if newest else {}
