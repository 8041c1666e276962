"""A notebook's output is a page of the workspace's origin: in a real browser it can do nothing as its viewer elsewhere.

The viewer has entered everything that it tries: the portal, MLflow and another workspace of theirs.
"""

import pytest
from django.test import Client

from apps.accounts.models import PersonalToken
from apps.workbench import entry, jupyter
from apps.workbench.models import Workspace
from tests.workbench.test_terminals_in_a_browser import browser, live, page_of  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db(transaction=True)

READ = """async ([address]) => {
  try {
    const answer = await fetch(address, { credentials: "include" });
    return [answer.status, await answer.text()];
  } catch (error) { return [0, error.name]; }
}"""
SEND = """async ([address, body, type]) => {
  const headers = { "Content-Type": type };
  await fetch(address, { method: "POST", mode: "no-cors", credentials: "include", headers, body }).catch(() => {});
}"""
OPENS = """([address]) => new Promise((done) => {
  const socket = new WebSocket(address);
  socket.onopen = () => done(true);
  socket.onerror = () => done(false);
})"""
TOSS = "cookie => { document.cookie = cookie; }"
FORM, TEXT = "application/x-www-form-urlencoded", "text/plain"


@pytest.fixture
def other(workspace):
    """Another workspace of the same person, at an origin of its own; the same server stands behind it."""
    made = Workspace.objects.create(
        pk=workspace.pk + 500,
        name="other",
        owner=workspace.owner,
        team=workspace.team,
        status="running",
        server=workspace.workload_id,
    )
    yield made
    made.delete()


@pytest.fixture
def origins(settings, workspace, other, live):  # noqa: F811
    """The addresses of this workspace, of the other one and of MLflow; the portal's."""
    host = settings.ATRIUM.live_url.removeprefix("http://")
    names = {"here": f"w{workspace.pk}", "other": f"w{other.pk}", "mlflow": entry.MLFLOW}
    return {name: f"http://{origin}.{host}" for name, origin in names.items()} | {
        "portal": settings.ATRIUM.web_url
    }


@pytest.fixture
def page(page_of, ada, origins):  # noqa: F811
    """A page that has entered each of them, and knows the status of each answer; at none of them yet."""
    page = page_of(ada, "/workspaces/")
    client = Client()
    client.force_login(ada)
    for name in ("other", "mlflow", "here"):
        origin = origins[name].removeprefix("http://").partition(".")[0]
        ticket = entry.issue_ticket(ada, origin, client.session.session_key)
        page.goto(f"{origins[name]}/atrium/enter?ticket={ticket}&next=/api", wait_until="commit")
    page.statuses = {}
    page.on(
        "response",
        lambda answer: page.statuses.setdefault((answer.request.method, answer.url), answer.status),
    )
    return page


def reads(page, origins, at):
    """What a page at this origin gets of each address: the status, 0 where the browser keeps the answer from it."""
    page.goto(
        f"{origins[at]}/lab" if at in ("here", "other") else f"{origins[at]}/api/v1/me/", wait_until="commit"
    )
    asked = {
        "portal": f"{origins['portal']}/api/v1/workspaces/",
        "mlflow": f"{origins['mlflow']}/mlflow/ajax-api/3.0/mlflow/workspaces",
        "other": f"{origins['other']}/api/contents",
    }
    return {name: page.evaluate(READ, [address]) for name, address in asked.items()}


def test_a_page_reads_nothing_elsewhere_as_its_viewer(page, origins, ada):
    found = reads(page, origins, "here")

    assert {name: status for name, (status, _text) in found.items()} == {"portal": 0, "mlflow": 0, "other": 0}
    # The viewer is known there all the same: each origin's own pages read it.
    assert reads(page, origins, "portal")["portal"][0] == 200
    assert reads(page, origins, "other")["other"][0] == 200
    page.goto(f"{origins['mlflow']}/mlflow/ajax-api/3.0/mlflow/workspaces")
    assert "radio" in page.content()


def test_a_page_sends_nothing_elsewhere_as_its_viewer(page, origins, workspace, settings):
    page.goto(f"{origins['here']}/lab", wait_until="commit")
    # Names of hosts above one's own may set cookies for: a token of one's own choice in the cookie and in the form.
    token = "a" * 32
    for name in (settings.CSRF_COOKIE_NAME, "_xsrf"):
        page.evaluate(TOSS, f"{name}={token}; domain=portal.localhost; path=/")
    tried = [
        (f"{origins['portal']}/workspaces/{workspace.pk}/stop/", f"csrfmiddlewaretoken={token}", FORM, 403),
        (f"{origins['portal']}/profile/tokens/", f"csrfmiddlewaretoken={token}&name=stolen", FORM, 403),
        (f"{origins['portal']}/api/v1/workspaces/{workspace.pk}/stop/", "", FORM, 403),
        (
            f"{origins['mlflow']}/mlflow/ajax-api/2.0/mlflow/experiments/create",
            '{"name": "stolen"}',
            TEXT,
            403,
        ),
        # Jupyter's word for an API that is asked for from another origin.
        (f"{origins['other']}/api/terminals", "{}", TEXT, 404),
        (f"{origins['other']}/api/kernels?_xsrf={token}", "{}", TEXT, 404),
    ]
    there = [jupyter.ask(workspace, path) for path in ("/api/terminals", "/api/kernels")]
    for address, body, kind, _status in tried:
        page.evaluate(SEND, [address, body, kind])

    assert {url: status for (method, url), status in page.statuses.items() if method == "POST"} == {
        address: status for address, _body, _kind, status in tried
    }
    assert [jupyter.ask(workspace, path) for path in ("/api/terminals", "/api/kernels")] == there
    workspace.refresh_from_db()
    assert workspace.status == "running"
    assert not PersonalToken.objects.exists()


def test_a_page_opens_no_socket_elsewhere_and_sees_nothing_of_the_page_around_it(page, origins, workspace):
    events = "/api/events/subscribe"
    page.goto(f"{origins['here']}/lab", wait_until="commit")
    assert page.evaluate(OPENS, [origins["here"].replace("http", "ws") + events])
    assert not page.evaluate(OPENS, [origins["other"].replace("http", "ws") + events])

    page.goto(f"{origins['portal']}/workspaces/{workspace.pk}/terminal/")
    page.frame_locator("iframe#ide").get_by_role("tab").first.wait_for()
    inside = next(frame for frame in page.frames if frame.url.startswith(origins["here"]))
    look = "() => { try { return parent.document.title; } catch (error) { return error.name; } }"
    assert inside.evaluate(look) == "SecurityError"
    assert "session" not in inside.evaluate("() => document.cookie")
    jupyter.end_terminals(workspace)
