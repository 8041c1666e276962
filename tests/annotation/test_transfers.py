"""Files in and out: what goes out comes in again the same, broken rows are named, a kill loses and doubles nothing."""

from __future__ import annotations

import gc
import io
import json
import tracemalloc
import zipfile

import orjson
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.utils import translation

from apps.annotation import adding, transfers
from apps.annotation.formats import FORMATS, Item
from apps.annotation.formats.base import Shape
from apps.annotation.label_types import TYPES
from apps.annotation.models import Project, Slot, Task, Transfer
from apps.annotation.services import keyed
from apps.core.errors import Conflict, Invalid
from tests.annotation.test_label import say

PAIRS = [
    pytest.param(form, kind, id=f"{form.slug}-{kind.slug}")
    for form in FORMATS.values()
    for kind in TYPES.values()
    if form.carries(kind)
]


def shape_of(kind):
    setting = kind.example.setting
    return Shape(kind, setting.labels, dict(setting.options))


def items_of(kind):
    setting = kind.example.setting
    return [
        Item(number, dict(setting.inputs), kind.clean(value, setting), "x", 0.5)
        for number, value in enumerate(kind.example.good, 1)
    ]


@pytest.mark.parametrize(("form", "kind"), PAIRS)
def test_what_goes_out_comes_in_again(form, kind):
    shape, items, out = shape_of(kind), items_of(kind), io.BytesIO()
    assert form.write(lambda: items, shape, out) == len(items)

    rows = list(form.read(io.BytesIO(out.getvalue()), shape))

    values = [kind.clean(row["value"], shape.setting(row["inputs"])) for row in rows]
    for found, item in zip(values, items, strict=True):
        # Pixels and shares are rounded on their way, and CoNLL knows whole tokens only.
        assert kind.likeness(found, item.value) > 0.999 or (
            form.slug == "conll" and len(found) == len(item.value)
        )
    if form.slug not in ("coco", "yolo", "conll"):
        assert [row["inputs"] for row in rows] == [item.inputs for item in items]


def test_label_studios_own_example_is_read():
    """The task of labelstud.io/guide/task_format (choices and data), and bare data as it takes them too."""
    told = [
        {
            "id": 1,
            "data": {"text": "Opossums are great"},
            "annotations": [
                {
                    "id": 7,
                    "completed_by": 1,
                    "was_cancelled": False,
                    "result": [
                        {
                            "id": "a",
                            "from_name": "sentiment",
                            "to_name": "text",
                            "type": "choices",
                            "value": {"choices": ["positive"]},
                        }
                    ],
                }
            ],
            "predictions": [],
        },
        {"text": "Great possum"},
    ]
    shape = Shape(TYPES["single"], ("positive", "negative"), {})

    rows = list(FORMATS["label-studio"].read(io.BytesIO(json.dumps(told).encode()), shape))

    assert [row["inputs"]["text"] for row in rows] == ["Opossums are great", "Great possum"]
    assert rows[0]["value"] == "positive"
    assert "value" not in rows[1]


@pytest.mark.parametrize("form", ["label-studio", "json-min"])
def test_a_region_with_several_labels_is_one_for_each(form):
    value = {"start": 0, "end": 9, "text": "Cell 4711", "labels": ["cell", "place"]}
    part = {"id": "a", "from_name": "label", "to_name": "text", "type": "labels", "value": value}
    told = {
        "label-studio": {"data": {"text": "Cell 4711"}, "annotations": [{"result": [part]}]},
        "json-min": {"text": "Cell 4711", "label": [value]},
    }
    shape = Shape(TYPES["spans"], ("cell", "place"), {})

    (row,) = FORMATS[form].read(io.BytesIO(json.dumps([told[form]]).encode()), shape)

    assert [(region["start"], region["end"], region["label"]) for region in row["value"]] == [
        (0, 9, "cell"), (0, 9, "place"),
    ]  # fmt: skip


