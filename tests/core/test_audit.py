"""The audit log is append-only: what was altered or removed afterwards is named."""

import pytest

from apps.core import audit
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db


def record_three(by):
    for action in ("a.b.made", "a.b.changed", "a.b.ended"):
        audit.record(action, "atrium:a.b:1", by=by, size=3)


def test_sealed_entries_form_an_intact_chain(ada):
    record_three(ada)
    assert audit.seal() == 3
    record_three(ada)

    found = audit.verify()

    assert (found.intact, found.checked, found.unsealed) == (True, 3, 3)


def test_an_altered_entry_is_named(ada):
    record_three(ada)
    audit.seal()
    AuditEntry.objects.filter(position=2).update(facts={"size": 4})

    assert audit.verify().broken_at == 2


def test_a_removed_entry_is_named(ada):
    record_three(ada)
    audit.seal()
    AuditEntry.objects.filter(position=2).delete()

    assert audit.verify().broken_at == 2


def test_sealing_goes_on_where_it_stopped(ada):
    for _ in range(3):
        record_three(ada)
        audit.seal()

    assert audit.verify().checked == 9
    assert list(AuditEntry.objects.order_by("pk").values_list("position", flat=True)) == list(range(1, 10))
