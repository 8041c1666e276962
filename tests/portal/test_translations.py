"""Every string that people see is there in both languages."""

from __future__ import annotations

import re

from babel.messages.mofile import write_mo

from portal import translations

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w*\}")


def test_every_string_is_translated_and_none_is_guessed():
    assert translations.lacking("zh_Hans") == []


def test_translations_keep_the_placeholders():
    wrong = [
        message.id
        for message in translations.read("zh_Hans")
        if isinstance(message.id, str)
        and message.id
        and sorted(PLACEHOLDER.findall(message.id)) != sorted(PLACEHOLDER.findall(str(message.string)))
    ]
    assert wrong == []


def test_the_catalog_compiles(tmp_path):
    with (tmp_path / "django.mo").open("wb") as compiled:
        write_mo(compiled, translations.read("zh_Hans"))

    assert (tmp_path / "django.mo").stat().st_size > 1000


def test_templates_and_code_are_both_read():
    found = {message.id for message in translations.extracted()}

    assert {"Skip to the content", "Nobody decides on a request of their own."} <= found