def test_conll_2003_is_read():
    text = b"-DOCSTART- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\ncall NN I-NP I-MISC\n\n"
    rows = list(FORMATS["conll"].read(io.BytesIO(text), Shape(TYPES["spans"], ("ORG", "MISC"), {})))

    assert rows[0]["inputs"]["text"] == "EU rejects German call"
    assert rows[0]["value"] == [
        {"start": 0, "end": 2, "label": "ORG"},
        {"start": 11, "end": 22, "label": "MISC"},
    ]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe", b"{}", b"[1, [2]]", b"a,b\n1\n", b"PK\x03\x04 no zip"]
)
def test_what_is_no_such_file_is_refused_in_words(form, content):
    kind = TYPES[form.kinds[0]] if form.kinds else TYPES["single"]

    assert all(isinstance(row, Invalid | dict | int | list) for row in whatever_is_read(form, kind, content))


def whatever_is_read(form, kind, content):
    """The rows, or the refusal; anything else that is raised fails the test."""
    try:
        return list(form.read(io.BytesIO(content), shape_of(kind)))
    except Invalid as refused:
        return [refused]


def client_file(project, made):
    """What the file holds, or None while it cannot be fetched."""
    try:
        return transfers.open_file(project, made.pk)[0].read()
    except Conflict:
        return None


