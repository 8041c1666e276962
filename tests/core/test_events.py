"""Events survive what goes wrong on the way, and are delivered again until their handlers agree."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import events
from apps.core.models import Event


@pytest.fixture
def heard(monkeypatch):
    """What the handler of `test.happened` was called with."""
    calls = []
    monkeypatch.setitem(events._handlers, "test.happened", [lambda key, facts: calls.append((key, facts))])
    return calls


@pytest.fixture
def lost(monkeypatch):
    """Nothing reaches the broker."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **kwargs: False)


def make_due():
    Event.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))


@pytest.mark.django_db
def test_an_event_whose_message_was_lost_is_delivered_from_the_outbox(heard, lost):
    events.publish("test.happened", 7, size=3)
    make_due()

    assert events.deliver_due() == 1
    assert heard == [("7", {"size": 3})]
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_failing_handler_is_tried_again(heard, lost, monkeypatch):
    def fail(key, facts):
        raise ValueError("not today")

    monkeypatch.setitem(events._handlers, "test.happened", [fail])
    events.publish("test.happened", 7)
    make_due()
    assert events.deliver_due() == 0
    event = Event.objects.get()
    assert (event.attempts, "not today" in event.error) == (1, True)
    assert event.next_attempt_at > timezone.now() - timedelta(seconds=1)


@pytest.mark.django_db
def test_an_event_that_nobody_hears_leaves_no_row():
    events.publish("test.unheard", 7)

    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_event_is_delivered_once_when_two_workers_try(heard, lost):
    events.publish("test.happened", 7)
    pk = Event.objects.get().pk

    assert [events.deliver(pk), events.deliver(pk)] == [True, False]
    assert len(heard) == 1
