"""Composites: real packaged models wired by a graph, packaged as one version and served by one runner."""

import json
import shutil

import numpy as np
import pytest

from atrium import logged
from atrium.frameworks.composite import CompositeModel
from atrium.graph import InvalidGraph, draw_up, read_graph
from atrium.package import manifest, open_package
from atrium.signature import parse_signature
from tests.sdk.conftest import package, running, write_package
from tests.sdk.test_framework_contract import Made, made  # noqa: F401 - a fixture

IMAGE = {"name": "image", "datatype": "FP32", "shape": [-1, 4, 4]}
CLASS = {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}
SHARES = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}
SIDE = parse_signature({"inputs": [IMAGE], "outputs": [CLASS, SHARES]})
TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
CLEAN = parse_signature({"inputs": [TEXT], "outputs": [TEXT]})
TOPIC = parse_signature({"inputs": [TEXT], "outputs": [{**TEXT, "name": "topic", "kind": "class"}]})
PIXELS = [16, 16, 0, 0] * 4


def names(specs):
    return [(spec.name, spec.datatype, list(spec.shape)) for spec in specs]


def test_a_sequence_takes_what_the_step_before_gives():
    members = {"clean": CLEAN, "topic": TOPIC}

    graph = read_graph(draw_up("sequence", list(members.items())), members)

    assert names(graph.signature.inputs) == [("text", "BYTES", [-1])]
    assert names(graph.signature.outputs) == [("topic", "BYTES", [-1])]
    assert graph.nodes[1].inputs == {"text": "clean.text"}


def test_a_switch_asks_the_caller_for_its_field():
    members = {"a": SIDE, "b": SIDE}

    document = draw_up("switch", list(members.items()), on="region", values=["north", ""])
    graph = read_graph(document, members)

    assert [spec.name for spec in graph.signature.inputs] == ["image", "region"]
    assert (graph.nodes[0].branches, graph.nodes[0].default) == ({"north": "a"}, "b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": []}, "1 to 40 steps"),
        ({"outputs": {"class": "z.class"}}, "'z.class' is no output of a step before it"),
        ({"nodes": [{"name": "a", "kind": "member", "member": "lost"}]}, "there is no member 'lost'"),
        ({"nodes": [{"name": "A!", "kind": "member"}]}, "lower-case letters"),
        ({"nodes": [{"name": "a", "kind": "member", "member": "a"}] * 2}, "the name is taken"),
        (
            {"nodes": [{"name": "a", "kind": "member", "member": "a", "inputs": {"image": "b.class"}}]},
            "'b.class' is no output",
        ),
    ],
)
def test_a_graph_that_cannot_run_is_refused_by_its_step(change, words):
    whole = {
        "format": "atrium-graph/1",
        "nodes": [{"name": "a", "kind": "member", "member": "a"}],
        "outputs": {"class": "a.class"},
    }
    assert read_graph(whole, {"a": SIDE})
    with pytest.raises(InvalidGraph, match=words):
        read_graph(whole | change, {"a": SIDE})


def test_members_that_do_not_fit_are_told_so():
    with pytest.raises(InvalidGraph, match="which no step before it gives"):
        draw_up("sequence", [("clean", CLEAN), ("side", SIDE)])
    with pytest.raises(InvalidGraph, match="in common"):
        draw_up("average", [("clean", CLEAN), ("side", SIDE)])


def composite(packages, tmp_path, document, members):
    source = tmp_path / "composite"
    for name, kind in members.items():
        shutil.copytree(packages[kind].folder, source / "members" / name)
    (source / "graph.json").write_text(json.dumps(document))
    return source


