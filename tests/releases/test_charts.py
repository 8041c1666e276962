"""Figures of a release show what its stages count."""

import pytest

from apps.releases import charts
from apps.releases.models import Stage
from apps.releases.rollout import active_stage

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("seen", "percent"),
    [
        ({"calls": 200, "errors": 1, "complaints": 1, "slow": 12, "bad": 14}, 7.0),
        ({"calls": 200, "errors": 1, "complaints": 1}, 1.0),  # as an earlier portal kept it
    ],
)
def test_slow_answers_and_those_without_a_number_are_bad_in_the_chart_too(rolling, seen, percent):
    before = {"calls": 100, "errors": 0, "complaints": 0, "bad": 0}
    evidence = {"candidate": seen, "baseline": before}
    Stage.objects.filter(pk=active_stage(rolling).pk).update(evidence=evidence)

    candidate, baseline = charts.stages(rolling.stages.all())["data"]

    assert (candidate["y"], baseline["y"]) == ([percent], [0.0])
