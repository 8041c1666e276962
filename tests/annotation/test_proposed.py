"""People begin from the model's answer where it is a value of the label type; blind projects hide it."""

from __future__ import annotations

import html
import io
import json
import re

import orjson
import pytest

from apps.annotation import adding, pulling, transfers
from apps.annotation.formats import FORMATS, Item
from apps.annotation.formats.base import Shape
from apps.annotation.label_types import TYPES
from apps.annotation.label_types.base import Setting
from apps.annotation.models import Project, Task
from apps.annotation.services import add_rule, create_project
from apps.catalog.models import Version
from apps.core.errors import Invalid
from tests.annotation.test_label import say
from tests.annotation.test_pull import logged  # noqa: F401 - a fixture

TICKET = "Cell 4711 in Guangzhou lost power"
CELL = {"start": 5, "end": 9, "label": "cell"}
PLACE = {"start": 13, "end": 22, "label": "place"}
SPANS = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}],
    "outputs": [{"name": "spans", "datatype": "BYTES", "shape": [-1], "kind": "spans"}],
}


def proposed(kind, said, outputs, setting):
    return TYPES[kind].proposed({"out": said}, [{"name": "out", **outputs}], setting)


class TestLabelTypes:
    setting = Setting(("cell", "place"), {}, {"text": TICKET})
    rows = Setting(("normal", "fault"), {}, {"rows": [{"load": 1}, {"load": 9}]})

    @pytest.mark.parametrize(
        ("said", "value"),
        [
            (json.dumps([PLACE, CELL]), [PLACE, CELL]),
            ([CELL], [CELL]),
            ("[]", []),
            (json.dumps([CELL, {**PLACE, "label": "person"}, {**PLACE, "end": 900}, "x"]), [CELL]),
            ("no json", None),
            ('{"start": 1}', None),
            (None, None),
        ],
    )
    def test_spans_are_the_places_that_can_be_marked_here(self, said, value):
        assert proposed("spans", said, {"kind": "spans"}, self.setting) == value

    def test_an_answer_of_another_kind_is_no_proposal(self):
        assert proposed("spans", [CELL], {"kind": "class"}, self.setting) is None
        assert proposed("single", "cell", {"kind": "class"}, self.setting) is None

    @pytest.mark.parametrize(
        ("said", "value"),
        [
            ([0, 1], ["normal", "fault"]),
            (["fault", "fault"], ["fault", "fault"]),
            ([0], None),
            ([0, 7], None),
            (0, None),
        ],
    )
    def test_rows_are_the_class_of_each(self, said, value):
        outputs = {"kind": "class", "labels": ["normal", "fault"]}
        assert proposed("rows", said, outputs, self.rows) == value


@pytest.fixture
def tickets(project, ada):
    """A project that asks what a ticket names, on calls that a model answered with places."""
    return create_project(
        project.capability, by=ada, name="Details", question="What is named?", show="text", kind="spans",
        labels=["cell", "place"], dataset=project.dataset, target="spans", overlap=2,
    )  # fmt: skip


@pytest.fixture
def asked(tickets, logged, ada):  # noqa: F811
    """A logged call of it became a task."""
    Version.objects.filter(capability=tickets.capability).update(signature=SPANS)
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [TICKET]}
    answer = {"name": "spans", "shape": [1], "datatype": "BYTES", "data": [json.dumps([CELL])]}
    logged([], request=orjson.dumps({"inputs": [text]}), response=orjson.dumps({"outputs": [answer]}))
    pulling.pull(add_rule(tickets, by=ada, kind="random"))
    return Task.objects.get()


def begun(page):
    """The value that a screen of regions begins with."""
    found = re.search(r'name="value" value="([^"]*)"', page)
    return json.loads(html.unescape(found[1]))