def test_an_average_of_two_models_is_packaged_and_logs_each_step(base, packages, tmp_path):
    members = {"forest": "forest", "line": "joblib"}
    document = draw_up("average", [(name, SIDE) for name in members])
    source = composite(packages, tmp_path, document, members)

    packaged = package(base, source, tmp_path / "work")

    assert packaged.code == 0, packaged.log
    assert (packaged.result["framework"], packaged.result["runtime"]) == ("composite", "python")
    inside = manifest(packaged.folder / "model" / "members" / "forest")
    assert inside == manifest(packages["forest"].folder)  # pinned by its digest
    assert [spec.name for spec in open_package(packaged.folder).signature.outputs] == [
        "class",
        "probabilities",
    ]
    image = {"name": "image", "datatype": "FP32", "shape": [1, 4, 4], "data": PIXELS}
    with running(base, packaged.folder) as runner:
        status, told = runner.wait_ready()
        assert status == 200, told
        status, answer, response = runner.call("POST", "/v2/models/composite/infer", {"inputs": [image]})
    alone = []
    for kind in members.values():
        with running(base, packages[kind].folder) as runner:
            runner.wait_ready()
            alone.append(runner.infer(kind, image)[1]["outputs"][1]["data"])
    assert status == 200, answer
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    mean = [sum(shares) / 2 for shares in zip(*alone, strict=True)]
    assert outputs["probabilities"] == pytest.approx(mean, abs=1e-6)
    assert outputs["class"] == [1]
    steps = json.loads(response.headers["atrium-values"])
    assert set(steps) == {"forest", "line", "mean", "best"}
    assert steps["forest"]["ms"] >= 0
    assert steps["forest"]["outputs"]["probabilities"] == [pytest.approx(alone[0], abs=1e-6)]


def test_a_switch_sends_each_row_to_its_member_and_keeps_their_order(base, packages, tmp_path):
    members = {"forest": "forest", "line": "joblib"}
    document = draw_up("switch", [(name, SIDE) for name in members], on="region", values=["north", "south"])
    source = composite(packages, tmp_path, document, members)

    packaged = package(base, source, tmp_path / "work")

    assert packaged.code == 0, packaged.log
    three = {"name": "image", "datatype": "FP32", "shape": [3, 4, 4], "data": PIXELS * 3}
    where = {"name": "region", "datatype": "BYTES", "shape": [3], "data": ["north", "south", "north"]}
    with running(base, packaged.folder) as runner:
        runner.wait_ready()
        status, answer = runner.infer("composite", three, where)
        lost = runner.infer("composite", three, {**where, "data": ["north", "west", "north"]})
    assert status == 200, answer
    shares = next(output["data"] for output in answer["outputs"] if output["name"] == "probabilities")
    assert shares[0:2] == shares[4:6]
    assert shares[0:2] != shares[2:4]
    assert lost[0] == 422
    assert "region" in lost[1]["error"]


CLEANER = """\
import numpy as np

def predict(inputs):
    return {"text": np.array([text.strip().lower().encode() for text in inputs["text"]], dtype=object)}
"""
TOPICS = """\
import numpy as np

def predict(inputs):
    found = ["power" if text == "no power" else "other" for text in inputs["text"]]
    return {"topic": np.array(found, dtype=object)}
"""


def test_a_sequence_runs_each_step_on_the_answer_of_the_one_before(base, tmp_path):
    source = tmp_path / "composite"
    for name, code, signature in (("clean", CLEANER, CLEAN), ("topic", TOPICS, TOPIC)):
        write_package(source / "members" / name, code, signature.to_json())
    document = draw_up("sequence", [("clean", CLEAN), ("topic", TOPIC)])
    (source / "graph.json").write_text(json.dumps(document))

    packaged = package(base, source, tmp_path / "work")

    assert packaged.code == 0, packaged.log
    asked = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["  No Power ", "noise"]}
    with running(base, packaged.folder) as runner:
        assert runner.wait_ready()[0] == 200
        _, answer, response = runner.call("POST", "/v2/models/composite/infer", {"inputs": [asked]})
    assert answer["outputs"][0]["data"] == ["power", "other"]
    steps = json.loads(response.headers["atrium-values"])
    assert list(steps) == ["clean", "topic"]
    assert steps["clean"]["outputs"] == {"text": ["no power", "noise"]}


