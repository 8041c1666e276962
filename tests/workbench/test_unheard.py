"""What a kernel says while nobody listens: the newest that fit are kept."""

from types import SimpleNamespace

from atrium import unheard


def test_a_buffer_counts_with_all_its_bytes(monkeypatch):
    monkeypatch.setattr(unheard, "_MOST_BYTES", 1000)
    sent = []
    thread = SimpleNamespace(
        _really_send=sent.append, _handle_subscription=lambda frames: None, _master_pid=unheard.os.getpid()
    )
    kept = unheard.Unheard(thread)
    kept.heard([b"\0"])
    table = memoryview(bytes(600)).cast("B", shape=[2, 300])

    kept.say([b"first", table])
    kept.say([b"second", table])
    kept.heard([b"\1" + unheard.AGAIN])

    assert [message[0] for message in sent] == [b"second"]
