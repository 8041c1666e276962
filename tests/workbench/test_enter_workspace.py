"""The way into a workspace's origin, and what holds there."""

import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from apps.accounts.models import Membership
from apps.compute.adapters import engine
from apps.compute.engines.sockets import real_socket
from apps.compute.services import workload_socket
from apps.workbench import entry, identity
from apps.workbench.models import Entry
from apps.workbench.services import change_workspace

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_owner_enters_with_a_ticket_and_is_known_by_name(inside, ada):
    guest = inside(ada)
    me = json.loads(guest.get("/api/me").text)
    assert me["identity"]["username"] == "ada"


def test_without_a_way_in_nothing_is_served(visitor):
    answer = visitor().get("/lab")
    assert answer.status == 403
    assert "/workspaces/" in answer.text
    assert visitor().get("/api/status").status == 403


def test_a_ticket_works_once(visitor, ticket_for, ada):
    ticket = ticket_for(ada)
    assert visitor().enter(ticket).status == 303
    second = visitor()
    assert second.enter(ticket).status == 403
    assert second.get("/lab").status == 403


def test_a_ticket_dies_after_thirty_seconds(visitor, ticket_for, ada):
    ticket = ticket_for(ada)
    assert Entry.objects.get().ticket_expires_at <= timezone.now() + timedelta(seconds=30)
    Entry.objects.update(ticket_expires_at=timezone.now() - timedelta(seconds=1))
    assert visitor().enter(ticket).status == 403


def test_a_ticket_opens_only_its_own_origin(visitor, ticket_for, ada):
    assert visitor("w999999").enter(ticket_for(ada)).status == 403


def test_a_cookie_of_one_workspace_opens_no_other(inside, visitor, ada, workspace):
    guest = inside(ada)
    guest.host = guest.host.replace(f"w{workspace.pk}", "w999999")
    assert guest.get("/lab").status == 403


def test_the_ticket_and_the_cookie_are_stored_hashed(inside, ada):
    guest = inside(ada)
    row = Entry.objects.get()
    assert guest.cookies["atrium_entry"] not in (row.ticket_digest, row.cookie_digest)


def test_an_onward_address_elsewhere_is_ignored(visitor, ticket_for, ada):
    assert visitor().enter(ticket_for(ada), next="//evil.example/").headers["Location"] == "/lab"
    assert visitor().enter(ticket_for(ada), next="/terminals/1?a=b").headers["Location"] == "/terminals/1?a=b"


def test_an_outsider_is_refused_even_with_a_ticket(visitor, ticket_for, cy):
    guest = visitor()
    guest.enter(ticket_for(cy))
    assert guest.get("/lab").status == 403


def test_logging_out_at_the_portal_closes_the_workspace(inside, ada):
    guest = inside(ada)
    Session.objects.all().delete()
    assert guest.get("/api/status").status == 403


def test_a_team_mate_watches_shared_terminals_and_types_into_none(inside, visitor, ada, dan, workspace):
    owner, guest, browser = (
        inside(ada),
        visitor(),
        Client(),
    )  # Dan's own: a second login would end Ada's session
    browser.force_login(dan)
    guest.enter(entry.issue_ticket(dan, f"w{workspace.pk}", browser.session.session_key))
    name = json.loads(owner.post("/api/terminals").text)["name"]
    with pytest.raises(InvalidStatus, match="403"):
        guest.socket(f"/terminals/websocket/{name}")
    assert guest.get("/atrium/terminal").status == 403
    change_workspace(workspace, share_terminals=True, by=ada)
    assert 'data-watching="' in guest.get("/atrium/terminal").text

    with (
        owner.socket(f"/terminals/websocket/{name}") as typing,
        guest.socket(f"/terminals/websocket/{name}") as seeing,
    ):
        seeing.send(json.dumps(["stdin", "echo fr''om-the-guest\r"]))
        typing.send(json.dumps(["stdin", "echo fr''om-the-owner\r"]))
        seen = ""
        while "from-the-owner" not in seen:
            kind, *data = json.loads(seeing.recv(timeout=20))
            seen += data[0] if kind == "stdout" else ""
        assert "from-the-guest" not in seen

        change_workspace(workspace, share_terminals=False, by=ada)
        with pytest.raises(ConnectionClosed) as closed:
            _read_on(seeing)
        assert closed.value.rcvd.code == 4403
        typing.ping()
    owner.request("DELETE", f"/api/terminals/{name}", headers={"X-XSRFToken": owner.cookies["_xsrf"]})


def test_a_team_mate_reads_but_starts_no_kernel_and_no_terminal(inside, dan):
    guest = inside(dan)
    assert guest.get("/api/contents").status == 200
    assert guest.post("/api/kernels").status == 403
    assert guest.post("/api/terminals").status == 403
    with pytest.raises(InvalidStatus) as refused:
        guest.socket("/terminals/websocket/1")
    assert refused.value.response.status_code == 403


