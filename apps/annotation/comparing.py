"""What calls are held against when a pull rule looks at them: how common each answer is, and what a candidate says.

A candidate is the newest deployment that is ready and does not answer in production; it is asked by the portal itself,
so that versions can be seen to disagree where no call is mirrored to a shadow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from apps.annotation.reading import Reader, Unreadable, class_said
from apps.catalog.models import Version
from apps.evaluation.selectors import production_of
from apps.gateway.selectors import calls_of_people
from apps.instances.models import Deployment
from apps.releases.again import NotAskable, ask_again, line_to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from apps.catalog.models import Capability
    from apps.gateway.models import Call

NEWEST = 2000
FEWEST = 100
"""Of fewer calls nobody can say which answers are rare."""


def shares(reader: Reader) -> dict[str, float]:
    """How large a share of what people asked last each class is answered to; empty where it was too little."""
    rows = calls_of_people(reader.project.capability, failed=False).defer(None)
    rows = rows.order_by("-at", "-request_id")
    found: Counter[str] = Counter()
    for call in rows[:NEWEST].iterator(chunk_size=NEWEST):
        try:
            found[reader.read(call).predicted] += 1
        except Unreadable:
            continue
    total = sum(found.values())
    return {label: n / total for label, n in found.items() if label} if total >= FEWEST else {}


def candidate_of(capability: Capability) -> Deployment | None:
    """The newest deployment that is ready and whose version does not answer in production."""
    running = production_of(capability)
    ready = Deployment.objects.filter(
        capability=capability, desired=Deployment.Desired.RUNNING, status=Deployment.Status.READY
    )
    if running is not None:
        ready = ready.exclude(version=running.version_id)
    return ready.select_related("version", "capability__team").order_by("-pk").first()


def said_by(deployment: Deployment, logged: Iterable[Call]) -> dict[UUID, str]:
    """{call: the class that a deployment answers to the same}, of those that it can be asked. Raises Unavailable."""
    versions = {
        version.number: version for version in Version.objects.filter(capability=deployment.capability)
    }
    found = {}
    with line_to(deployment, for_="inputs for a pull rule", by=None) as http:
        for call in logged:
            try:
                said = ask_again(http, call, deployment.version, versions.get(call.version))
            except NotAskable:
                continue
            if answer := class_said(said.outputs, deployment.version):
                found[call.request_id] = answer
    return found
