"""Objects are named by their bytes."""

import hashlib
import io

import pytest

from apps.core import objects
from apps.core.errors import Invalid, NotFound


def test_the_same_bytes_are_stored_once_under_their_digest():
    first = objects.put(io.BytesIO(b"abc"))
    second = objects.put([b"a", b"bc"])

    assert first == second == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert objects.open_object(first[0]).read() == b"abc"


def test_a_wrong_digest_is_refused_and_nothing_kept():
    with pytest.raises(Invalid, match="Send it again"):
        objects.put(io.BytesIO(b"other bytes"), expected="0" * 64)

    assert not objects.exists(hashlib.sha256(b"other bytes").hexdigest())


@pytest.mark.parametrize("name", ["../../etc/passwd", "ABC", "", "0" * 63])
def test_a_name_that_is_no_digest_is_refused(name):
    with pytest.raises(Invalid):
        objects.path(name)


def test_an_object_that_is_not_there_is_named():
    with pytest.raises(NotFound, match="0000"):
        objects.open_object("0" * 64)
