"""A composite is a version like every other: composed in a form or by the API, pinned by digest, shown as a picture."""

import json

import pytest

from apps.catalog import pictures
from apps.catalog.models import Capability, Version
from apps.catalog.services import create_composite
from apps.core import lineage, objects
from apps.core.errors import Invalid, NotAllowed
from atrium.graph import draw_up, read_graph
from atrium.signature import parse_signature
from tests.factories import make_capability, make_packaged_version

SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
    "outputs": [
        {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10], "kind": "probabilities"},
    ],
}


@pytest.fixture(autouse=True)
def _strong_sandbox(monkeypatch):
    monkeypatch.setattr("apps.compute.services.jobs.require", lambda verdict: None)
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)


def member(team, by, slug: str, signature: dict | None = None) -> Version:
    version = make_packaged_version(make_capability(team, by, slug), by, "1.0.0")
    Version.objects.filter(pk=version.pk).update(signature=signature or SIGNATURE)
    version.refresh_from_db()
    return version


@pytest.fixture
def both(radio, ada):
    return [member(radio, ada, "forest"), member(radio, ada, "network")]


@pytest.fixture
def team_of_two(radio, ada):
    return make_capability(radio, ada, "committee", name="Committee")


@pytest.mark.django_db
def test_the_form_shows_the_picture_and_makes_the_version(client, ada, both, team_of_two):
    client.force_login(ada)
    asked = {"shape": "average", "number": "1.0.0", "member": [str(version.pk) for version in both]}

    form = client.get("/catalog/committee/compose/").content.decode()
    seen = client.post("/catalog/committee/compose/picture/", asked).content.decode()
    answer = client.post("/catalog/committee/compose/", asked)

    assert "forest 1.0.0" in form
    assert "<svg" in seen
    assert "best class" in seen
    assert answer.url == "/catalog/committee/versions/1.0.0/"
    made = Version.objects.get(capability=team_of_two)
    assert made.status == Version.Status.PACKAGING
    assert made.parameters["composite"]["members"]["forest"]["digest"] == both[0].digest
    assert made.source_manifest["members/forest/package.json"] == both[0].manifest["package.json"]
    assert lineage.urn(both[1]) in {edge.source for edge in lineage.upstream(made)}
    page = client.get(answer.url).content.decode()
    assert "<svg" in page
    assert both[0].digest[:12] in page


@pytest.mark.django_db
def test_what_cannot_be_wired_is_told_in_place_of_the_picture(client, radio, ada, both, team_of_two):
    text = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}], "outputs": SIGNATURE["outputs"]}
    other = member(radio, ada, "tickets", text)
    client.force_login(ada)
    asked = {"shape": "sequence", "member": [str(both[0].pk), str(other.pk)]}

    seen = client.post("/catalog/committee/compose/picture/", asked).content.decode()

    assert "It cannot be wired" in seen
    assert "takes text BYTES [-1]" in seen


@pytest.mark.django_db
def test_the_api_takes_a_shape_or_a_whole_graph(client, ada, both, team_of_two):
    client.force_login(ada)
    members = [
        {"version": version.pk, "value": value} for version, value in zip(both, ("north", ""), strict=True)
    ]
    graph = {
        "format": "atrium-graph/1",
        "nodes": [
            {"name": "one", "kind": "member", "member": "forest"},
            {"name": "two", "kind": "member", "member": "network"},
            {"name": "said", "kind": "vote", "of": ["one.class", "two.class"]},
        ],
        "outputs": {"class": "said.value", "certainty": "one.probabilities"},
    }

    def ask(number, **more):
        body = {"capability": "committee", "number": number, "members": members, **more}
        return client.post("/api/v1/versions/composite/", json.dumps(body), content_type="application/json")

    switched = ask("1.0.0", shape="switch", on="region")
    written = ask("1.1.0", graph=graph)
    wrong = ask("1.2.0", graph={**graph, "outputs": {"class": "nobody.value"}})

    assert (switched.status_code, written.status_code, wrong.status_code) == (201, 201, 422)
    assert "nobody.value" in wrong.content.decode()
    made = Version.objects.get(number="1.1.0")
    with objects.open_object(made.source_manifest["graph.json"]["sha256"]) as stream:
        assert json.load(stream) == graph


@pytest.mark.django_db
def test_a_member_must_be_packaged_visible_and_of_the_base_environment(ada, cy, both, team_of_two):
    document = draw_up("vote", [(version.capability.slug, parse_signature(SIGNATURE)) for version in both])
    members = {version.capability.slug: version for version in both}

    with pytest.raises(NotAllowed):
        create_composite(team_of_two, "1.0.0", members=members, document=document, by=cy)
    both[0].environment, both[0].runtime = "own-0123456789ab", "python"
    with pytest.raises(Invalid, match="environment of its own"):
        create_composite(team_of_two, "1.0.0", members=members, document=document, by=ada)
    both[0].status = Version.Status.RETIRED
    with pytest.raises(Invalid, match="not packaged"):
        create_composite(team_of_two, "1.0.0", members=members, document=document, by=ada)
    assert not Version.objects.filter(capability=Capability.objects.get(slug="committee")).exists()


def test_the_picture_has_a_box_for_each_step_and_no_two_at_one_place():
    signature = parse_signature(SIGNATURE)
    members = {"a": signature, "b": signature, "c": signature}
    graph = read_graph(draw_up("average", list(members.items())), members)

    picture = pictures.draw(graph, {name: f"{name} 1.0.0" for name in members})

    assert len(picture.boxes) == 7  # request, three members, mean, best class, answer
    assert len({(box.x, box.y) for box in picture.boxes}) == 7
    assert all(box.x + pictures.BOX_WIDTH <= picture.width for box in picture.boxes)
    assert "request → a (image)" in picture.words
