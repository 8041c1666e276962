"""The OpenAPI document is made once for each language, is valid, and has one name for one shape."""

from collections import Counter

from django.core.management import call_command
from django.urls import get_resolver
from django.utils import translation
from drf_spectacular.drainage import get_override
from drf_spectacular.generators import SchemaGenerator
from rest_framework.serializers import Serializer

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


def test_the_document_is_valid_and_nothing_in_it_is_guessed(monkeypatch, tmp_path):
    monkeypatch.setattr(schema, "_made", {})  # warnings come as it is made

    call_command("spectacular", file=str(tmp_path / "schema.yaml"), validate=True, fail_on_warn=True)


def test_no_two_serializers_give_their_shapes_one_name():
    assert get_resolver().url_patterns  # all views are read by now
    names = Counter(
        get_override(each, "component_name") or each.__name__.removesuffix("Serializer")
        for each in descendants(Serializer)
        if each.__module__.startswith("apps.")
    )

    assert len(names) > 200
    assert [name for name, count in names.items() if count > 1] == []


def descendants(kind: type) -> set[type]:
    return {each for child in kind.__subclasses__() for each in ({child} | descendants(child))}
