"""What is kept in English is read in the reader's language, with the sentences that are quoted in it."""

import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

from apps.core.errors import Conflict, NotAllowed
from apps.core.policy import deny, require
from apps.core.telling import joined, kept, made_of, say, sentence, spoken


def test_words_remember_what_they_are_made_of_through_errors_and_quotes(compiled_messages):
    with translation.override("zh-hans"):  # whoever caused it, English is kept
        error = Conflict(say("It says: %(words)s") % {"words": say("loads the model")})
        text, told = kept(joined(error.message, "", "exit 1: 100 % full"))

    assert text == "It says: loads the model exit 1: 100 % full"
    assert sentence(text, told) == text
    with translation.override("zh-hans"):
        assert sentence(text, told).startswith("它报告：")
        assert "loads" not in sentence(text, told)
        assert kept(sentence(text, told)) == (text, told)


def test_a_reason_remembers_it_through_a_verdict_and_the_refusal(compiled_messages):
    with translation.override("zh-hans"):
        verdict = deny(say("It says: %(words)s") % {"words": say("loads the model")})
        with pytest.raises(NotAllowed) as refusal:
            require(verdict)

    text, told = kept(verdict.reason)
    assert kept(refusal.value.message) == (text, told)
    assert text == "It says: loads the model"
    with translation.override("zh-hans"):
        assert sentence(text, told) == verdict.reason


def test_a_reason_that_is_lazy_is_said_at_once():
    with translation.override("en"):
        verdict = deny(gettext_lazy("loads the model"))

    assert type(verdict.reason) is str


def test_ready_made_words_stay_as_they_are():
    assert kept("disk full") == ("disk full", {})
    assert sentence("disk full", {}) == made_of("disk full") == "disk full"
    assert spoken({"pattern": "50 %", "values": {}}) == "50 %"
