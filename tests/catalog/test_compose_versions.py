"""A composite is a version like every other: composed in a form or by the API, pinned by digest, shown as a picture."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import pictures
from apps.catalog.models import Capability, Version
from apps.catalog.services import create_composite, package_version
from apps.catalog.services.locking import requirements_of
from apps.core import lineage, manifests, objects
from apps.core.errors import Invalid, NotAllowed
from atrium.graph import draw_up, read_graph
from atrium.signature import parse_signature
from tests.factories import make_capability, make_packaged_version, put_files

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
def test_a_member_must_be_packaged_and_visible(ada, cy, both, team_of_two):
    document = draw_up("vote", [(version.capability.slug, parse_signature(SIGNATURE)) for version in both])
    members = {version.capability.slug: version for version in both}

    with pytest.raises(NotAllowed):
        create_composite(team_of_two, "1.0.0", members=members, document=document, by=cy)
    both[0].status = Version.Status.RETIRED
    with pytest.raises(Invalid, match="not packaged"):
        create_composite(team_of_two, "1.0.0", members=members, document=document, by=ada)
    assert not Version.objects.filter(capability=Capability.objects.get(slug="committee")).exists()


def packaged_as(version: Version, facts: dict, lock: str, wanted: str) -> None:
    """Give a member the package that was made of it in an environment."""
    files = {
        "package.json": json.dumps(facts).encode(),
        "environment.lock": lock.encode(),
        "model/requirements.txt": wanted.encode(),
    }
    manifest = manifests.build(put_files(files))
    version.manifest, version.digest = manifest, manifests.digest(manifest)
    version.save()


@pytest.mark.django_db
def test_members_share_one_environment_with_the_packages_that_each_passed_its_cases_with(
    ada, both, team_of_two
):
    forest, network = both
    base = {"framework": "sklearn", "runtime": "python", "environment": "base"}
    own = {"framework": "lightgbm", "runtime": "python", "environment": "own-0123456789ab"}
    packaged_as(forest, base, "scikit-learn==1.7.1\nnumpy==2.2.6\nnotebook==7.0\n", "numpy>=2\n")
    packaged_as(network, own, "lightgbm==4.6.0 \\\n    --hash=sha256:00\nhumanize==4.9.0 \\\n", "humanize\n")
    document = draw_up("vote", [(version.capability.slug, parse_signature(SIGNATURE)) for version in both])

    made = create_composite(
        team_of_two, "1.0.0", members={"forest": forest, "network": network}, document=document, by=ada
    )

    assert [str(needed) for needed in requirements_of(made.source_manifest)] == [
        *("numpy==2.2.6", "scikit-learn==1.7.1", "humanize==4.9.0", "lightgbm==4.6.0"),
    ]
    assert package_version(made, by=ada).kind == "environment"
    packaged_as(network, {**own, "environment": "base"}, "lightgbm==4.6.0\n", "humanize\n")
    plain = create_composite(
        team_of_two, "1.1.0", members={"forest": forest, "network": network}, document=document, by=ada
    )
    assert requirements_of(plain.source_manifest) == []
    job = package_version(plain, by=ada)
    assert (job.kind, job.environment) == ("packaging", "base")


@pytest.mark.django_db
def test_an_onnx_member_asks_for_nothing_and_a_composite_member_for_what_its_own_members_do(
    ada, both, team_of_two
):
    forest, network = both
    packaged_as(forest, {"framework": "sklearn", "runtime": "onnx", "environment": "own-1"}, "a==1\n", "a\n")
    inner = {f"model/members/one/{path}": entry["sha256"] for path, entry in forest.manifest.items()}
    packaged_as(
        network, {"framework": "python", "runtime": "python", "environment": "own-1"}, "b==2\n", "b\n"
    )
    inner |= {f"model/members/two/{path}": entry["sha256"] for path, entry in network.manifest.items()}
    outer = {"framework": "composite", "runtime": "python", "environment": "own-2"}
    inner |= put_files({"model/graph.json": b"{}", "package.json": json.dumps(outer).encode()})
    files = {f"members/whole/{path}": sha256 for path, sha256 in inner.items()}

    found = requirements_of(manifests.build(files | put_files({"graph.json": b"{}"})))

    assert [str(needed) for needed in found] == ["b==2"]


@pytest.mark.django_db
def test_the_page_lists_every_member_with_the_same_number_of_queries(client, radio, ada, both):
    more = [*both, *(member(radio, ada, f"extra-{at}") for at in range(6))]
    client.force_login(ada)
    pages, counts = [], []
    for at, chosen in enumerate((both, more)):
        capability = make_capability(radio, ada, f"panel-{at}")
        document = draw_up("vote", [(each.capability.slug, parse_signature(SIGNATURE)) for each in chosen])
        members = {each.capability.slug: each for each in chosen}
        create_composite(capability, "1.0.0", members=members, document=document, by=ada)
        with CaptureQueriesContext(connection) as queries:
            pages.append(client.get(f"/catalog/panel-{at}/versions/1.0.0/").content.decode())
        counts.append(len(queries))

    assert all(f"/catalog/{each.capability.slug}/versions/1.0.0/" in pages[1] for each in more)
    assert counts[1] <= counts[0], counts  # the first page fills caches


def test_the_picture_has_a_box_for_each_step_and_no_two_at_one_place():
    signature = parse_signature(SIGNATURE)
    members = {"a": signature, "b": signature, "c": signature}
    graph = read_graph(draw_up("average", list(members.items())), members)

    picture = pictures.draw(graph, {name: f"{name} 1.0.0" for name in members})

    assert len(picture.boxes) == 7  # request, three members, mean, best class, answer
    assert len({(box.x, box.y) for box in picture.boxes}) == 7
    assert all(box.x + pictures.BOX_WIDTH <= picture.width for box in picture.boxes)
    assert "request → a (image)" in picture.words
