"""From a version to an endpoint that answers: wait for its packaging, run it for tests, ask it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from atrium import errors, settings
from atrium.client import Client
from atrium.portal import POLL_S, Portal

PATIENCE_S = 900.0
UNPACKAGED = frozenset({"draft", "packaging"})
_STARTS = frozenset({"pending", "starting"})
_RUNS = _STARTS | {"ready"}


class Endpoint(Client):
    """A test deployment that answers, with a key of its own for a day; `infer` as every client's."""

    def __init__(self, deployment: Mapping[str, Any], *, key: str, gateway: str, page: str) -> None:
        super().__init__(str(deployment["capability"]), key=key, url=gateway)
        self.deployment = int(deployment["id"])
        self.version = str(deployment["version_number"])
        self.key = key
        self.url = f"{gateway}{self._path}/infer"
        self.page = page

    def __repr__(self) -> str:
        return f"<Endpoint {self.capability} {self.version}: {self.url}>"


def deploy(
    version: Mapping[str, Any] | int | str,
    *,
    resources: Mapping[str, float] | None = None,
    labels: Sequence[str] | None = None,
    timeout_s: float = PATIENCE_S,
    portal: Portal | None = None,
) -> Endpoint:
    """Run a version for tests, and wait until it answers; one that runs already is used again.

    `version` is what `atrium.register` returned, a version's id, or "<capability>/<number>". Its packaging is waited
    for. Raises Failed with the portal's reason, NotFound, and TimeoutError after `timeout_s` seconds.
    """
    asked, until = portal or Portal(), time.monotonic() + timeout_s
    packaged = _packaged(asked, _id_of(asked, version), until)
    found = asked.get("deployments/", version=packaged["id"], kind="test", page_size=20)["results"]
    running = [one for one in found if one["desired"] == "running" and one["status"] in _RUNS]
    if running and resources is None and labels is None:
        deployment = running[0]
    else:
        document: dict[str, Any] = {"version": packaged["id"], "kind": "test"}
        document |= {"resources": dict(resources)} if resources is not None else {}
        document |= {"labels": list(labels)} if labels is not None else {}
        deployment = asked.post("deployments/", document)
    deployment = _started(asked, deployment, until)
    secret = str(asked.post(f"deployments/{deployment['id']}/key/", {})["key"])
    page = _page(asked, deployment)
    endpoint = Endpoint(deployment, key=secret, gateway=settings.load().gateway, page=page)
    _wait_for_an_answer(endpoint, until)
    return endpoint


def _id_of(portal: Portal, version: Mapping[str, Any] | int | str) -> int:
    if isinstance(version, Mapping):
        return int(version["id"])
    text = str(version)
    if text.isdecimal():
        return int(text)
    capability, slash, number = text.partition("/")
    if not slash:
        raise ValueError(f"{version!r} names no version; write it as <capability>/<number>, or give its id")
    return int(portal.version_of(capability, number)["id"])


def _packaged(portal: Portal, number: int, until: float) -> dict[str, Any]:
    while (version := portal.version(number))["status"] in UNPACKAGED:
        _wait(until, f"version {version['number']} of {version['capability']} is {version['status']}")
    if version["status"] != "packaged":
        why = version.get("failure") or version["status"]
        raise errors.Failed(f"version {version['number']} of {version['capability']} cannot run: {why}")
    return version


def _started(portal: Portal, deployment: Mapping[str, Any], until: float) -> Mapping[str, Any]:
    number = deployment["id"]
    while deployment["status"] in _STARTS:
        _wait(until, f"deployment {number} is {deployment['status']}. {deployment['status_reason']}".rstrip())
        deployment = portal.get(f"deployments/{number}/")
    if deployment["status"] != "ready":
        said = f"deployment {number} is {deployment['status']}. {deployment['status_reason']}".rstrip()
        raise errors.Failed(f"{said} Its log: {_page(portal, deployment)}")
    return deployment


def _page(portal: Portal, deployment: Mapping[str, Any]) -> str:
    return f"{settings.pages_at(portal.url)}/operations/{deployment['id']}/"


def _wait_for_an_answer(endpoint: Endpoint, until: float) -> None:
    """The gateway hears of a new deployment and of its key a moment after the portal has made them."""
    while True:
        try:
            endpoint.metadata()
            return
        except (errors.Unauthorised, errors.NotFound, errors.Unavailable, errors.ConnectionLost) as error:
            _wait(until, f"deployment {endpoint.deployment} runs, but the gateway says: {error}")


def _wait(until: float, meanwhile: str) -> None:
    if time.monotonic() >= until:
        raise TimeoutError(f"not ready in time: {meanwhile}")
    time.sleep(POLL_S)
