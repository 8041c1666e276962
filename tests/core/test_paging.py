"""Keyset pages: every row once, forwards and backwards, also with equal values."""

import pytest

from apps.accounts.models import Site
from apps.core.errors import Invalid
from apps.core.paging import keyset

pytestmark = pytest.mark.django_db


@pytest.fixture
def sites():
    return Site.objects.bulk_create(Site(slug=f"s{n}", name=f"name {n % 3}") for n in range(10))


def test_pages_forward_and_back_show_each_row_once(sites):
    order = ("-name", "pk")
    first = keyset(Site.objects.all(), order, size=4)
    second = keyset(Site.objects.all(), order, first.next_cursor, size=4)
    third = keyset(Site.objects.all(), order, second.next_cursor, size=4)
    back = keyset(Site.objects.all(), order, third.previous_cursor, size=4)

    assert len({site.pk for page in (first, second, third) for site in page.items}) == 10
    assert (first.previous_cursor, third.next_cursor) == ("", "")
    assert back.items == second.items


def test_a_damaged_cursor_says_so(sites):
    with pytest.raises(Invalid, match="damaged"):
        keyset(Site.objects.all(), ("pk",), "bm9uc2Vuc2U")


def test_a_page_costs_one_query(sites, django_assert_num_queries):
    with django_assert_num_queries(1):
        keyset(Site.objects.all(), ("pk",), size=3)
