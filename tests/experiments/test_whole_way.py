"""From a started experiment over a real gateway and its log to what the page says."""

import hashlib

from apps.experiments.services import end_experiment, look
from apps.gateway.dataplane.snapshot import dump
from apps.gateway.ingest import ingest_once
from apps.gateway.models import Call
from apps.gateway.services import create_grant
from apps.gateway.snapshot import picture
from apps.instances.models import Replica
from tests.gateway.conftest import folder, gateway, runner  # noqa: F401  fixtures

USERS = 60


def test_callers_are_dealt_by_what_the_portal_says_and_counted_by_what_was_logged(
    running, production, challenger, radio, ada, ole, gateway, runner  # noqa: F811
):  # fmt: skip
    for deployment in (production, challenger):
        Replica.objects.filter(deployment=deployment).update(socket=runner(deployment.version.number))
    _grant, secret = create_grant(kind="subscription", capability=running.capability, team=radio, by=ada)
    serving = gateway({"revision": 1, **picture()})

    def ask():
        answers = [serving.infer(key=secret, Atrium_Caller=f"user-{user}") for user in range(USERS)]
        assert {answer.status for answer in answers} == {200}
        return [answer.getheader("Atrium-Version") for answer in answers]

    first = ask()
    assert ask() == first
    assert {"1.0.0", "1.1.0"} == set(first)
    serving.stop()
    ingest_once(serving.calllog)
    look(running)
    control, new = running.evidence["arms"]
    assert new["units"] == first.count("1.1.0")
    assert (control["calls"], new["calls"]) == (2 * control["units"], 2 * new["units"])
    assert 0 < control["units"] + new["units"] < USERS  # half of them stand outside of the slice
    assert set(Call.objects.filter(version="1.1.0").values_list("stage_weight", flat=True)) == {0.0}

    end_experiment(running, by=ole)
    told = dump(2, picture())
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in told
    assert b"experiments" not in told