@pytest.mark.django_db
class TestTransfers:
    def export(self, project, form, person):
        made = transfers.start_export(project, form, by=person)
        transfers.run(made.pk)
        made.refresh_from_db()
        assert made.status == "done", made.reason
        return transfers.open_file(project, made.pk)[0].read()

    def bring(self, project, form, content, person, **wish):
        made = transfers.start_import(project, form, io.BytesIO(content), by=person, **wish)
        transfers.run(made.pk)
        made.refresh_from_db()
        return made

    @pytest.mark.parametrize("form", [form.slug for form in FORMATS.values() if not form.kinds])
    def test_a_project_leaves_and_comes_back(self, project, tasks, ann, abe, ada, form):
        for person in (ann, abe):
            say(project, person, "8")
        first = self.export(project, form, ada)
        Task.objects.all().delete()

        made = self.bring(project, form, first, ada)

        back = Task.objects.filter(status="accepted").get()
        assert (made.status, back.label, back.value) == ("done", "8", "8")
        assert back.inputs == {"features": [0, 1]}
        assert Slot.objects.filter(task=back).count() == 0

    def test_broken_rows_are_named_and_the_good_ones_kept_on_wish(self, project, ada, compiled_messages):
        lines = [
            b'{"inputs": {"x": 1}}',
            b"{",
            b'{"inputs": {"x": 2}, "label": "9"}',
            b'{"inputs": {"x": 3}}',
        ]

        refused = self.bring(project, "jsonl", b"\n".join(lines), ada)
        assert (refused.status, Task.objects.count()) == ("failed", 0)
        assert "row 2" in refused.reason
        assert "row 3" in refused.reason
        with translation.override("zh-hans"):
            assert refused.why.startswith("第 2 行：")

        kept = self.bring(project, "jsonl", b"\n".join(lines), ada, keep_good=True)
        assert (kept.status, kept.rows, [number for number, _why in kept.broken]) == ("done", 2, [2, 3])
        with translation.override("zh-hans"):
            assert kept.broken_rows[1][1] == "“9”不在标签中：3, 8。"

    def test_a_worker_killed_in_an_import_keeps_nothing_and_the_next_one_does_it_once(
        self, project, ada, monkeypatch
    ):
        made = transfers.start_import(project, "jsonl", io.BytesIO(b'{"inputs": {"x": 1}}\n'), by=ada)
        move = Transfer.lifecycle.move

        def killed(*_args, **_facts):
            raise DatabaseError("the connection is gone")

        monkeypatch.setattr(Transfer.lifecycle, "move", killed)
        with pytest.raises(DatabaseError):
            transfers.run(made.pk)
        assert not Task.objects.exists()

        monkeypatch.setattr(Transfer.lifecycle, "move", move)
        transfers.run_waiting()
        transfers.run_waiting()
        assert Task.objects.count() == 1
        assert Transfer.objects.get().status == "done"

    def test_a_worker_killed_in_an_export_leaves_no_half_file_and_the_next_one_writes_it(
        self, project, tasks, ada, monkeypatch
    ):
        made = transfers.start_export(project, "jsonl", by=ada)

        def killed(*_args):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(transfers.objects, "put", killed)
            with pytest.raises(SystemExit):
                transfers.run(made.pk)
        assert client_file(project, made) is None

        transfers.run_waiting()
        assert len(client_file(project, made).splitlines()) == 3
        assert Transfer.objects.get().status == "done"

    def test_an_export_of_regions_as_coco_opens(self, project, ada):
        kind = TYPES["boxes"]
        Project.objects.update(kind="boxes", show="image", labels=keyed(kind.example.setting.labels))
        project.refresh_from_db()
        rows = [{"inputs": kind.example.setting.inputs, "value": kind.example.good[0]}]
        adding.add_tasks(project, rows, by=ada)

        archive = zipfile.ZipFile(io.BytesIO(self.export(project, "coco", ada)))

        told = json.loads(archive.read("result.json"))
        assert told["annotations"][0]["bbox"] == [pytest.approx(v) for v in (0.8, 0, 4.8, 4)]
        assert archive.read(told["images"][0]["file_name"]).startswith(b"\x89PNG")

    def test_a_format_that_cannot_carry_the_labels_is_refused(self, project, ada):
        with pytest.raises(Invalid, match="cannot carry"):
            transfers.start_export(project, "yolo", by=ada)

    def test_memory_stays_flat_while_a_large_project_goes_out(self, project, ada, monkeypatch):
        monkeypatch.setattr(transfers, "_PAGE", 200)
        sink, peaks = io.BytesIO(), []
        sink.write = lambda data: len(data)
        for first in (0, 1000):
            rows = (
                {"inputs": {"x": number, "t": "y" * 300}} for number in range(first, first + 1000 + first * 3)
            )
            adding.add_tasks(project, rows, by=ada)
            FORMATS["jsonl"].write(lambda: transfers.items_of(project), transfers._shape(project), sink)
            peaks.append(min(self._peak(project, sink) for _time in range(3)))

        assert Task.objects.count() == 5000
        assert peaks[1] < 2 * peaks[0]

    @staticmethod
    def _peak(project, sink):
        """Bytes at most held by one export; other threads of the process only add to it."""
        gc.collect()
        tracemalloc.start()
        FORMATS["jsonl"].write(lambda: transfers.items_of(project), transfers._shape(project), sink)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    def test_over_pages_and_api(self, project, tasks, ada, ann, client):
        client.force_login(ada)
        address = f"/annotation/{project.pk}/transfers/"
        sent = SimpleUploadedFile("rows.jsonl", b'{"inputs": {"x": 1}}\n')
        client.post(address, {"import": "1", "format": "jsonl", "file": sent})
        client.post(address, {"export": "1", "format": "csv"})
        transfers.run_waiting()

        page = client.get(address).content.decode()
        api = f"/api/v1/annotation-projects/{project.pk}/transfers/"
        rows = client.get(api).json()
        content = b"".join(client.get(f"{api}{rows[0]['id']}/file/").streaming_content)

        assert page.count('/file/" download>') == 2
        assert '<td data-label="Format">CSV</td>' in page  # a block on a phone, so that its state is in sight
        assert [row["status"] for row in rows] == ["done", "done"]
        assert content.startswith(b"id,")
        assert orjson.loads(content.splitlines()[1].split(b",")[0]) == tasks[0].pk
        client.force_login(ann)
        assert client.get(address).status_code == 403
        assert client.get(api).status_code == 403
