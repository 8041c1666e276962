"""Why a stage stands where it does is stored as a code and read in the reader's language."""

import pytest
from django.utils import translation

from apps.accounts.models import User
from apps.core.models import AuditEntry
from apps.core.telling import made_of, say
from apps.releases.models import Stage
from apps.releases.reasons import Code, Reason, words
from apps.releases.rollout import active_stage, proceed
from apps.requests.models import Notification
from tests.factories import make_calls

EXAMPLES = {
    Code.CALLS_MISSING: {"missing": 1234},
    Code.NO_RISE: {"worse_by": 0.05},
    Code.MIRRORED_MISSING: {"missing": 7},
    Code.LOAD_HIGH: {"cores": 2.5, "most": 2.0},
    Code.LOAD_FINE: {"cores": 0.754},
    Code.METRIC_WORSE: {"name": "handled, 100%"},
    Code.METRIC_MISSING: {"missing": 60, "name": "handled"},
    Code.METRIC_FINE: {"name": "handled", "worse_by": 0.2},
    Code.BACK_WORSE: {"weight": 5, "bad": 20, "calls": 40, "bad_before": 1, "calls_before": 4001},
    Code.BACK_MEMORY: {"weight": 5, "memory_mb": 900.4, "most_mb": 500.0},
    Code.BACK_LOAD: {"weight": 5, "cores": 2.5, "most": 2.0},
    Code.EFFORT_HIGH: {"ratio": 2.104, "most_times": 1.5},
    Code.EFFORT_MISSING: {"minutes": 7},
    Code.EFFORT_FINE: {"ratio": 1.013},
    Code.BACK_EFFORT: {"weight": 20, "ratio": 2.104, "most_times": 1.5},
    Code.BACK_METRIC: {"weight": 5, "name": "handled", "candidate": 0.6, "baseline": 1.0},
    Code.BACK_FAILED: {"why": "exit code 3"},
    Code.BACK_CASES: {"names": ["a seven", "a one"]},
    Code.BACK_BY_HAND: {"who": "ole"},
    Code.HELD: {"why": "the baseline is stopped"},
    Code.PAUSED_UNDECIDED: {"weight": 5, "days": 14},
    Code.PAUSED_AWAY: {"minutes": 15},
    Code.PAUSED_BEHIND: {"minutes": 15},
    Code.PAUSED_HELD: {"minutes": 15, "why": "the baseline is stopped"},
}
SHOWN = {
    "missing": ("1,234", "7", "60"),
    "ratio": ("2.10", "1.01"),
    "worse_by": ("5.0", "20.0"),
    "cores": ("2.50", "0.75"),
    "most": ("2",),
    "names": ("a seven, a one",),
    "calls_before": ("4,001",),
    "memory_mb": ("900",),
    "most_mb": ("500",),
    "baseline": ("1",),
}


def said(code, language):
    with translation.override(language):
        return words(Reason(code, EXAMPLES.get(code, {})).stored())


def test_every_code_is_a_sentence_with_its_numbers_in_both_languages(compiled_messages):
    for code in Code:
        english, chinese = said(code, "en"), said(code, "zh-hans")

        assert (code == english, any("一" <= letter <= "鿿" for letter in chinese)) == (False, True), code
        for name, value in EXAMPLES.get(code, {}).items():
            shown = next(form for form in SHOWN.get(name, (str(value),)) if form in english)
            assert shown in chinese


def test_what_holds_a_release_is_quoted_in_the_readers_language(compiled_messages):
    refused = say("Version %(number)s is not signed. Evaluate it, open a release, and have QA sign it.")
    held = Reason(Code.HELD, {"why": made_of(refused % {"number": "1.1.0"})}).stored()

    assert "1.1.0 is not signed" in words(held)
    with translation.override("zh-hans"):
        assert "signed" not in words(held)
        assert "1.1.0" in words(held)


@pytest.mark.parametrize("code", [Code.BACK_WORSE, Code.PAUSED_UNDECIDED])
def test_the_stage_that_mirrors_is_called_so(code, compiled_messages):
    stored = Reason(code, EXAMPLES[code] | {"weight": 0}).stored()
    with translation.override("en"):
        english = words(stored)
    with translation.override("zh-hans"):
        chinese = words(stored)

    assert ("shadow stage" in english.lower(), "0 %" in english, "影子阶段" in chinese) == (True, False, True)


def test_one_is_told_from_several():
    one, several = (words(Reason(Code.CALLS_MISSING, {"missing": n}).stored()) for n in (1, 2000))

    assert (one, several) == ("1 more call of the candidate", "2,000 more calls of the candidate")


def test_a_ready_made_sentence_and_an_unknown_code_are_shown_as_they_are():
    assert words(None, "3 more calls") == "3 more calls"
    assert words({"code": "of_a_later_portal", "about": {}}) == "of_a_later_portal"


@pytest.mark.django_db
def test_a_judged_stage_is_read_in_the_language_of_who_looks(rolling, ole, client, compiled_messages):
    make_calls(rolling.deployment, good=300, bad=0)
    make_calls(rolling.baseline, good=3000, bad=0)
    proceed(rolling)
    stage = active_stage(rolling)
    assert stage.evidence["why"] == {"code": "no_rise", "about": {"worse_by": stage.worse_by}}
    points = f"{stage.worse_by:.1%}".removesuffix("%")

    for language, sentence in (
        ("en", f"no rise of {points} % was found"),
        ("zh-hans", f"未发现 {points} % 的上升"),
    ):
        User.objects.filter(pk=ole.pk).update(language=language)
        client.force_login(ole)
        page = client.get(f"/releases/{rolling.pk}/").content.decode()
        told = client.get(f"/api/v1/releases/{rolling.pk}/").json()["stages"][0]["evidence"]
        assert sentence[1:] in page
        assert (told["reason"], told["why"]["code"]) == (sentence, "no_rise")


@pytest.mark.django_db
def test_a_stage_that_an_earlier_portal_judged_still_says_why(rolling, ole, client):
    stage = active_stage(rolling)
    Stage.objects.filter(pk=stage.pk).update(evidence={"reason": "as an earlier portal said", "missing": 0})
    client.force_login(ole)

    page = client.get(f"/releases/{rolling.pk}/").content.decode()
    told = client.get(f"/api/v1/releases/{rolling.pk}/").json()["stages"][0]["evidence"]
    assert "As an earlier portal said" in page
    assert told["reason"] == "as an earlier portal said"


@pytest.mark.django_db
def test_why_a_release_went_back_is_told_to_each_in_their_language(rolling, ole, client, compiled_messages):
    User.objects.filter(pk=ole.pk).update(language="zh-hans")
    make_calls(rolling.deployment, good=20, bad=20)
    make_calls(rolling.baseline, good=4000, bad=1)
    proceed(rolling)

    client.force_login(ole)
    told = client.get(f"/api/v1/releases/{rolling.pk}/").json()
    assert (told["why"]["code"], "候选版本更常答错（40 次中 20 次" in told["reason"]) == ("back_worse", True)
    assert told["reason"] in client.get(f"/releases/{rolling.pk}/").content.decode()
    assert told["reason"] in Notification.objects.filter(user=ole).latest("pk").title
    kept = AuditEntry.objects.get(action="releases.release.back").facts
    assert "badly more often (20 of 40" in kept["reason"]
