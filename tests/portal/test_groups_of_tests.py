"""How tests are given out to workers (`tests/together.py`)."""

import pytest

from portal.environment import ROOT
from tests.together import GROUPS, group_of


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("tests/journeys/test_whole_loop.py", "journeys"),
        ("tests/journeys/test_upload.py", "uploads"),
        ("tests/store/test_keyboard.py", "without samples"),
        ("tests/store/test_replay.py", "tests/store/test_replay.py"),
    ],
)
def test_a_file_belongs_to_the_group_that_names_it_most_closely(path, group):
    assert group_of(path) == group


def test_each_place_of_a_group_is_there():
    assert [place for places in GROUPS.values() for place in places if not (ROOT / place).exists()] == []
