"""The header by which the portal's proxy tells a workspace's server who comes.

`X-Atrium-Identity: <base64url of JSON>.<hex HMAC-SHA256>`, with `user`, `name`, `role` (editor or viewer),
`exp` (Unix seconds) and `by` (token when a program showed a personal token, watching when the proxy
drops whatever the person sends to a terminal, else nothing).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any

HEADER = "X-Atrium-Identity"
EDITOR, VIEWER = "editor", "viewer"


def sign(key: bytes, facts: dict[str, Any]) -> str:
    """The header's value for these facts."""
    body = base64.urlsafe_b64encode(json.dumps(facts, separators=(",", ":")).encode()).decode()
    return f"{body}.{hmac.digest(key, body.encode(), 'sha256').hex()}"


def verify(key: bytes, value: str, *, now: float) -> dict[str, Any] | None:
    """The facts of a header that was signed with this key and has not expired, else None."""
    body, dot, signature = value.partition(".")
    expected = hmac.digest(key, body.encode("utf-8", "replace"), "sha256").hex()
    if not dot or not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        return None
    try:
        facts = json.loads(base64.urlsafe_b64decode(body))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(facts, dict) or not facts.get("user") or float(facts.get("exp", 0)) < now:
        return None
    return facts
