"""Two at once: a slice goes to one of them, and counting makes nobody wait."""

import pytest
from django.db import connections, transaction

from apps.core.errors import Conflict, IllegalMove
from apps.experiments.counting import count
from apps.experiments.models import Experiment
from apps.experiments.plans import create_experiment
from apps.experiments.services import end_experiment, pause_experiment, start_experiment
from tests.experiments.conftest import threshold
from tests.releases.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_that_want_one_slice_one_starts(digits, ada, ole):
    both = [create_experiment(digits, threshold(name=name), by=ada) for name in ("One", "Other")]

    found = at_once(*(lambda experiment=each: start_experiment(experiment, by=ole) for each in both))

    assert sum(isinstance(each, Conflict) for each in found) == 1
    assert Experiment.objects.filter(status="running").count() == 1


def test_a_start_that_is_sent_twice_is_one(digits, ada, ole):
    experiment = create_experiment(digits, threshold(), by=ada)

    found = at_once(*[lambda: start_experiment(experiment, by=ole)] * 2)

    assert sum(isinstance(each, IllegalMove) for each in found) == 1


def test_who_ends_it_does_not_wait_for_the_counting(digits, ada, ole):
    experiment = start_experiment(create_experiment(digits, threshold(), by=ada), by=ole)

    def counting():
        with transaction.atomic():
            assert count(Experiment.objects.get(pk=experiment.pk))
            assert at_once(lambda: count(Experiment.objects.get(pk=experiment.pk))) == [False]

    at_once(counting)
    pause_experiment(experiment, by=ole)
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('experiments count'), %s)", [experiment.pk])
        (ended,) = at_once(lambda: end_experiment(experiment, by=ole))
    assert ended.status == "ended"
