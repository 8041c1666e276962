"""MLflow for its clients (a bearer token) and for its pages (an origin of their own, entered with a ticket).

MLflow knows teams as workspaces and no people. Here is decided whose team a request works for; what could lead
out of a team (other workspaces, files of the server, servers that it would call) does not get through.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import aiohttp
from channels.db import database_sync_to_async
from django.conf import settings

from apps.accounts.models import User
from apps.core.errors import Invalid, NotAllowed
from apps.workbench import registering, tracking
from apps.workbench.live import proxy
from apps.workbench.live.origins import COOKIE, ENTER, Doorkeeper, address_of, cookies_of, enter, must_enter
from apps.workbench.live.proxy import Headers, Message, Receive, Scope, Send
from apps.workbench.live.upstream import Upstreams

log = logging.getLogger(__name__)

WORKSPACE = "x-mlflow-workspace"
_DROPPED = frozenset(
    ("authorization", "cookie", "forwarded", "host", "origin", "referer", "x-real-ip", WORKSPACE)
)
_RESOURCES = (
    "artifacts|assessments|datasets|experiments|get-online-trace-details|get-trace-artifact|issues|label-schemas"
    "|logged-models|metrics|model-versions|registered-models|review-queues|runs|scorers|server-info|traces"
    "|unified-traces|upload-artifact"
)
_OPEN = re.compile(
    rf"/mlflow(/?|/(static-files/.+|graphql|health|version|get-artifact|model-versions/get-artifact"
    rf"|(ajax-)?api/\d\.\d/(mlflow-artifacts/(artifacts|mpu|presigned).*|mlflow/({_RESOURCES})(/.*)?)))"
)
_CREATES_EXPERIMENT = re.compile(r"/mlflow/(ajax-)?api/\d\.\d/mlflow/experiments/create/*")
_CREATES_RUN = re.compile(r"/mlflow/(ajax-)?api/\d\.\d/mlflow/runs/create/*")
_REGISTERS = re.compile(r"/mlflow/(ajax-)?api/\d\.\d/mlflow/(registered-models|model-versions)/create/*")
_WORKSPACES = re.compile(r"/mlflow/(?:ajax-)?api/\d\.\d/mlflow/workspaces/*(.*)")
_NAMES_AN_ID = re.compile(
    r"/mlflow/(get-artifact|(ajax-)?api/\d\.\d/mlflow/((artifacts|issues|logged-models|metrics|runs|traces)(/.*)?"
    r"|get-artifact|upload-artifact|get-trace-artifact|datasets/[^/]+(/.*)?"
    r"|experiments/(delete|restore|update|get|set-experiment-tag|delete-experiment-tag)"
    r"|(label-schemas|review-queues)/(delete|get|list|update|items/.*)|scorers/(online-config|register)))/*"
)
"""What asks for something by an id of MLflow's own; names belong to the team that asks."""
_ARTIFACT = re.compile(
    r"/mlflow/(ajax-)?api/\d\.\d/mlflow-artifacts/(artifacts|mpu/\w+|presigned)/+workspaces/+([^/]*)(/.*)?"
)
_CLOSED = re.compile(r"/mlflow/(ajax-)?api/\d\.\d/mlflow/(issues/invoke|runs/create-promptlab-run)/*")
_OWNED_BY_PATH = re.compile(
    r"/mlflow/(?:ajax-)?api/\d\.\d/mlflow/(datasets|issues)/+([A-Za-z0-9_-]+)(?:/.*)?"
)
_OWNED_BY_KEY = re.compile(
    r"/mlflow/(?:ajax-)?api/\d\.\d/mlflow/(label-schemas|review-queues)/+(?:delete|update|items/.*)"
)
_KEYS = {"label-schemas": "schema_id", "review-queues": "queue_id"}
"""MLflow answers some requests about these without a look at whose they are, so that is asked first."""
_NO_IDS = frozenset({"search", "create", "invoke"})
_NOT_YOURS = "There is nothing with this id that your team may see."
_LARGEST_SMALL_BODY = 1 << 20
_MOST_SAID = 300
_PROMPT = "mlflow.prompt.is_prompt"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Experiments:
    """ASGI for everything below /mlflow."""

    def __init__(self, upstreams: Upstreams, doorkeeper: Doorkeeper) -> None:
        self._upstreams, self._doorkeeper = upstreams, doorkeeper
        self._made: set[str] = set()

    async def by_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of MLflow's client with `Authorization: Bearer`."""
        scheme, _space, secret = proxy.header(scope, b"authorization").partition(" ")
        if scheme.lower() != "bearer":
            await _error(send, 401, "UNAUTHENTICATED", "Set MLFLOW_TRACKING_TOKEN to a personal token.")
            return
        wanted = proxy.header(scope, WORKSPACE.encode())
        try:
            bearer = await _in_thread(tracking.bearer_of)(secret.strip(), wanted)
        except NotAllowed as error:
            await _error(send, 403, "PERMISSION_DENIED", error.message)
            return
        await self._forward(scope, receive, send, bearer)

    async def by_cookie(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        """A request of MLflow's pages."""
        if scope["type"] == "websocket":
            await proxy.refuse_socket(scope, receive, send, 403, "There are no sockets here.")
        elif scope["path"] == ENTER:
            await enter(scope, send, origin, landing=f"{tracking.PREFIX}/")
        else:
            await self._page(scope, receive, send, origin)

    async def _page(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        access = await self._doorkeeper.access(cookies_of(scope).get(COOKIE, ""), origin)
        if access is None:
            await must_enter(send, "/experiments/")
            return
        if scope["method"] not in _SAFE and proxy.header(scope, b"origin") != address_of(origin):
            await _error(send, 403, "PERMISSION_DENIED", "The request comes from another page.")
            return
        wanted = proxy.header(scope, WORKSPACE.encode())
        try:
            bearer, teams = await _in_thread(_teams_of)(access.user_id, wanted)
        except NotAllowed as error:
            await _error(send, 403, "PERMISSION_DENIED", error.message)
            return
        place = _WORKSPACES.fullmatch(scope["path"])
        if place is not None and not place[1] and scope["method"] == "GET":
            await proxy.answer(send, 200, json.dumps({"workspaces": teams}), content_type="application/json")
            return
        await self._forward(scope, receive, send, bearer)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, bearer: tracking.Bearer) -> None:
        path = scope["path"]
        if why := _why_closed(path, bearer.team):
            await _error(send, 403, "PERMISSION_DENIED", why)
            return
        exchange = proxy.Exchange(receive, send)
        receive, send = exchange.receive, exchange.send
        try:
            session = self._upstreams.session(tracking.tracker_socket())
            await self._make(session, bearer.team)
            headers = _headers(scope, bearer.team)
            named, scope, receive, headers = await _unguarded(scope, receive, headers)
            if named and not await _is_there(session, named, bearer.team):
                await _error(send, 403, "PERMISSION_DENIED", _NOT_YOURS)
                return
            if _CREATES_EXPERIMENT.fullmatch(path):
                scope, receive, headers = await _rewritten(scope, receive, headers, _without_location)
            elif _CREATES_RUN.fullmatch(path):
                scope, receive, headers = await _rewritten(scope, receive, headers, _with_tags(bearer.tags))
            elif _REGISTERS.fullmatch(path):
                await self._register(scope, receive, send, session, headers, bearer)
                return
            withhold = _is_unknown if _NAMES_AN_ID.fullmatch(path) else None
            if not await proxy.forward_http(
                scope, receive, send, session, headers, change=_framed, withhold=withhold
            ):
                await _error(send, 403, "PERMISSION_DENIED", _NOT_YOURS)
        except _NotSmallJson:
            await _error(send, 400, "INVALID_PARAMETER_VALUE", "The request is no small JSON object.")
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
            words = "Experiment tracking is starting. Clients try again by themselves."
            await _error(send, 503, "TEMPORARILY_UNAVAILABLE", words, retry_after=5)
        except (aiohttp.ClientError, ConnectionResetError) as error:
            if exchange.is_over:
                return  # cut short; the server closes the connection
            log.warning("MLflow answered %s so that it cannot be read: %s", path, error)
            words = f"Experiment tracking gave an answer that cannot be read: {str(error)[:_MOST_SAID]}"
            await _error(send, 502, "INTERNAL_ERROR", words)

    async def _register(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        session: aiohttp.ClientSession,
        headers: Headers,
        bearer: tracking.Bearer,
    ) -> None:
        """A model gets a name or a version: refused where the catalog would refuse it, else taken over there.

        What is to be done is written down before the client hears that it worked. Prompts are none of it.
        """
        body = await _small_json(receive)
        is_model = all(one.get("key") != _PROMPT for one in body.get("tags") or [])
        try:
            if is_model:
                await _in_thread(registering.check_model_name)(bearer, str(body.get("name", "")))
            async with session.post(
                proxy.target_of(scope), data=json.dumps(body), headers=_json_only(headers)
            ) as response:
                answer, status = await response.text(), response.status
            if status == 200 and is_model and "model-versions" in scope["path"]:
                made = json.loads(answer)["model_version"]
                await _in_thread(registering.take_over)(bearer, made)
        except (Invalid, NotAllowed) as error:
            code = "PERMISSION_DENIED" if isinstance(error, NotAllowed) else "INVALID_PARAMETER_VALUE"
            await _error(send, 403 if isinstance(error, NotAllowed) else 400, code, error.message)
            return
        await proxy.answer(send, status, answer, content_type="application/json")

    async def _make(self, session: aiohttp.ClientSession, team: str) -> None:
        """Make the team's MLflow workspace, once."""
        if team in self._made:
            return
        url = f"http://localhost{tracking.PREFIX}/api/3.0/mlflow/workspaces"
        async with session.post(url, json={"name": team}) as response:
            if response.status < 300 or b"ALREADY_EXISTS" in await response.read():
                self._made.add(team)


def _why_closed(path: str, team: str) -> str:
    """Why nothing at this path is for a team; empty when something may be."""
    if _WORKSPACES.fullmatch(path):
        return "Teams are managed in the portal."
    if not _OPEN.fullmatch(path) or _CLOSED.fullmatch(path) or ".." in path.split("/") or "\\" in path:
        return f"{path} is not offered here."
    place = _ARTIFACT.fullmatch(path)
    return _NOT_YOURS if place is not None and place[3] != team else ""


async def _unguarded(scope: Scope, receive: Receive, headers: Headers) -> tuple[str, Scope, Receive, Headers]:
    """The address of what a request names and MLflow does not guard, if it does; and the request, to be sent on."""
    path = scope["path"]
    by_path, by_key = _OWNED_BY_PATH.fullmatch(path), _OWNED_BY_KEY.fullmatch(path)
    if by_path is not None and by_path[2] not in _NO_IDS:
        return f"{by_path[1]}/{by_path[2]}", scope, receive, headers
    if by_key is None:
        return "", scope, receive, headers
    key = _KEYS[by_key[1]]
    numbers = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(key, [])
    if proxy.has_body(scope):
        asked = await _small_json(receive)
        numbers.append(str(asked.get(key, "")))
        again = _once(json.dumps(asked).encode(), receive)
        scope, receive, headers = await _rewritten(scope, again, headers, dict)
    if len(set(numbers)) != 1:
        raise _NotSmallJson
    return f"{by_key[1]}/get?{urlencode({key: numbers[0]})}", scope, receive, headers


async def _is_there(session: aiohttp.ClientSession, what: str, team: str) -> bool:
    """Whether MLflow finds this within the team."""
    url = f"http://localhost{tracking.PREFIX}/api/3.0/mlflow/{what}"
    async with session.get(url, headers={WORKSPACE: team}) as response:
        return response.status == 200


def _in_thread(function: Any) -> Any:
    return database_sync_to_async(function, thread_sensitive=False)


def _teams_of(user_id: int, wanted: str) -> tuple[tracking.Bearer, list[dict[str, str]]]:
    """Whom to work for, and all teams that the person may choose, as MLflow lists workspaces."""
    user = User.objects.get(pk=user_id)
    teams = [{"name": team.slug, "description": team.name} for team in tracking.tracked_teams(user)]
    return tracking.Bearer(tracking.team_for(user, wanted), {"atrium.user": user.username}), teams


def _headers(scope: Scope, team: str) -> Headers:
    kept = [
        (name, value)
        for name, value in proxy.headers_of(scope)
        if name not in _DROPPED and not name.startswith(("x-forwarded-", "x-atrium-"))
    ]
    return [*kept, ("host", "localhost"), (WORKSPACE, team)]


class _NotSmallJson(Exception):
    pass


Change = Callable[[dict[str, Any]], dict[str, Any]]


def _without_location(asked: dict[str, Any]) -> dict[str, Any]:
    """A new experiment has a name and tags; a place of its own for artifacts could be any file of the server."""
    return {name: asked[name] for name in ("name", "tags") if name in asked}


def _with_tags(tags: dict[str, str]) -> Change:
    """A new run says who made it and in which job or workspace, whatever its code claims."""

    def change(asked: dict[str, Any]) -> dict[str, Any]:
        given = [one for one in asked.get("tags") or [] if _is_ours_to_give(str(one.get("key", "")))]
        return {**asked, "tags": [*given, *({"key": key, "value": value} for key, value in tags.items())]}

    return change


def _is_ours_to_give(key: str) -> bool:
    """Whether code may set this tag itself: what it read it alone knows, and it counts only where it may be read."""
    return not key.startswith("atrium.") or key == registering.DATASETS_TAG


async def _rewritten(
    scope: Scope, receive: Receive, headers: Headers, change: Change
) -> tuple[Scope, Receive, Headers]:
    """The request with its small JSON body changed. Raises _NotSmallJson."""
    try:
        body = json.dumps(change(await _small_json(receive))).encode()
    except (TypeError, AttributeError) as error:
        raise _NotSmallJson from error
    length = str(len(body))
    length_only = {**scope, "headers": [(b"content-length", length.encode())]}
    return length_only, _once(body, receive), [*_json_only(headers), ("content-length", length)]


def _json_only(headers: Headers) -> Headers:
    """The headers without those about the body as it was sent."""
    return [(name, value) for name, value in headers if name not in ("content-length", "content-encoding")]


async def _small_json(receive: Receive) -> dict[str, Any]:
    """The request's body, a small JSON object. Raises _NotSmallJson, ConnectionResetError."""
    data, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        data += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(data) > _LARGEST_SMALL_BODY:
            raise _NotSmallJson
    try:
        body = json.loads(data)
    except ValueError as error:
        raise _NotSmallJson from error
    if not isinstance(body, dict):
        raise _NotSmallJson
    return body


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body first."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


async def _is_unknown(response: aiohttp.ClientResponse) -> bool:
    """Whether MLflow says that it knows no such id: also of what is another team's, and nobody learns which."""
    return response.status == 404 and response.content_type == "application/json"


def _framed(headers: Headers) -> Headers:
    """Only the portal may frame MLflow's pages; they set no cookie."""
    replaced = ("content-security-policy", "x-frame-options", "set-cookie")
    kept = [(name, value) for name, value in headers if name.lower() not in replaced]
    return [*kept, ("content-security-policy", f"frame-ancestors {settings.ATRIUM.web_url}")]


async def _error(send: Send, status: int, code: str, words: str, *, retry_after: int | None = None) -> None:
    """As MLflow words its errors, so that its clients show them."""
    body = json.dumps({"error_code": code, "message": words})
    headers = [("retry-after", str(retry_after))] if retry_after else []
    await proxy.answer(send, status, body, content_type="application/json", headers=headers)
