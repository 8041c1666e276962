"""What an answer's headers tell of the end of what gave it (RFC 9745, RFC 8594, successor-version of RFC 5829)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SUCCESSOR = re.compile(r'/versions/([^/>]+)>;\s*rel="successor-version"')


def told_by(headers: Mapping[str, str], capability: str) -> str:
    """In one sentence what goes, when, and what to call instead; empty where nothing does. `headers` in lower case."""
    since, end = _since(headers.get("deprecation", "")), _end(headers.get("sunset", ""))
    if not since and not end and "deprecation" not in headers:
        return ""
    what = f"{capability} {headers.get('atrium-version', '')}".strip()
    told = f"{what} is deprecated{f' since {since}' if since else ''}"
    told += f" and goes on {end}" if end else ""
    successor = _SUCCESSOR.search(headers.get("link", ""))
    return f"{told}; call version {successor[1]} instead" if successor else told


def _since(text: str) -> str:
    """`@` and seconds since 1970 as a day; a server that says no more than that it is so says `true`."""
    try:
        return f"{datetime.fromtimestamp(int(text.removeprefix('@')), UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return ""


def _end(text: str) -> str:
    try:
        return f"{parsedate_to_datetime(text):%Y-%m-%d}"
    except (ValueError, TypeError):
        return ""
