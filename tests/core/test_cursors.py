"""Statements with more values than PostgreSQL takes beside one."""

import pytest

from apps.accounts.models import Site
from apps.core.cursors import MOST_VALUES

pytestmark = pytest.mark.django_db


def test_a_list_longer_than_can_be_bound_is_looked_up():
    site = Site.objects.create(slug="quoted", name="100 %s of 'here'")
    names = [f"{number} %" for number in range(MOST_VALUES)]

    assert Site.objects.filter(name__in=[*names, site.name]).get() == site
