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


def test_that_it_starts_is_said_once_or_it_would_pass_for_a_kernel_that_starts_anew():
    sent = []
    thread = SimpleNamespace(
        _really_send=sent.append, _handle_subscription=lambda frames: None, _master_pid=unheard.os.getpid()
    )
    kept = unheard.Unheard(thread)
    states = [
        [b"kernel.1.status", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b'{"execution_state":"%s"}' % state]
        for state in (b"starting", b"busy")
    ]
    kept.heard([b"\1"])
    for state in states:
        kept.say(state)
    kept.heard([b"\0"])
    kept.heard([b"\1" + unheard.AGAIN])

    assert sent == [*states, states[1]]


def test_a_server_that_is_killed_while_it_is_told_leaves_the_rest_and_what_was_said_last_to_the_next():
    sent, later = [], []
    thread = SimpleNamespace(
        _really_send=sent.append,
        _handle_subscription=lambda frames: None,
        _master_pid=unheard.os.getpid(),
        io_loop=SimpleNamespace(call_later=lambda _seconds, call: later.append(call)),
    )
    kept = unheard.Unheard(thread)
    lines = [[b"%d" % number] for number in range(unheard._AT_ONCE + 50)]
    kept.heard([b"\0"])
    for line in lines:
        kept.say(line)

    kept.heard([b"\1" + unheard.AGAIN])
    kept.heard([b"\1another"])
    assert (sent, len(later)) == (lines[: unheard._AT_ONCE], 1)
    kept.heard([b"\0" + unheard.AGAIN, b"\0another"])
    later.pop()()
    assert sent == lines[: unheard._AT_ONCE]

    sent.clear()
    kept.heard([b"\1" + unheard.AGAIN])
    later.pop()()
    assert (sent, later) == (lines, [])
