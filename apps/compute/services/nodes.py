"""Nodes: the heartbeat that each writes, and what administrators do with them."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.policy import may_administer
from apps.compute import ledger
from apps.compute.adapters import engine
from apps.compute.models import Node
from apps.compute.placement import read_labels
from apps.compute.selectors import capacity, node_name, nodes
from apps.compute.services.attempts import ledger_locked
from apps.core import audit
from apps.core.errors import Conflict
from apps.core.policy import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.accounts.models import User

BEATS_EVERY_S = 3.0
_beats_at = float("-inf")


def beat(*, now: bool = False) -> None:
    """Say that this machine's engine is looked after, and what it bears; at most every three seconds."""
    global _beats_at
    if not now and time.monotonic() < _beats_at:
        return
    _beats_at = time.monotonic() + BEATS_EVERY_S
    running = sum(1 for seen in engine().list() if not seen.ended)
    facts = {**asdict(capacity()), **asdict(ledger.load()), "workloads": running, "seen_at": Now()}
    name = node_name()
    if not Node.objects.filter(name=name).update(**facts):
        Node.objects.bulk_create([Node(name=name, **facts)], ignore_conflicts=True)


def drain_node(node: Node, *, by: User) -> Node:
    """Let it take nothing new; what runs there goes on. Raises NotAllowed."""
    require(may_administer(by))
    with ledger_locked():  # what is being admitted is admitted before, and nothing after
        if Node.objects.filter(pk=node.pk, drained_at=None).update(drained_at=timezone.now(), drained_by=by):
            audit.record("compute.node.drained", node, by=by, node=node.name)
    return nodes().get(pk=node.pk)


@transaction.atomic
def resume_node(node: Node, *, by: User) -> Node:
    """Let a drained node take new work again. Raises NotAllowed."""
    require(may_administer(by))
    drained = Node.objects.filter(pk=node.pk, drained_at__isnull=False)
    if drained.update(drained_at=None, drained_by=None):
        audit.record("compute.node.resumed", node, by=by, node=node.name)
    return nodes().get(pk=node.pk)


@transaction.atomic
def label_node(node: Node, labels: Sequence[str], *, by: User) -> Node:
    """Give it these labels in place of its present ones. Raises NotAllowed, Invalid."""
    require(may_administer(by))
    wanted = read_labels(labels)
    if Node.objects.filter(pk=node.pk).exclude(labels=wanted).update(labels=wanted):
        audit.record("compute.node.labelled", node, by=by, node=node.name, labels=wanted)
    return nodes().get(pk=node.pk)


@transaction.atomic
def remove_node(node: Node, *, by: User) -> None:
    """Forget a machine that is gone, or has another name now. Raises NotAllowed, Conflict while it is heard."""
    require(may_administer(by))
    if not nodes().filter(pk=node.pk, state="silent").exists():
        raise Conflict(
            _("The node %(name)s is alive: its next heartbeat would bring it back. Drain it instead.")
            % {"name": node.name}
        )
    audit.record("compute.node.removed", node, by=by, node=node.name)
    node.delete()
