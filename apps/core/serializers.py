"""What all documents that REST takes share: a name that nobody knows is refused instead of passed over.

A misspelt `expires_in` would else be a token that never ends, a misspelt `digest` a check that is not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

if TYPE_CHECKING:
    from django.db.models import Model

_T = TypeVar("_T")
_M = TypeVar("_M", bound="Model")
_OF_FORMS = frozenset({"csrfmiddlewaretoken"})


def _refuse_unknown(data: Any, fields: Mapping[str, Any]) -> None:
    if not isinstance(data, Mapping):
        return
    unknown = [str(name) for name in data if name not in fields and name not in _OF_FORMS]
    if unknown:
        known = ", ".join(name for name, field in fields.items() if not field.read_only)
        words = _("is not known here; these are: %(names)s.") % {"names": known}
        raise serializers.ValidationError({name[:60]: [words] for name in unknown[:5]})


class Serializer(serializers.Serializer[_T]):
    """A document of named values; unknown names are refused (422, with the names that there are)."""

    def to_internal_value(self, data: Any) -> Any:
        _refuse_unknown(data, self.fields)
        return super().to_internal_value(data)


class ModelSerializer(serializers.ModelSerializer[_M]):
    """A document of the values of a row; unknown names are refused (422, with the names that there are)."""

    def to_internal_value(self, data: Any) -> Any:
        _refuse_unknown(data, self.fields)
        return super().to_internal_value(data)


class NamedField(serializers.SlugRelatedField[Any]):
    """A row that is given by its short name."""

    default_error_messages = {
        "does_not_exist": gettext_lazy("There is none called “{value}”."),
        "invalid": gettext_lazy("Give its name as text."),
    }


class ThingSerializer(Serializer[Any]):
    """A thing in the lineage; `url` is its page, and empty where the reader may not open it or there is none."""

    urn = serializers.CharField()
    kind = serializers.CharField(allow_blank=True)
    label = serializers.CharField()  # type: ignore[assignment]
    url = serializers.CharField(allow_blank=True)


class LinkSerializer(Serializer[Any]):
    """An edge of the lineage: what the source is to the target, in the reader's language."""

    source = ThingSerializer()  # type: ignore[assignment]
    kind = serializers.CharField()
    target = ThingSerializer()


class LineageSerializer(Serializer[Any]):
    """Where something came from, and what was made of it; see `naming.lineage_of`."""

    upstream = LinkSerializer(many=True)
    downstream = LinkSerializer(many=True)