def test_three_members_vote_and_the_majority_answers(base, tmp_path):
    number = {"name": "number", "datatype": "FP64", "shape": [-1]}
    above = parse_signature({"inputs": [number], "outputs": [CLASS]})
    source = tmp_path / "composite"
    for name, bound in (("low", 1), ("middle", 5), ("high", 9)):
        code = f"def predict(inputs):\n    return {{'class': (inputs['number'] > {bound}).astype('int64')}}\n"
        write_package(source / "members" / name, code, above.to_json())
    document = draw_up("vote", [(name, above) for name in ("low", "middle", "high")])
    (source / "graph.json").write_text(json.dumps(document))

    packaged = package(base, source, tmp_path / "work")

    assert packaged.code == 0, packaged.log
    with running(base, packaged.folder) as runner:
        assert runner.wait_ready()[0] == 200
        status, answer = runner.infer("composite", {**number, "shape": [4], "data": [0, 3, 7, 11]})
    assert (status, answer["outputs"][0]["data"]) == (200, [0, 0, 1, 1])


def test_members_of_two_frameworks_run_together_in_an_environment_of_their_own(made, tmp_path):  # noqa: F811
    members = {kind: made.packaged(kind, f"{kind}-two", convert=False) for kind in ("xgboost", "lightgbm")}
    assert {each.result["runtime"] for each in members.values()} == {"python"}
    source = tmp_path / "composite"
    for name, member in members.items():
        shutil.copytree(member.folder, source / "members" / name)
    signatures = [(name, open_package(member.folder).signature) for name, member in members.items()]
    (source / "graph.json").write_text(json.dumps(draw_up("vote", signatures)))
    own = made.environments.of("xgboost")

    packaged = package(own, source, tmp_path / "work")

    assert packaged.code == 0, packaged.log
    asked = open_package(members["xgboost"].folder).signature.inputs[0]
    rows = {"name": asked.name, "datatype": asked.datatype, "shape": [2, 5], "data": [2.0] * 5 + [-2.0] * 5}
    with running(own, packaged.folder) as runner:
        assert runner.wait_ready()[0] == 200
        status, answer = runner.infer("composite", rows)
    assert (status, answer["outputs"][0]["data"]) == (200, [1, 0])


def test_a_member_that_answers_otherwise_than_alone_is_told_by_its_case(base, packages, tmp_path):
    source = composite(
        packages, tmp_path, draw_up("average", [("a", SIDE), ("b", SIDE)]), {"a": "forest", "b": "forest"}
    )
    file = source / "members" / "b" / "cases.json"
    cases = json.loads(file.read_text())
    shares = next(each for each in cases[0]["expected"] if each["name"] == "probabilities")
    shares["data"] = [share / 2 for share in shares["data"]]
    file.write_text(json.dumps(cases))

    packaged = package(base, source, tmp_path / "work")

    assert packaged.result["failure"]["step"] == "load"
    assert "member 'b': its case" in packaged.result["failure"]["message"]


def test_what_a_member_calls_sensitive_stays_out_of_the_log():
    members = {"a": SIDE, "b": SIDE}
    graph = read_graph(draw_up("average", list(members.items())), members)

    class Even:
        def predict(self, inputs):
            rows = len(inputs["image"])
            return {"class": np.zeros(rows, np.int64), "probabilities": np.full((rows, 2), 0.5, np.float32)}

    sealed = frozenset({"a.probabilities"})
    model = CompositeModel(graph, {"a": Even(), "b": Even()}, {"a": ["image"], "b": ["image"]}, sealed=sealed)
    values = logged.start()

    model.predict({"image": np.zeros((1, 4, 4), np.float32)})

    assert set(values["a"]["outputs"]) == {"class"}
    assert set(values["b"]["outputs"]) == {"class", "probabilities"}
