"""Ada plans and Ole steers: 1.0.0 has the production traffic, and 1.1.0 is signed too."""

import pytest

from apps.core.policy import allow, deny
from apps.experiments.plans import ArmPlan, Asked, create_experiment
from apps.experiments.services import start_experiment
from apps.instances import guard
from apps.instances.services import set_weights
from tests.factories import make_capability, make_packaged_version, make_ready_deployment


@pytest.fixture
def digits(radio, ada):
    return make_capability(radio, ada, "digits")


@pytest.fixture
def production(digits, ada, ole, signed):
    """The deployment of 1.0.0, with all of the production traffic."""
    version = make_packaged_version(digits, ada, "1.0.0")
    signed.add(version.digest)
    deployment = make_ready_deployment(version, ole)
    set_weights(digits, {deployment.pk: 100}, by=ole)
    return deployment


@pytest.fixture
def challenger(digits, ada, ole, signed):
    """The deployment of 1.1.0, which is signed and has no traffic."""
    version = make_packaged_version(digits, ada, "1.1.0")
    signed.add(version.digest)
    return make_ready_deployment(version, ole)


@pytest.fixture
def running(digits, ada, ole, production, challenger):
    """Half of the callers compare both versions."""
    return start_experiment(create_experiment(digits, asked(), by=ada), by=ole)


@pytest.fixture
def released(signed, production, challenger, monkeypatch):
    """Digests of versions that have gone the whole way; both have, until one is taken out."""
    gone = {production.version.digest, challenger.version.digest}

    def went(version):
        return allow() if version.digest in gone else deny(f"{version.number} has never been released")

    monkeypatch.setattr(guard, "_orders", {"way": guard.Order(free=lambda _capability: allow(), gone=went)})
    return gone


def asked(**changes):
    """A plan in the layer of models: 1.1.0 beside the control, with half of the callers."""
    arms = [ArmPlan("as now", 50), ArmPlan("new", 50, version="1.1.0")]
    told = {"name": "Newer is better", "hypothesis": "1.1.0 fails less.", "measure": "errors", "effect": 0.02}
    return Asked(**{**told, "size": 50, "arms": arms, **changes})


def threshold(**changes):
    """A plan in a layer of its own: a lower threshold beside the control."""
    arms = [ArmPlan("as now", 50), ArmPlan("low", 50, parameters={"threshold": 0.4})]
    return asked(**{"name": "Lower threshold", "layer": "threshold", "size": 100, "arms": arms, **changes})
