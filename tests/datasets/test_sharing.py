"""Single people of other teams are let into a data set by name."""

import pytest

from apps.accounts.models import Role
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from apps.datasets.models import Dataset
from apps.datasets.policy import may_edit, may_view
from apps.datasets.selectors import datasets_visible_to, readers_of, version_by_name
from apps.datasets.services import create_version, share_dataset, sharing, stop_sharing
from apps.requests.models import Notification
from tests.factories import make_dataset, make_user, put_files

pytestmark = pytest.mark.django_db
AS_JSON = {"content_type": "application/json"}


@pytest.fixture
def faults(radio, ada):
    dataset = make_dataset(radio, ada, "faults", name="Faults")
    create_version(dataset, put_files({"a.csv": b"a,b\n1,2\n"}), by=ada)
    return dataset


@pytest.fixture
def eve():
    return make_user("eve")


def test_whom_it_is_shared_with_reads_that_one_and_changes_nothing(client, faults, radio, ada, eve):
    other = make_dataset(radio, ada, "secrets")
    share_dataset(faults, eve, by=ada)

    assert may_view(eve, faults)
    assert not may_view(eve, other)
    assert not may_edit(eve, faults)
    assert list(datasets_visible_to(eve)) == [faults]
    assert version_by_name("faults/1", user=eve).number == 1
    client.force_login(eve)
    page = client.get("/datasets/faults/")
    assert page.status_code == 200
    assert "Who else reads it" not in page.text
    assert "Faults" in client.get("/datasets/").text
    assert client.get("/datasets/faults/versions/1/files/a.csv").status_code == 200
    assert client.post("/datasets/faults/readers/", {"username": "eve"}).status_code == 403
    assert Notification.objects.get(user=eve).url == "/datasets/faults/"


def test_it_is_taken_away_at_once_and_both_stand_in_the_audit_log(faults, ada, eve):
    share_dataset(faults, eve, by=ada)

    stop_sharing(faults, "eve", by=ada)

    assert not may_view(eve, faults)
    assert not datasets_visible_to(eve).exists()
    said = AuditEntry.objects.filter(action__startswith="datasets.reader").order_by("pk")
    assert [(row.action, row.facts["user"]) for row in said] == [
        ("datasets.reader.added", "eve"),
        ("datasets.reader.removed", "eve"),
    ]


def test_who_reads_it_by_role_is_not_noted_again(faults, ada, bo):
    share_dataset(faults, bo, by=ada)

    assert list(readers_of(faults)) == []
    assert not AuditEntry.objects.filter(action="datasets.reader.added").exists()


def test_a_reader_does_not_pass_it_on(faults, ada, eve):
    share_dataset(faults, eve, by=ada)

    with pytest.raises(NotAllowed):
        share_dataset(faults, make_user("mallory"), by=eve)


def test_beyond_some_people_it_belongs_to_the_organisation(faults, ada, eve, monkeypatch):
    monkeypatch.setattr(sharing, "MOST_READERS", 1)
    share_dataset(faults, eve, by=ada)

    with pytest.raises(Conflict, match="Make it visible to the organisation"):
        share_dataset(faults, make_user("fay"), by=ada)


def test_the_list_costs_the_same_however_many_are_shared(
    client, radio, ada, eve, django_assert_max_num_queries
):
    for number in range(25):
        share_dataset(make_dataset(radio, ada, f"set-{number:02}"), eve, by=ada)
    client.force_login(eve)
    client.get("/datasets/")

    with django_assert_max_num_queries(14):
        page = client.get("/datasets/")

    assert page.text.count("/datasets/set-") >= 25


def test_the_page_takes_a_name_and_says_what_is_wrong_with_it(client, faults, ada, eve):
    client.force_login(ada)

    wrong = client.post("/datasets/faults/readers/", {"username": "evee"})
    assert wrong.status_code == 422
    assert "There is no person “evee”" in wrong.text
    assert client.post("/datasets/faults/readers/", {"username": "EVE"}).status_code == 302
    assert 'action="/datasets/faults/readers/eve/drop/"' in client.get("/datasets/faults/").text
    client.post("/datasets/faults/readers/eve/drop/")
    assert not may_view(eve, faults)


def test_rest_does_what_the_page_does(client, faults, ada, eve):
    eve.is_active = False
    eve.save()
    client.force_login(ada)

    gone = client.post("/api/v1/datasets/faults/readers/", {"username": "eve"}, **AS_JSON)
    assert (gone.status_code, "has left" in gone.text) == (422, True)
    fay = make_user("fay", role=Role.ANNOTATOR)
    made = client.post("/api/v1/datasets/faults/readers/", {"username": "fay"}, **AS_JSON)
    assert made.status_code == 201
    listed = client.get("/api/v1/datasets/faults/readers/").json()["results"]
    assert [row["username"] for row in listed] == ["fay"]
    assert client.delete("/api/v1/datasets/faults/readers/fay/").status_code == 204
    assert not may_view(fay, Dataset.objects.get(slug="faults"))


def test_who_has_left_is_taken_off_the_list_for_good(faults, ada, eve):
    share_dataset(faults, eve, by=ada)
    eve.is_active = False
    eve.save()

    stop_sharing(faults, "eve", by=ada)

    eve.is_active = True
    eve.save()
    assert not may_view(eve, faults)
