"""Capabilities: described by their team, found by others once published."""

import pytest

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


def test_a_draft_cannot_be_deprecated(digits, ada):
    with pytest.raises(IllegalMove):
        deprecate_capability(digits, by=ada)


def test_each_wrong_field_gets_its_reason(digits, ada):
    with pytest.raises(Invalid) as raised:
        edit_capability(digits, by=ada, name=" ", visibility="world", tags=["x" * 40])

    assert set(raised.value.fields) == {"name", "visibility", "tags"}
