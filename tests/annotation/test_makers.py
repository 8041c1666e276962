"""A data set version made of labels says who made it and which rules chose the calls; by pseudonyms on wish."""

from __future__ import annotations

import pytest

from apps.accounts.models import Role
from apps.annotation import pulling
from apps.annotation.labelled import export_labels
from apps.annotation.models import Annotation, Project, Task
from apps.annotation.services import add_rule, change_project, review
from apps.core import lineage
from apps.core.models import LineageEdge
from apps.core.urns import urn
from tests.annotation.test_label import say
from tests.annotation.test_pull import logged  # noqa: F401 - a fixture
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def labelled(project, logged, ada, ann, abe, bo):  # noqa: F811
    """Makes a version of one more call that a random control drew, that Ann and Abe labelled and Bo decided."""
    rule = add_rule(project, by=ada, kind="random")
    add_rule(project, by=ada, kind="complained")

    def make(number=1.0):
        logged([number, 2.0])
        pulling.pull(rule)
        for person in (ann, abe):
            say(project, person, "3")
        review(Task.objects.order_by("-pk")[0], by=bo, label="3")
        return export_labels(Project.objects.get(), by=bo)

    return make


def makers(version):
    """[(what, kind)] of what went into it besides calls and the version before."""
    edges = lineage.upstream(version, depth=1)
    found = [(edge.source.removeprefix("atrium:"), edge.kind) for edge in edges]
    return [(what, kind) for what, kind in found if not what.startswith(("gateway.call:", "datasets."))]


def test_project_rules_and_people_stand_in_its_lineage(labelled, project, ann, abe, bo):
    rule = project.rules.get(kind="random")

    found = makers(labelled())

    assert sorted(found) == sorted(
        [
            (f"annotation.project:{project.pk}", "labels"),
            (f"annotation.pullrule:{rule.pk}", "chose"),
            (f"accounts.user:{ann.pk}", "labelled"),
            (f"accounts.user:{abe.pk}", "labelled"),
            (f"accounts.user:{bo.pk}", "decided"),
        ]
    )


def test_of_two_rules_of_one_kind_the_one_that_gave_the_calls_stands_there(labelled, project, ada):
    other = add_rule(project, by=ada, kind="complained", share=0.5)
    rule = project.rules.get(kind="random")
    version = labelled(1.0)
    assert f"annotation.pullrule:{other.pk}" not in dict(makers(version))

    Task.objects.update(rule=project.rules.filter(kind="complained").first(), rule_kind="complained")
    Task.objects.update(dataset_version=None)
    known = export_labels(Project.objects.get(), by=ada)
    Task.objects.update(rule=None, dataset_version=None)  # of before tasks knew their rule
    unknown = export_labels(Project.objects.get(), by=ada)

    def chose(version):
        return [what for what, kind in makers(version) if kind == "chose"]

    assert chose(version) == [f"annotation.pullrule:{rule.pk}"]
    assert chose(known) == [f"annotation.pullrule:{project.rules.filter(kind='complained').first().pk}"]
    assert len(chose(unknown)) == 2


def test_the_page_names_them_before_the_calls(labelled, project, ada, client):
    version = labelled()
    client.force_login(ada)

    page = client.get(f"/datasets/{project.dataset.slug}/versions/{version.number}/")
    text = page.content.decode()

    assert page.status_code == 200
    places = [
        text.index(words)
        for words in (">Complaints</a>", ">Random control</a>", "</span> ann ", "atrium:gateway.call")
    ]
    assert places == sorted(places)
    assert "decided labels of" in text


def test_a_pseudonym_is_the_same_in_all_versions_and_names_nobody(
    labelled, project, ada, ann, abe, bo, client
):
    change_project(project, by=ada, pseudonymous=True)

    first, second = labelled(1.0), labelled(2.0)

    people = [
        [what for what, kind in makers(version) if kind in ("labelled", "decided")]
        for version in (first, second)
    ]
    assert people[0] == people[1]
    assert len(set(people[0])) == 3
    assert all(what.startswith("annotation.pseudonym:") for what in people[0])
    client.force_login(ada)
    told = client.get(f"/api/v1/annotation-projects/{project.pk}/").json()
    assert told["pseudonymous"] is True


def test_who_steers_the_project_says_so_in_its_settings(project, ada, ann, client):
    client.force_login(ada)
    fields = {"name": "Complaints", "question": "Which digit?", "pseudonymous": "on"}

    saved = client.post(f"/annotation/{project.pk}/settings/", fields)

    assert saved.status_code == 302
    assert Project.objects.get().pseudonymous
    assert (
        client.patch(
            f"/api/v1/annotation-projects/{project.pk}/", {"pseudonymous": False}, "application/json"
        ).status_code
        == 200
    )
    assert not Project.objects.get().pseudonymous
    client.force_login(ann)
    assert client.post(f"/annotation/{project.pk}/settings/", fields).status_code == 403


def test_the_order_tells_nobody_behind_a_pseudonym(project, radio, ada, tasks):
    people = [make_user(f"person{number}", team=radio, role=Role.ANNOTATOR) for number in range(6)]
    Project.objects.update(pseudonymous=True)
    Annotation.objects.bulk_create(
        Annotation(task=tasks[0], user=person, label="3", value="3", seconds=1.0) for person in people
    )
    Task.objects.filter(pk=tasks[0].pk).update(status="accepted", label="3", value="3", reviewed_by=ada)

    version = export_labels(Project.objects.get(), by=ada)

    written = LineageEdge.objects.filter(target=urn(version), kind="labelled").order_by("pk")
    names = [edge.source for edge in written if "pseudonym" in edge.source]
    assert len(names) == 6
    assert names == sorted(names)
