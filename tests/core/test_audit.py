"""The audit log is append-only: the database refuses changes, and what was changed all the same is named."""

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core import audit
from apps.core.models import AuditAnchor, AuditEntry
from tests.factories import past_the_guard

pytestmark = pytest.mark.django_db


def record_three(by):
    for action in ("a.b.made", "a.b.changed", "a.b.ended"):
        audit.record(action, "atrium:a.b:1", by=by, size=3)


@pytest.fixture
def sealed(ada):
    """The entries, six of them in the chain."""
    record_three(ada)
    record_three(ada)
    assert audit.seal() == 6
    return AuditEntry.objects


def test_sealed_entries_form_an_intact_chain(ada):
    record_three(ada)
    assert audit.seal() == 3
    record_three(ada)

    found = audit.verify()

    assert (found.intact, found.checked, found.unsealed) == (True, 3, 3)


def test_a_log_without_entries_is_intact(db):
    assert audit.seal() == 0
    assert audit.verify().intact


@pytest.mark.parametrize("position", [None, 2])
def test_the_database_refuses_to_alter_or_remove_an_entry(sealed, ada, position):
    record_three(ada)
    chosen = sealed.filter(position=position)

    for attempt in (
        lambda: chosen.update(facts={"size": 4}),
        lambda: chosen.update(actor_name="nobody"),
        chosen.delete,
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            attempt()

    assert audit.seal() == 3
    assert audit.verify().checked == 9


def test_the_database_refuses_to_empty_the_log_and_to_take_entries_out_of_the_chain(sealed):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        sealed.filter(position=6).update(position=None, digest="")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE core_auditentry CASCADE")

    assert audit.verify().checked == 6


def test_an_altered_entry_is_named(sealed):
    with past_the_guard():
        sealed.filter(position=2).update(facts={"size": 4})

    assert audit.verify().broken_at == 2


def test_a_removed_entry_is_named(sealed):
    with past_the_guard():
        sealed.filter(position=2).delete()

    assert audit.verify().broken_at == 2


def test_entries_cut_off_at_the_end_are_missed(sealed):
    with past_the_guard():
        sealed.filter(position__gt=4).delete()

    found = audit.verify()

    assert (found.checked, found.broken_at, found.problem) == (4, 5, "entries 5 to 6 are missing")


def test_a_chain_that_was_computed_anew_does_not_fit_its_anchor(sealed):
    anchor = AuditAnchor.objects.get()
    with past_the_guard():
        sealed.update(position=None, digest="", action="a.b.nothing")
    audit.seal()
    AuditAnchor.objects.update(position=6, digest=anchor.digest, mark=anchor.mark)

    assert audit.verify().broken_at == 6


def test_an_anchor_made_without_the_secret_key_is_refused(sealed):
    with past_the_guard():
        sealed.filter(position=6).delete()
    last = sealed.get(position=5)
    AuditAnchor.objects.update(position=5, digest=last.digest, mark="made-up")

    assert "was not written by this portal" in audit.verify().problem


def test_a_removed_anchor_is_missed(sealed):
    AuditAnchor.objects.all().delete()

    assert "anchor" in audit.verify().problem


def test_sealing_goes_on_where_it_stopped(ada):
    for _ in range(3):
        record_three(ada)
        audit.seal()

    assert audit.verify().checked == 9
    assert list(AuditEntry.objects.order_by("pk").values_list("position", flat=True)) == list(range(1, 10))
