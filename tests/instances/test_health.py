"""Health checks over unix sockets, against real servers."""

import json
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from django.utils import translation

from apps.core.telling import in_english, kept, sentence
from apps.core.telling import say as _
from apps.instances import health


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="atrium-") as name:
        yield Path(name)


def serve(path: Path, answer: bytes) -> str:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def one_call() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        if answer:
            connection.sendall(answer)
            connection.close()
        else:
            threading.Event().wait(1)

    threading.Thread(target=one_call, daemon=True).start()
    return str(path)


def test_only_a_200_in_time_is_ready(folder):
    ready = serve(folder / "a", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    loading = serve(folder / "b", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    noise = serve(folder / "c", b"what?\r\n\r\n")
    silent = serve(folder / "d", b"")

    assert health.check([ready, loading, noise, str(folder / "none"), ""]) == {
        ready: True,
        loading: False,
        noise: False,
        str(folder / "none"): False,
    }
    assert not health.is_ready(silent, timeout=0.1)


def unready(**document) -> bytes:
    body = json.dumps({"ready": False, "failed": True, **document}).encode()
    return b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_a_runners_words_are_read_in_any_language(folder, compiled_messages):
    told = {"pattern": "the model has been at one call for %(seconds)d s", "values": {"seconds": 9}}
    words = health.failure(serve(folder / "a", unready(error=in_english(told), told=told)))

    _english, made_of = kept(_("It says: %(words)s") % {"words": words})
    with translation.override("zh-hans"):
        assert next(sentence(english, made_of) for english in made_of) == "它报告：模型处理一次调用已 9 秒"


@pytest.mark.parametrize(
    "told", [{"pattern": "%(no)s"}, {"pattern": "another", "values": {}}, 7, {"values": []}]
)
def test_user_code_that_speaks_for_the_runner_is_taken_by_its_words(folder, told):
    words = health.failure(serve(folder / "a", unready(error="a model's words", told=told)))

    assert kept(words) == ("a model's words", {})
