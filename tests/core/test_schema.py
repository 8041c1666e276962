"""The OpenAPI document is made once for each language, and reads as before."""

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator

from apps.core import schema

ADDRESS = "/api/schema/?format=json"


def test_the_document_is_made_once_for_each_language(client, ada, monkeypatch):
    monkeypatch.setattr(schema, "_made", {})
    made = []
    parse = SchemaGenerator.parse
    monkeypatch.setattr(SchemaGenerator, "parse", lambda *given: made.append(1) or parse(*given))
    client.force_login(ada)

    first, again = client.get(ADDRESS).json(), client.get(ADDRESS).json()
    assert first == again
    assert len(made) == 1
    assert "/api/v1/tokens/" in first["paths"]

    ada.language = "zh-hans"
    ada.save(update_fields=["language"])
    with translation.override("en"):  # what a request chooses stays behind otherwise
        assert client.get(ADDRESS).json().keys() == first.keys()
    assert len(made) == 2
