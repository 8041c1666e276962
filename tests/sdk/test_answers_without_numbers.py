"""NaN among the answers: it goes out as the protocol writes it, and the runner says so where a number belongs."""

from pathlib import Path

import numpy as np
import pytest

from atrium.package import Package
from atrium.runner.answers import encode
from atrium.signature import parse_signature


def package(**output):
    told = {"name": "y", "datatype": "FP32", "shape": [-1], **output}
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    signature = parse_signature({"inputs": inputs, "outputs": [told]})
    return Package(Path(), "c", "1", "python", "python", {}, signature, [])


@pytest.mark.parametrize(
    ("output", "values", "binary", "complete"),
    [
        ({}, [1.0, 2.0], set(), True),
        ({}, [1.0, np.nan], set(), False),
        ({}, [np.inf, 2.0], {"y"}, False),
        ({}, [1.0, 2.0], {"y"}, True),
        ({"allow_missing": True}, [1.0, np.nan], set(), True),
    ],
)
def test_an_answer_knows_whether_it_is_all_numbers(output, values, binary, complete):
    body, _length, found = encode(package(**output), None, ["y"], {"y": np.array(values, np.float32)}, binary)

    assert found is complete
    assert binary or (b"NaN" in body) is bool(np.isnan(values).any())
