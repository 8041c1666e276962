"""Parquet is read in the sandbox; images are described by their headers."""

import io
import subprocess

import pytest
from PIL import Image

from apps.compute import environments
from apps.core.errors import Invalid
from apps.datasets.models import DatasetVersion
from apps.datasets.selectors import iterate_rows, preview
from apps.datasets.services import create_version
from tests.factories import make_dataset, put_files

pytestmark = pytest.mark.django_db

WRITE = """
import sys, datetime, pyarrow as pa, pyarrow.parquet as pq
table = pa.table({"x": [1, 2, None], "y": [0.5, float("nan"), 2.0], "label": ["a", "b", "a"],
                  "on": [datetime.date(2026, 1, day) for day in (1, 2, 3)], "raw": [b"ab", b"", b"c"]})
pq.write_table(table, sys.stdout.buffer)
"""


@pytest.fixture(scope="session")
def parquet():
    environments.build("base", say=lambda words: None)
    python = environments.path("base") / "bin" / "python"
    return subprocess.run([python, "-c", WRITE], capture_output=True, check=True).stdout


@pytest.fixture
def faults(radio, ada):
    return make_dataset(radio, ada, "faults")


def test_a_parquet_file_is_described_like_any_table(faults, ada, parquet):
    version = create_version(faults, put_files({"a.parquet": parquet}), by=ada)

    types = {column["name"]: column["type"] for column in version.schema["columns"]}
    assert (version.rows, types["x"], types["y"], types["on"]) == (3, "integer", "number", "text")
    assert version.statistics["columns"]["label"]["values"] == {"a": 2, "b": 1}
    assert version.statistics["columns"]["y"]["missing"] == 1
    assert preview(version, rows=1) == [
        {"x": 1, "y": 0.5, "label": "a", "on": "2026-01-01", "raw": "<2 bytes>"}
    ]


def test_a_reader_that_stops_early_leaves_no_process(faults, ada, parquet):
    version = create_version(faults, put_files({"a.parquet": parquet}), by=ada)
    rows = iterate_rows(version)
    next(rows)

    rows.close()

    assert len(list(iterate_rows(version))) == 3


@pytest.mark.parametrize("damage", [lambda data: b"PAR1 nothing", lambda data: data[:-9] + b"\xff" * 9])
def test_a_damaged_parquet_file_is_refused_by_name_and_leaves_nothing(faults, ada, parquet, damage):
    with pytest.raises(Invalid, match=r"b\.parquet cannot be read as Parquet"):
        create_version(faults, put_files({"b.parquet": damage(parquet)}), by=ada)

    assert not DatasetVersion.objects.exists()


def picture(width, height, mode="L", kind="PNG"):
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, kind)
    return out.getvalue()


def test_images_are_told_by_size_mode_and_class(faults, ada, client):
    files = {
        "cats/1.png": picture(8, 8),
        "cats/2.png": picture(16, 8, "RGB"),
        "dogs/1.jpg": picture(32, 24, "RGB", "JPEG"),
        "dogs/2.png": b"no picture",
    }
    version = create_version(faults, put_files(files), by=ada)

    images = version.statistics["images"]
    assert (images["count"], images["broken_files"]) == (4, ["dogs/2.png"])
    assert images["modes"] == {"RGB": 2, "L": 1}
    assert images["width"] == {"minimum": 8, "median": 16, "maximum": 32}
    assert images["classes"]["cats"]["count"] == 2
    client.force_login(ada)
    page = client.get("/datasets/faults/").content.decode()
    for shown in ("data:image/png;base64,", "dogs/2.png", "16 × 8", "cats"):
        assert shown in page
