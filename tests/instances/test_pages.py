"""Operations, as operators and developers use it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.compute import adapters
from apps.compute.engines.base import Workload
from apps.compute.engines.fake import FakeEngine
from apps.gateway.models import Grant, Overload
from apps.instances.models import Deployment, Replica
from apps.instances.selectors import weights_of
from tests.factories import make_capability, make_packaged_version, make_ready_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    adapters.use(FakeEngine())
    yield
    adapters.use(None)


@pytest.fixture
def version(radio, ada):
    return make_packaged_version(make_capability(radio, ada, "digits", name="Digits"), ada, "1.0.0")


def test_a_developer_deploys_for_test_in_one_click(client, ada, version):
    client.force_login(ada)

    answer = client.post(f"/operations/deploy/{version.pk}/", {"kind": "test", "replicas": 1})

    deployment = Deployment.objects.get()
    assert answer.url == f"/operations/{deployment.pk}/"
    assert deployment.resources == {"cpu": 0.25, "memory_mb": 768}


def test_a_developer_is_told_why_not_production(client, ada, version):
    client.force_login(ada)

    answer = client.post(f"/operations/deploy/{version.pk}/", {"kind": "production", "replicas": 1})

    assert "needs the role Operator" in answer.content.decode()
    assert not Deployment.objects.exists()


def test_an_impossible_number_of_replicas_is_told_at_its_field(client, ada, version):
    client.force_login(ada)
    page = client.post(f"/operations/deploy/{version.pk}/", {"kind": "test", "replicas": 1}).url

    answer = client.post(f"{page}scale/", {"replicas": 999})

    assert answer.status_code == 422
    assert 'value="999"' in answer.text
    assert "invalid-feedback" in answer.text
    assert Deployment.objects.get().replicas == 1


def test_it_says_to_each_reader_which_label_no_node_has(compiled_messages, client, ada, version):
    client.force_login(ada)
    asked = {"kind": "test", "replicas": 1, "labels": "zone=gpu， ssd"}
    page = client.post(f"/operations/deploy/{version.pk}/", asked).url
    deployment = Deployment.objects.get()
    Replica.objects.create(deployment=deployment, generation=1, workload_id="r1")

    assert "Waits: no node has the label “zone=gpu”, “ssd”" in client.get(page).content.decode()
    User.objects.filter(pk=ada.pk).update(language="zh-hans")
    client.force_login(ada)
    assert "没有节点具有标签 “zone=gpu”" in client.get(page).content.decode()

    client.post(f"{page}place/", {"labels": "ssd"})
    assert client.get(f"/api/v1/deployments/{deployment.pk}/").json()["labels"] == ["ssd"]
    assert client.post(f"{page}place/", {"labels": "x" * 64}).status_code == 422
    body = {"version": version.pk, "kind": "test"}
    assert client.post("/api/v1/deployments/", body, "application/json").json()["labels"] == ["ssd"]


def test_an_operator_divides_the_traffic(client, ole, version, signed):
    deployment = make_ready_deployment(version, ole)
    client.force_login(ole)
    shares = {f"d{deployment.pk}": 100}
    refused = client.post("/operations/traffic/digits/", shares)
    assert "nobody has signed" in refused.content.decode()

    signed.add(version.digest)
    client.post("/operations/traffic/digits/", shares)

    assert weights_of(version.capability) == {deployment.pk: 100}
    assert "100" in client.get("/operations/").content.decode()


def test_the_page_shows_the_reason_and_the_end_of_the_log(client, ole, version):
    deployment = make_ready_deployment(version, ole)
    Deployment.objects.update(status="failed", status_reason="exit code 1\nValueError: bad weights")
    client.force_login(ole)

    text = client.get(f"/operations/{deployment.pk}/").content.decode()

    assert "ValueError: bad weights" in text
    assert "every 1s" in text


def test_stopping_asks_once_and_is_refused_under_traffic(client, ole, version, signed):
    deployment = make_ready_deployment(version, ole)
    client.force_login(ole)
    signed.add(version.digest)
    client.post("/operations/traffic/digits/", {f"d{deployment.pk}": 100})

    assert "Stop this deployment?" in client.get(f"/operations/{deployment.pk}/").content.decode()
    refused = client.post(f"/operations/{deployment.pk}/stop/")

    assert refused.status_code == 409
    assert "Move them to another one first" in refused.content.decode()


def test_the_list_costs_a_constant_number_of_queries(client, ole, version, django_assert_max_num_queries):
    for _ in range(6):
        make_ready_deployment(version, ole)
    client.force_login(ole)

    with django_assert_max_num_queries(12):
        client.get("/operations/")


def test_a_test_deployment_gives_its_team_a_key_and_outsiders_none(client, ada, cy, version):
    deployment = make_ready_deployment(version, ada, kind="test")
    client.force_login(ada)

    text = client.post(f"/operations/{deployment.pk}/key/").content.decode()

    assert "curl" in text
    grant = Grant.objects.get()
    assert (grant.kind, grant.scope, grant.user) == ("test", f"deployment:{deployment.pk}", ada)
    assert grant.prefix in text
    client.force_login(cy)
    assert client.post(f"/operations/{deployment.pk}/key/").status_code == 404
    assert Grant.objects.count() == 1


@pytest.fixture
def two_replicas(ole, version):
    """A deployment with two replicas, each of which has printed something."""
    deployment = make_ready_deployment(version, ole)
    engine = adapters.engine()
    Replica.objects.create(deployment=deployment, generation=1, workload_id="runner-newer")
    replicas = list(deployment.replica_set.order_by("pk"))
    for replica in replicas:
        engine.start(Workload(id=replica.workload_id, argv=["echo", f"words of {replica.pk}"]))
    return deployment, replicas


def test_the_log_of_each_replica_can_be_chosen_and_stays_chosen(client, ole, two_replicas):
    deployment, (older, newer) = two_replicas
    client.force_login(ole)
    page = f"/operations/{deployment.pk}/"

    first = client.get(page).content.decode()
    chosen = client.get(f"{page}?replica={older.pk}").content.decode()
    piece = client.get(f"{page}state/?replica={older.pk}").content.decode()
    ended = client.get(f"{page}state/?replica=0").content.decode()

    assert f"words of {newer.pk}" in first
    assert f"words of {older.pk}" not in first
    for text in (chosen, piece):
        assert f"words of {older.pk}" in text
        assert f"words of {newer.pk}" not in text
        assert f'hx-get="{page}state/?replica={older.pk}" hx-trigger' in text
    assert f"words of {newer.pk}" in ended
    assert f'hx-get="{page}state/" hx-trigger' in ended


def test_the_page_says_that_calls_are_turned_away_and_whether_that_goes_on(
    client, ole, version, django_assert_max_num_queries
):
    deployment = make_ready_deployment(version, ole)
    client.force_login(ole)
    page, now = f"/operations/{deployment.pk}/state/", timezone.now()
    assert "turned" not in client.get(page).content.decode()

    for ago, refused in ((timedelta(hours=2), 7), (timedelta(seconds=5), 1200)):
        facts = {"deployment": deployment, "capability": version.capability, "refused": refused}
        Overload.objects.create(**facts, started_at=now - ago - timedelta(minutes=1), last_at=now - ago)
    lasting = client.get(page).content.decode()
    Overload.objects.filter(refused=1200).delete()
    over = client.get(page).content.decode()
    Overload.objects.update(last_at=now - timedelta(days=2))

    assert "turned 1200 calls away" in lasting
    assert "note-bad" in lasting
    assert "outcome=failed" in lasting
    assert "turned 7 calls away" in over
    assert "note-bad" not in over
    with django_assert_max_num_queries(9):
        assert "turned" not in client.get(page).content.decode()