def test_a_team_mate_gets_the_lab_that_only_reads_files(inside, ada, dan):
    of_owner, of_mate = inside(ada).get("/lab").text, inside(dan).get("/lab").text
    assert "jupyter-server-nbmodel" in of_owner
    assert "jupyter-server-nbmodel" not in of_mate
    assert '"@jupyterlab/filebrowser-extension:defaultFileBrowser"' not in of_mate


def test_a_team_mate_neither_runs_cells_nor_shares_a_document(inside, dan):
    guest = inside(dan)
    assert guest.post("/api/kernels/00000000-0000-0000-0000-000000000000/execute").status == 403
    with pytest.raises(InvalidStatus) as refused:
        guest.socket("/api/collaboration/room/json:notebook:0")
    assert refused.value.response.status_code == 403


def test_a_foreign_page_can_neither_post_nor_open_a_socket(inside, ada):
    guest = inside(ada)
    foreign = {"Origin": "http://evil.example"}
    assert guest.post("/api/terminals", headers=foreign).status in (403, 404)
    kernel = json.loads(guest.post("/api/kernels").text)["id"]
    with pytest.raises(InvalidStatus) as refused:
        guest.socket(f"/api/kernels/{kernel}/channels", headers=foreign)
    assert refused.value.response.status_code == 403


def test_a_post_without_the_xsrf_token_is_refused(inside, ada):
    guest = inside(ada)
    assert guest.post("/api/kernels", headers={"X-XSRFToken": ""}).status == 403


def test_an_identity_header_from_outside_counts_for_nothing(inside, dan, workspace):
    forged = identity.header_for(workspace.workload_id, user="ada", name="Ada", role="editor")
    guest = inside(dan)
    me = json.loads(guest.get("/api/me", headers={identity.HEADER: forged}).text)
    assert me["identity"]["username"] == "dan"
    assert guest.post("/api/terminals", headers={identity.HEADER: forged}).status == 403


def test_jupyter_itself_refuses_a_missing_expired_or_foreign_header(workspace):
    ask = _ask_jupyter(workspace)
    good = identity.header_for(workspace.workload_id, user="ada", name="Ada", role="editor")
    stale = _expired(workspace)
    other = identity.header_for("w1", user="ada", name="Ada", role="editor")
    assert [ask(good), ask(None), ask(stale), ask(other)] == [200, 403, 403, 403]


def test_the_server_cannot_be_shut_down_from_its_page(inside, ada):
    assert inside(ada).post("/api/shutdown").status == 403


def test_no_credential_of_the_portal_travels_on(inside, ada, settings):
    guest = inside(ada)
    guest.cookies[settings.SESSION_COOKIE_NAME] = "secret-of-the-portal"
    kernel = json.loads(guest.post("/api/kernels", headers={"Authorization": "Bearer atr_x"}).text)
    assert kernel["id"]  # a token would have switched off the checks; here it is not even seen


def test_open_sockets_are_dropped_when_the_right_is_gone(inside, ada):
    guest = inside(ada)
    name = json.loads(guest.post("/api/terminals").text)["name"]
    with guest.socket(f"/terminals/websocket/{name}") as terminal:
        assert "setup" in terminal.recv(timeout=10)
        Membership.objects.filter(user=ada).delete()
        with pytest.raises(ConnectionClosed) as closed:
            _read_on(terminal)
    assert closed.value.rcvd.code == 4403


def test_a_link_in_place_of_the_socket_is_not_followed(tmp_path, workspace):
    trap = tmp_path / "port.sock"
    trap.symlink_to(workload_socket(workspace.workload_id))
    with pytest.raises(OSError), real_socket(trap):
        pass


def test_other_hosts_belong_to_the_portal(visitor):
    guest = visitor()
    for host in ("portal.localhost:8001", "w1.evil.example", "w0.portal.localhost:8001", "127.0.0.1:8001"):
        guest.host = host
        assert guest.get("/").status == 418


def test_the_workspace_has_no_secret_of_the_portal(workspace):
    spec = (engine().root / workspace.workload_id / "launch.json").read_text()
    from django.conf import settings

    for secret in (settings.SECRET_KEY, settings.ATRIUM.database_password, settings.ATRIUM.encryption_key):
        assert secret not in spec


def _read_on(channel):
    while True:
        channel.recv(timeout=10)


def _expired(workspace):
    from atrium.identity import sign

    key = identity.key_of(workspace.workload_id).encode()
    return sign(key, {"user": "ada", "name": "Ada", "role": "editor", "exp": 1})


def _ask_jupyter(workspace):
    import http.client
    import socket

    def ask(value):
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(workload_socket(workspace.workload_id)))
        connection.request("GET", "/api/status", headers={identity.HEADER: value} if value else {})
        return connection.getresponse().status

    return ask
