"""Times are told in the reader's zone, and the zone with them."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from apps.core.templatetags.atrium import ago, zone, zoned

NOON = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("UTC", "2026-11-29 12:00:05 UTC"),
        ("Asia/Shanghai", "2026-11-29 20:00:05 UTC+8"),
        ("Asia/Kolkata", "2026-11-29 17:30:05 UTC+5:30"),
        ("America/St_Johns", "2026-11-29 08:30:05 UTC-3:30"),
    ],
)
def test_a_moment_names_the_readers_zone(where, told):
    with timezone.override(where):
        assert zoned(NOON) == told
        assert f'title="{told}"' in ago(NOON)


def test_a_column_of_times_names_it_once():
    with timezone.override("Asia/Shanghai"):
        assert ">UTC+8<" in zone()
        assert "Asia/Shanghai" in zone()
