"""Composite capabilities: packaged versions wired by a graph, as one version that holds them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.catalog.models import Capability, Version
from apps.catalog.policy import may_add_version, may_build
from apps.catalog.services.versions import create_version
from apps.core import lineage, objects
from apps.core.errors import Invalid
from apps.core.policy import require
from apps.core.telling import spoken
from atrium.graph import FILE, MEMBERS, Graph, InvalidGraph, draw_up, read_graph
from atrium.signature import InvalidSignature, Signature, parse_signature

if TYPE_CHECKING:
    from apps.accounts.models import User

MOST_MEMBERS = 12


def name_members(versions: Sequence[Version]) -> dict[str, Version]:
    """A name for each member: the capability's short name, with a number from the second one on."""
    named: dict[str, Version] = {}
    for version in versions:
        name, count = version.capability.slug, 2
        while name in named:
            name, count = f"{version.capability.slug}-{count}", count + 1
        named[name] = version
    return named


def check_members(members: Mapping[str, Version], *, by: User) -> dict[str, Signature]:
    """The members' signatures by name. Raises Invalid, NotAllowed for one that cannot be a member."""
    if not 1 <= len(members) <= MOST_MEMBERS:
        raise Invalid(
            _("Choose one to %(most)d members; %(count)d are chosen.")
            % {"most": MOST_MEMBERS, "count": len(members)}
        )
    found = {}
    for name, version in members.items():
        require(may_build(by, version.capability))
        if version.status != Version.Status.PACKAGED:
            raise Invalid(_("%(version)s is not packaged, so it cannot be a member.") % {"version": version})
        try:
            found[name] = parse_signature(version.signature)
        except InvalidSignature as error:
            raise Invalid(
                _("The signature of %(version)s: %(why)s")
                % {"version": version, "why": spoken(error.why.parts())}
            ) from error
    return found


def check_graph(document: Any, signatures: Mapping[str, Signature]) -> Graph:
    """The graph, wired to the members. Raises Invalid with the step that is wrong."""
    try:
        return read_graph(document, signatures)
    except InvalidGraph as error:
        raise Invalid(
            _("The graph cannot be run: %(why)s") % {"why": error}, fields={"graph": str(error)}
        ) from error


def graph_of_shape(
    shape: str, signatures: Mapping[str, Signature], *, on: str = "", values: Sequence[str] = ()
) -> dict[str, Any]:
    """The document of a sequence, an ensemble or a switch, wired by names. Raises Invalid."""
    try:
        return draw_up(shape, list(signatures.items()), on=on, values=values)
    except InvalidGraph as error:
        raise Invalid(
            _("It cannot be wired: %(why)s") % {"why": error}, fields={"shape": str(error)}
        ) from error


@transaction.atomic
def create_composite(
    capability: Capability,
    number: str,
    *,
    members: Mapping[str, Version],
    document: Mapping[str, Any],
    by: User,
    changelog: str = "",
) -> Version:
    """A version made of a graph and the very packages of its members: its digest pins every file of them.

    Raises Invalid, NotAllowed.
    """
    require(may_add_version(by, capability))
    check_graph(dict(document), check_members(members, by=by))
    for version in members.values():
        if version.capability_id == capability.pk:
            raise Invalid(_("%(name)s cannot be a member of itself.") % {"name": capability.name})
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    files = {FILE: objects.put([text.encode()])[0]}
    for name, version in members.items():
        files |= {f"{MEMBERS}/{name}/{path}": entry["sha256"] for path, entry in version.manifest.items()}
    pinned = {
        name: {
            "capability": version.capability.slug,
            "number": version.number,
            "digest": version.digest,
            "version": version.pk,
        }
        for name, version in members.items()
    }
    made = create_version(
        capability,
        number,
        files=files,
        by=by,
        changelog=changelog,
        parameters={"composite": {"members": pinned}},
    )
    for version in members.values():
        lineage.link(version, made, "member of")
    return made
