"""Capabilities: described by their team, found by others once digits."""

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.catalog.models import Capability
from apps.catalog.selectors import capabilities_visible_to, listed_capabilities, matching
from apps.catalog.services import (
    create_capability,
    deprecate_capability,
    edit_capability,
    publish_capability,
)
from apps.core.errors import IllegalMove, Invalid, NotAllowed
from apps.core.models import AuditEntry
from tests.factories import make_capability, make_packaged_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def digits(radio, ada):
    return make_capability(
        radio, ada, "digits", name="Digits", summary="Reads a digit", visibility="organisation"
    )


def test_a_draft_is_seen_by_its_team_alone(digits, ada, bo, cy):
    assert digits in capabilities_visible_to(ada)
    assert digits in capabilities_visible_to(bo)
    assert digits not in capabilities_visible_to(cy)


def test_publishing_needs_a_packaged_version(digits, ada):
    with pytest.raises(NotAllowed, match="no packaged version"):
        publish_capability(digits, by=ada)


def test_a_published_one_is_listed_for_everybody(digits, ada, cy):
    make_packaged_version(digits, ada)

    publish_capability(digits, by=ada)

    assert list(listed_capabilities(cy)) == [digits]
    assert AuditEntry.objects.filter(action="catalog.capability.published").exists()


def test_a_team_capability_is_not_listed_for_outsiders(radio, ada, cy):
    inner = make_capability(radio, ada, summary="s", visibility="team")
    make_packaged_version(inner, ada)

    publish_capability(inner, by=ada)

    assert not listed_capabilities(cy).exists()


def test_outsiders_and_testers_do_not_edit(digits, bo, cy):
    for person in (bo, cy):
        with pytest.raises(NotAllowed):
            edit_capability(digits, by=person, name="Mine")


@pytest.mark.parametrize("words", ["digit", "故障", "handwr", "reads DIGIT"])
def test_words_of_name_summary_tags_and_card_find_it(digits, ada, words):
    edit_capability(digits, by=ada, tags=["Handwriting", "网络故障"], card="# Card")

    assert digits in matching(Capability.objects.all(), words)
    assert digits not in matching(Capability.objects.all(), "weather")


@pytest.mark.parametrize("slug", ["Digits", "a b", "", "ä", "x" * 64, "a_b"])
def test_an_impossible_short_name_is_refused(radio, ada, slug):
    with pytest.raises(Invalid):
        create_capability(slug, team=radio, by=ada)


def test_a_draft_cannot_be_deprecated(digits, ada, compiled_messages):
    with pytest.raises(IllegalMove, match="is draft; it cannot become deprecated"):
        deprecate_capability(digits, by=ada)
    with translation.override("zh-hans"), pytest.raises(IllegalMove, match="为“草稿”，不能变为“即将下线”"):
        deprecate_capability(digits, by=ada)


def test_a_deprecated_capability_gets_another_day_but_none_in_the_past(digits, ada):
    make_packaged_version(digits, ada)
    publish_capability(digits, by=ada)
    today = timezone.localdate()
    digits = deprecate_capability(digits, by=ada, note="Use digits-2", retires_on=today + timedelta(days=9))
    since = digits.deprecated_at

    with pytest.raises(Invalid, match="lies in the past"):
        deprecate_capability(digits, by=ada, retires_on=today - timedelta(days=1))
    deprecate_capability(digits, by=ada, note="Use digits-3", retires_on=today + timedelta(days=30))

    digits.refresh_from_db()
    assert (digits.deprecated_at, digits.deprecation_note) == (since, "Use digits-3")
    assert digits.retires_on == today + timedelta(days=30)
    told = AuditEntry.objects.filter(action="catalog.capability.deprecation_changed")
    assert [entry.facts["retires_on"] for entry in told] == [digits.retires_on.isoformat()]


def test_the_day_of_retirement_is_not_edited_beside_the_rest(digits, ada):
    with pytest.raises(Invalid, match="retires_on"):
        edit_capability(digits, by=ada, retires_on=timezone.localdate())


def test_each_wrong_field_gets_its_reason(digits, ada):
    with pytest.raises(Invalid) as raised:
        edit_capability(digits, by=ada, name=" ", visibility="world", tags=["x" * 40])

    assert set(raised.value.fields) == {"name", "visibility", "tags"}
