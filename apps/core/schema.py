"""The OpenAPI document of the REST API: made once for each language, as it follows from the code alone."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator

_made: dict[str | None, Any] = {}
_parts: dict[str, Callable[[], dict[str, Any]]] = {}


def register(name: str, maker: Callable[[], dict[str, Any]]) -> None:
    """Add a part of the document that no view says, such as `webhooks`; for an app's `ready()`."""
    _parts[name] = maker


class RememberedSchema(SchemaGenerator):
    """Looking through some hundred views takes a second of processor time."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        """The document that everybody gets is remembered; one for a request's permissions is not."""
        if not public:
            return self._whole(request, public)
        language = get_language()
        if language not in _made:
            _made[language] = self._whole(request, public)
        return _made[language]

    def _whole(self, request: Any, public: bool) -> Any:
        document = super().get_schema(request, public)  # type: ignore[no-untyped-call]
        return document | {name: maker() for name, maker in _parts.items()}
