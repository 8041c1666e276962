"""Ada's radio team offers `digits`; Cy's transport team uses it."""

import pytest

from apps.catalog.models import Capability
from apps.store import search
from apps.store.models import Plan, Subscription
from apps.store.services import subscribe
from tests.factories import make_plan, make_published_capability


@pytest.fixture
def digits(radio, ada) -> Capability:
    return make_published_capability(radio, ada, "digits", name="Digits", domain="vision", tags=["image"])


@pytest.fixture
def free(digits, ada) -> Plan:
    return make_plan(digits, ada, "free")


@pytest.fixture
def standard(digits, ada, ole) -> Plan:
    return make_plan(digits, ada, "standard", approval="one", limits={"per_month": 1_000_000})


@pytest.fixture
def subscription(free, transport, cy) -> Subscription:
    return subscribe(free, transport, by=cy)


@pytest.fixture(autouse=True)
def _no_remembered_counts() -> None:
    """Facets are remembered for some seconds in the process; each test counts its own rows."""
    search.forget()
