"""How REST reads documents. Without `api`, which REST framework loads after its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from rest_framework import parsers

from apps.core.texts import require_kept, texts_in

_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""How JSON writes what no text can be kept with; the same after a backslash of its own is looked at for nothing."""


_OF_ONE_BYTE = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""Encodings in which an escape is found among the bytes."""


class JSONParser(parsers.JSONParser):
    """Refuses a document with a character that no text can be kept with, wherever it stands in it."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read()
        document = super().parse(BytesIO(raw), media_type, parser_context)
        encoding = str((parser_context or {}).get("encoding", "utf-8")).lower()
        if encoding not in _OF_ONE_BYTE or _ESCAPED.search(raw):
            require_kept(texts_in(document))
        return document
