"""What becomes of the pixels of an image file: the module that the page loads, run by node."""

import json
import subprocess

import pytest

from portal.environment import ROOT
from tests.store.test_drawing import node

MODULE = ROOT / "static/js/try-picture.js"
RED, GREEN, BLUE = [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]
WHITE, BLACK, NOTHING = [255] * 4, [0, 0, 0, 255], [0] * 4


def run(expression: str, *values: object):
    """What an expression over the module's functions and `v` gives."""
    code = (
        f'import * as m from "{MODULE.as_uri()}"; const v = {json.dumps(values)};'
        f"console.log(JSON.stringify({expression}));"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "-e", code], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def picture(*rows: list[list[int]]) -> dict[str, object]:
    data = [part for row in rows for pixel in row for part in pixel]
    return {"data": data, "width": len(rows[0]), "height": len(rows)}


def numbers(shown: dict[str, object], **want: object) -> list[float]:
    default = {"rows": 1, "columns": 1, "channels": 1, "first": False, "minimum": 0, "maximum": 1,
               "integers": False, "whole": False, "inverted": False}  # fmt: skip
    return run("m.numbersOf(v[0], v[1])", shown, default | want)


def test_channels_stand_last_or_first():
    shown = picture([RED, GREEN], [BLUE, WHITE])
    size = {"rows": 2, "columns": 2, "channels": 3, "maximum": 255, "integers": True}

    assert numbers(shown, **size) == [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]
    assert numbers(shown, **size, first=True) == [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]


def test_a_fourth_channel_is_opaque():
    assert numbers(picture([GREEN]), channels=4, maximum=255, integers=True) == [0, 255, 0, 255]


def test_grey_is_the_brightness_that_people_see():
    assert [numbers(picture([colour]))[0] for colour in (RED, GREEN, BLUE, WHITE)] == [0.299, 0.587, 0.114, 1]


def test_a_cell_is_the_mean_of_what_it_covers():
    chess = picture(*[[(BLACK, WHITE)[(x + y) % 2] for x in range(6)] for y in range(6)])

    assert numbers(chess, rows=3, columns=3) == [0.5] * 9
    assert numbers(picture([BLACK, BLACK, WHITE], [BLACK] * 3, [BLACK] * 3), rows=2, columns=2)[1] == 0.4444


@pytest.mark.parametrize(("whole", "expected"), [(False, 1 / 9), (True, 1 / 25)])
def test_the_middle_is_taken_or_all_of_it_on_more_of_its_ground(whole, expected):
    shown = picture([BLACK] * 5, [BLACK, BLACK, WHITE, BLACK, BLACK], [BLACK] * 5)

    assert numbers(shown, whole=whole) == [pytest.approx(expected, abs=1e-4)]


def test_ink_is_found_on_its_ground_and_its_size_makes_no_difference():
    page = [[WHITE] * 20 for _row in range(20)]
    for row in range(12, 16):
        page[row][3:7] = [BLACK] * 4
    found = run("(({width, height}) => [width, height])(m.inkOf(v[0]))", picture(*page))

    assert found == [6, 6]
    assert run("m.inkOf(v[0]).width", picture([WHITE] * 5)) == 5


def test_bounds_and_inversion():
    assert numbers(picture([BLACK]), minimum=-1) == [-1]
    assert numbers(picture([BLACK]), maximum=16, inverted=True) == [16]


def test_what_is_transparent_is_white_paper():
    assert numbers(picture([NOTHING])) == [1]


def test_the_model_sees_what_is_shown():
    want = {"rows": 1, "columns": 2, "channels": 3, "first": True, "minimum": 0, "maximum": 1}
    shown = run("Array.from(m.pixelsOf(v[0], v[1]))", [1, 0, 0, 1, 0, 0], want)

    assert shown == [255, 0, 0, 255, 0, 255, 0, 255]
