"""The form of a new project is filled with what is known of the capability that was chosen."""

import pytest
from django.utils.html import escape

from apps.accounts.models import Role
from tests.factories import (
    make_capability,
    make_dataset,
    make_packaged_version,
    make_suite,
    make_team,
    make_user,
)

PAGE, PREVIEW = "/annotation/new/", "/annotation/preview/"
IMAGE = {"name": "image", "kind": "image", "shape": [-1, 2, 2], "example": [[0, 9], [9, 0]]}
CLASS = {"name": "class", "kind": "class", "shape": [-1], "labels": ["cat", "dog"]}


@pytest.fixture
def cats(radio, ada):
    cats = make_capability(radio, ada, "cats")
    version = make_packaged_version(cats, ada)
    type(version).objects.filter(pk=version.pk).update(signature={"inputs": [IMAGE], "outputs": [CLASS]})
    return cats


@pytest.fixture
def form_of(client, ada):
    client.force_login(ada)
    return lambda **typed: client.get(PAGE, typed).context["form"]


def test_signature_and_suite_fill_the_form(cats, ada, form_of):
    suite = make_suite(cats, ada)

    filled = form_of(capability=cats.pk).initial

    assert (filled["kind"], filled["show"], filled["labels"]) == ("single", "image", "cat, dog")
    assert (filled["dataset"], filled["target"]) == (suite.dataset_version.dataset.slug, "y")
    assert filled["question"] == "Which label is right?"


def test_the_data_set_is_searched_for_and_what_is_chosen_stays(cats, ada, radio, client):
    for number in range(30):
        make_dataset(radio, ada, f"grows-{number:02}")
    other = make_team("other")
    foreign = make_dataset(other, make_user("eve", team=other, role=Role.DEVELOPER), "grows-elsewhere")
    client.force_login(ada)

    page = client.get(PAGE, {"capability": cats.pk, "dataset": "grows-07"}).text
    assert page.count('name="dataset"') == 6  # the one that was chosen, and the newest five
    assert 'value="grows-07" checked' in page
    asked = {"field": "dataset", "words": "GROWS-1", "dataset": "grows-07"}
    found = client.get("/datasets/-/to-add-to/", asked).text
    assert found.count('name="dataset"') == 11
    assert "grows-elsewhere" not in client.get("/datasets/-/to-add-to/", asked | {"words": "else"}).text
    answer = client.post(PAGE, {"capability": cats.pk, "dataset": foreign.slug})
    assert answer.context["form"].errors["dataset"] == [
        "There is no data set “grows-elsewhere” that you may add to."
    ]


def test_the_capability_is_searched_for_and_what_is_chosen_stays(cats, ada, radio, client):
    for number in range(30):
        make_capability(radio, ada, f"seen-{number:02}")
    other = make_team("other")
    foreign = make_capability(other, make_user("eve", team=other, role=Role.DEVELOPER), "seen-elsewhere")
    client.force_login(ada)

    page = client.get(PAGE, {"capability": cats.pk}).text
    assert page.count('name="capability"') == 6  # the one that was chosen, and the newest five
    assert f'value="{cats.pk}" checked' in page
    asked = {"field": "capability", "words": "SEEN-1", "capability": cats.pk}
    found = client.get("/annotation/-/capabilities/", asked).text
    assert found.count('name="capability"') == 11
    assert "seen-elsewhere" not in client.get("/annotation/-/capabilities/", asked | {"words": "else"}).text
    for wrong in (foreign.pk, "x", "9" * 20):
        answer = client.post(PAGE, {"capability": wrong})
        assert answer.context["form"].errors["capability"] == [
            "Choose one of the capabilities that are found."
        ]


def test_what_was_typed_stays(cats, form_of):
    filled = form_of(capability=cats.pk, name="Pets", question="Cat or dog?", overlap="3").initial

    assert (filled["name"], filled["question"], filled["overlap"]) == ("Pets", "Cat or dog?", "3")


def test_a_question_that_was_proposed_follows_the_capability(cats, ada, form_of):
    version = cats.versions.get()
    type(version).objects.filter(pk=version.pk).update(
        signature={"inputs": [{"name": "text", "kind": "text"}], "outputs": [{"name": "s", "kind": "spans"}]}
    )

    filled = form_of(capability=cats.pk, question="Which label is right?").initial

    assert (filled["kind"], filled["show"]) == ("spans", "text")
    assert filled["question"] == "What is named in this text?"


@pytest.mark.parametrize("chosen", ["", "x", "-1", "99999999999999999999"])
def test_a_capability_that_is_none_fills_nothing(chosen, form_of, db):
    assert "labels" not in form_of(capability=chosen).initial


def test_nothing_is_told_of_another_team_s_capability(cats, client, form_of):
    other = make_user("eve", team=make_team("other"), role=Role.DEVELOPER)
    client.force_login(other)
    asked = {"capability": cats.pk, "dataset": make_suite(cats, cats.created_by).dataset_version.dataset.slug}

    assert "labels" not in client.get(PAGE, asked).context["form"].initial
    shown = client.post(PREVIEW, asked | {"kind": "single", "show": "image"}).context["shown"]
    assert len(shown["rows"]) > 2  # the digit that everybody gets


def test_the_preview_shows_an_input_of_the_capability(cats, ada, client):
    client.force_login(ada)
    asked = {"capability": cats.pk, "dataset": make_suite(cats, ada).dataset_version.dataset.slug}
    asked |= {"kind": "single", "show": "image", "labels": "cat, dog", "question": "Cat or <dog>?"}

    answer = client.post(PREVIEW, asked)

    assert answer.context["shown"]["rows"] == [[0, 100], [100, 0]]
    assert escape("Cat or <dog>?") in answer.content.decode()
