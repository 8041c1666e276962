"""The OpenAPI document of the REST API: made once for each language, as it follows from the code alone."""

from typing import Any

from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator

_made: dict[str | None, Any] = {}


class RememberedSchema(SchemaGenerator):
    """Looking through some hundred views takes a second of processor time."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        """The document that everybody gets is remembered; one for a request's permissions is not."""
        if not public:
            return super().get_schema(request, public)  # type: ignore[no-untyped-call]
        language = get_language()
        if language not in _made:
            _made[language] = super().get_schema(request, public)  # type: ignore[no-untyped-call]
        return _made[language]