@pytest.mark.django_db
class TestScreens:
    def test_the_screen_and_the_api_begin_with_it(self, asked, tickets, ann, client):
        client.force_login(ann)

        page = client.get(f"/annotation/{tickets.pk}/label/").content.decode()
        place = client.post(f"/api/v1/annotation-projects/{tickets.pk}/claim/").json()

        assert asked.proposed == [CELL]
        assert "It begins with the model" in page
        assert begun(page) == [CELL]
        assert place["task"]["proposed"] == [CELL]

    def test_a_blind_project_hides_it_everywhere(self, asked, tickets, ann, client):
        Project.objects.update(blind=True)
        client.force_login(ann)

        page = client.get(f"/annotation/{tickets.pk}/label/").content.decode()
        place = client.post(f"/api/v1/annotation-projects/{tickets.pk}/claim/").json()
        looked_up = client.get(f"/api/v1/tasks/{asked.pk}/").json()

        assert "It begins with the model" not in page
        assert begun(page) == []
        assert place["task"]["proposed"] is None
        assert looked_up["proposed"] is None

    def test_rows_are_chosen_beforehand(self, tickets, ada, ann, client):
        Project.objects.filter(pk=tickets.pk).update(kind="rows", show="table")
        project = Project.objects.get(pk=tickets.pk)
        row = {"inputs": {"rows": [{"x": 1}, {"x": 2}]}, "proposed": ["place", "cell"]}
        adding.add_tasks(project, [row], by=ada)
        client.force_login(ann)

        page = client.get(f"/annotation/{project.pk}/label/").content.decode()

        places = [page.index(f'value="{label}"') for label in ("place", "cell")]
        assert page.count(" selected>") == 2
        assert page.index(" selected>") > places[0]

    @pytest.mark.parametrize(
        ("kind", "value", "begun_with"),
        [
            ("multi", ["place"], 'name="choice" value="place" data-hotkey="2" checked>'),
            ("text", "<Cell> 4711", ">&lt;Cell&gt; 4711</textarea>"),
            ("taxonomy", ["place"], None),
            ("rating", 4, None),
        ],
    )
    def test_what_is_told_to_begin_from_the_answer_does(
        self, tickets, ada, ann, client, kind, value, begun_with
    ):
        Project.objects.filter(pk=tickets.pk).update(kind=kind)
        project = Project.objects.get(pk=tickets.pk)
        adding.add_tasks(project, [{"inputs": {"text": TICKET}, "proposed": value}], by=ada)
        client.force_login(ann)

        page = client.get(f"/annotation/{project.pk}/label/").content.decode()

        assert TYPES[kind].begins_from_value == bool(begun_with)
        assert ("It begins with the model" in page) == bool(begun_with)
        assert begun_with is None or begun_with in page
        assert page.count(" checked>") == (kind == "multi")

    def test_a_proposal_that_is_none_is_left_out(self, tickets, ada):
        row = {"inputs": {"text": TICKET}, "proposed": [PLACE | {"end": 900}], "value": [CELL]}

        adding.add_tasks(tickets, [row], by=ada)

        task = Task.objects.get()
        assert (task.proposed, task.value) == (None, [CELL])

    def test_proposals_that_are_none_are_counted_and_told(self, tickets, ada, client):
        client.force_login(ada)
        rows = [
            {"inputs": {"text": f"{TICKET} {number}"}, "proposed": said}
            for number, said in enumerate([[CELL], [PLACE | {"end": 900}], "x", None])
        ]

        added = client.post(
            "/api/v1/tasks/", {"project": tickets.pk, "rows": rows}, content_type="application/json"
        ).json()

        assert (added["tasks"], added["unproposed"], added["broken"]) == (4, 2, [])
        assert Task.objects.filter(proposed__isnull=True).count() == 3

    def test_the_page_of_a_file_says_how_many_came_without(self, tickets, ada, client, compiled_messages):
        told = [
            {
                "data": {"text": f"{TICKET} {n}"},
                "predictions": [{"result": [{"type": "labels", "value": {}}]}],
            }
            for n in range(2)
        ]
        made = transfers.start_import(tickets, "label-studio", io.BytesIO(json.dumps(told).encode()), by=ada)
        transfers.run(made.pk)
        client.force_login(ada)

        made.refresh_from_db()
        page = client.get(f"/annotation/{tickets.pk}/transfers/").content.decode()
        type(ada).objects.update(language="zh-hans")
        chinese = client.get(f"/annotation/{tickets.pk}/transfers/")

        assert (made.status, made.rows, made.unproposed) == ("done", 2, 2)
        assert "2 rows came without their proposals" in page
        assert "2 行没有带上建议的答案" in chinese.content.decode()

    def test_a_review_begins_with_what_is_likeliest(self, tickets, ada, ann, abe, bo, client):
        Project.objects.filter(pk=tickets.pk).update(overlap=3)
        project = Project.objects.get(pk=tickets.pk)
        for text in (TICKET, TICKET + "."):
            adding.add_tasks(project, [{"inputs": {"text": text}}], by=ada)
        said = [[CELL], [PLACE], [CELL]], [[PLACE], [CELL], [PLACE, CELL]]
        for values in said:
            for person, value in zip((ann, abe, bo), values, strict=True):
                task = say(project, person, value)
        client.force_login(bo)

        clear, open_one = Task.objects.filter(project=project).order_by("pk")

        assert task == open_one
        assert begun(client.get(f"/annotation/tasks/{clear.pk}/").content.decode()) == [CELL]


def test_label_studios_predictions_go_out_and_come_in():
    kind = TYPES["spans"]
    shape, out = Shape(kind, ("cell", "place"), {}), io.BytesIO()
    items = [Item(1, {"text": TICKET}, version="1.0.0", proposed=[CELL]), Item(2, {"text": "x"})]
    FORMATS["label-studio"].write(lambda: items, shape, out)

    written = json.loads(out.getvalue())
    first, second = FORMATS["label-studio"].read(io.BytesIO(out.getvalue()), shape)

    assert [part["model_version"] for part in written[0]["predictions"]] == ["1.0.0"]
    assert written[1]["predictions"] == []
    assert kind.clean(first["proposed"], shape.setting(first["inputs"])) == [CELL]
    assert "value" not in first
    assert "proposed" not in second


def test_a_predicted_class_is_what_the_model_said():
    result = TYPES["single"].to_label_studio("3", Setting(("3", "8")))
    told = [{"data": {"x": [1]}, "predictions": [{"result": result}]}]

    (row,) = FORMATS["label-studio"].read(
        io.BytesIO(json.dumps(told).encode()), Shape(TYPES["single"], ("3", "8"), {})
    )

    assert row["predicted"] == "3"
    assert "proposed" not in row


@pytest.mark.parametrize("kind", ["single", "multi", "spans", "rating"])
@pytest.mark.parametrize(
    "predictions",
    [[{"result": [{}]}], [{"result": [{"type": "labels", "value": {}}]}], [{"result": 3}], {"a": 1}, [7]],
)
def test_a_prediction_that_cannot_be_read_spoils_no_row(kind, predictions):
    setting = TYPES[kind].example.setting
    value = TYPES[kind].clean(TYPES[kind].example.good[0], setting)
    decided = [{"result": TYPES[kind].to_label_studio(value, setting)}]
    told = [{"data": setting.inputs, "annotations": decided, "predictions": predictions}]

    (row,) = FORMATS["label-studio"].read(
        io.BytesIO(json.dumps(told).encode()), Shape(TYPES[kind], setting.labels, setting.options)
    )

    assert TYPES[kind].clean(row["value"], setting) == value
    said = row.get("proposed")
    assert isinstance(said, Invalid) if "result" in str(predictions) and said else not said
    assert row["predicted"] is None
