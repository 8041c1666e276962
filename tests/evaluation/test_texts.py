"""What a version that takes texts does with typos, dropped words and capitals, and which words it rests on."""

import math

import numpy as np
import pytest

from apps.evaluation import gates
from apps.evaluation.charts import all_of
from apps.evaluation.gates import Asked, Gate, read_gates, unsatisfiable
from atrium.evaluation import load, robustness
from atrium.evaluation.endpoint import Refused
from atrium.evaluation.run import Evaluation
from atrium.evaluation.table import Table
from tests.evaluation.served import KINDS, serving, write_rows

SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}],
    "outputs": [
        {"name": "class", "datatype": "BYTES", "shape": [-1], "kind": "class", "labels": ["fibre", "power"]}
    ],
}
REPORTED = {"main": "accuracy", "figures": {}, "slices": []}
TEXTS = [
    f"{part} {fault} at GD-{number}, please look"
    for number in range(60)
    for part, fault in (("fibre", "cut"), ("battery", "empty"))
]


@pytest.fixture(autouse=True)
def short_load(monkeypatch):
    monkeypatch.setattr(load, "CALLS", 20)
    monkeypatch.setattr(load.saturation, "__kwdefaults__", {"levels": (1,), "seconds": 0.1})


def measured(folder, **patience):
    """Of a version that goes by the word “fibre” alone; `lower`: in whatever letters."""

    def answer(inputs):
        texts = [str(text) for text in inputs["text"].ravel()]
        seen = [text.lower() if patience.get("lower") else text for text in texts]
        return {"class": np.array(["fibre" if "fibre" in text else "power" for text in seen], dtype=object)}

    write_rows(
        folder, [{"text": text, "y": "fibre" if text.startswith("fibre") else "power"} for text in TEXTS]
    )
    with serving(candidate=answer) as address:
        candidate = {"address": address, "path": "/candidate", "key": "k"}
        return Evaluation(
            {"signature": SIGNATURE, "target": "y", "cases": [], "candidate": candidate}, folder
        ).measure()


def test_texts_are_damaged_as_people_damage_them_and_what_is_lost_is_told(tmp_path):
    found = measured(tmp_path)

    drops = {
        name: found["figures"][f"robustness_{name}_drop"]["value"] for name in ("typos", "words", "case")
    }
    assert drops["case"] == 0.5  # no capital letter is “fibre”
    assert 0 < drops["typos"] < 0.5
    assert 0 < drops["words"] < 0.5
    told = {check["check"]: check["told"] for check in found["robustness"]}
    assert told["upper case"] == "the main figure gets worse by 0.5"
    assert {"empty text", "typos", "dropped words"} <= told.keys()


def test_a_version_that_reads_capitals_loses_nothing_by_them(tmp_path):
    assert measured(tmp_path, lower=True)["figures"]["robustness_case_drop"]["value"] == 0


def test_the_word_that_a_version_goes_by_matters_and_no_other(tmp_path):
    found = measured(tmp_path)

    first, *others = found["importance"]
    assert (first["input"], first["drop"], first["n"]) == ("fibre", 0.5, 60)
    assert {"empty", "cut", "battery"} <= {other["input"] for other in others}
    assert {other["drop"] for other in others} == {0}
    assert found["importance_by"] == "accuracy"
    assert found["importance_tried"] == found["importance_chosen"] == robustness._MOST_TOKENS
    captions = {item["title"]: str(item["caption"]) for item in all_of(found)}
    assert captions["What the answers rest on"].startswith("The words that go with the answers")


def test_places_in_texts_stay_where_they_are_under_damage(tmp_path):
    kind = KINDS["text_spans"]()
    write_rows(tmp_path, kind.rows)
    with serving(candidate=kind.good) as address:
        candidate = {"address": address, "path": "/candidate", "key": "k"}
        asked = {"signature": kind.signature, "target": "y", "cases": [], "candidate": candidate}
        found = Evaluation(asked, tmp_path).measure()

    assert found["figures"]["robustness_case_drop"]["value"] == 0  # the names are capitals already
    assert found["figures"]["robustness_typos_drop"]["value"] > 0
    assert "robustness_words_drop" not in found["figures"]
    assert found["importance"] == []


def text(damage, *texts, **how):
    damages = robustness._damages_of_texts(np.array(texts, dtype=object), **how)
    return next(values.tolist() for key, _title, values in damages if damage in key)


def test_a_typo_moves_letters_and_adds_none():
    (mistyped,) = text("typos", "光纤中断 at GD-123: no light")

    assert sorted(mistyped) == sorted("光纤中断 at GD-123: no light")
    assert mistyped != "光纤中断 at GD-123: no light"


@pytest.mark.parametrize("alone", ["", "fibre", "…", "断"])
def test_a_text_of_one_word_keeps_it(alone):
    assert text("words", alone) == [alone]


def test_a_script_without_spaces_loses_characters():
    (thinned,) = text("words", "光纤中断需要维修人员")

    assert len(thinned) == 9


def test_capitals_never_make_a_text_longer():
    assert text("case", "straße ﬁbre") == ["STRAßE ﬁBRE"]


def test_with_probabilities_a_word_counts_that_turns_no_answer(tmp_path):
    """Each of three words is enough for the answer, and each makes it surer."""

    def answer(inputs):
        marks = [
            sum(word in str(text) for word in ("fibre", "cut", "light")) for text in inputs["text"].ravel()
        ]
        sure = np.array([(0.5, 0.7, 0.8, 0.9)[count] if count else 0.1 for count in marks])
        labels = np.where(sure > 0.5, "fibre", "power").astype(object)
        return {"class": labels, "probabilities": np.stack([sure, 1 - sure], 1)}

    spread = {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2], "kind": "probabilities"}
    signature = SIGNATURE | {"outputs": [*SIGNATURE["outputs"], spread]}
    texts = [f"fibre cut, no light {number}" for number in range(20)] + ["the battery is empty"] * 20
    write_rows(
        tmp_path, [{"text": text, "y": "fibre" if text.startswith("fibre") else "power"} for text in texts]
    )
    with serving(candidate=answer) as address:
        candidate = {"address": address, "path": "/candidate", "key": "k"}
        asked = {"signature": signature, "target": "y", "cases": [], "candidate": candidate}
        found = Evaluation(asked, tmp_path).measure()

    drops = {item["input"]: item["drop"] for item in found["importance"]}
    assert found["importance_by"] == "log_loss"
    assert drops["fibre"] == drops["cut"] == drops["light"] == pytest.approx(np.log(0.9 / 0.8) / 2)
    assert drops["battery"] == 0
    (chart,) = [item for item in all_of(found) if item["title"] == "What the answers rest on"]
    assert chart["figure"]["layout"]["xaxis"]["title"]["text"] == "how much log_loss rises"


def words_tried(texts, answers, figure=lambda _rows, _changed: 1.0):
    """What is told of the words of these texts, where the figure was 1 before."""
    values = np.array(texts, dtype=object)
    table = Table({"text": values}, values, {}, [])
    return robustness.importance_of_tokens(
        table, answers, figure, lambda plain, changed: plain - changed, 1.0
    )


def test_rows_of_several_texts_have_no_words_that_answers_rest_on():
    found = words_tried([["line down", "urgent"], ["all well", "no hurry"]], ["a", "b"])

    assert found["importance"] == []


def test_tokens_are_few_and_those_that_go_with_the_answers():
    texts = [f"always n{number} m{number % 50} k{number % 2}" for number in range(300)]

    def tried(answers):
        found = words_tried(texts, answers)["importance"]
        assert len(found) == robustness._MOST_TOKENS
        return [item["input"] for item in found]

    by_answers = tried([str(number % 2) for number in range(300)])
    assert set(by_answers[:2]) == {"k0", "k1"}
    assert "always" not in by_answers
    assert tried([str(number) for number in range(300)])[0] == "always"


def test_words_of_a_single_text_with_a_rare_answer_do_not_push_out_those_that_go_with_it():
    """Chi-square sets each of the fifty before “outage”, which stands in half of the rare texts."""
    rare = [
        " ".join(f"w{number}-{n}" for n in range(5)) + (" outage" if number < 5 else "")
        for number in range(10)
    ]
    common = ["outage seen"] * 20 + ["all well"] * 970

    found = words_tried([*rare, *common], ["power"] * 10 + ["fibre"] * 990)

    assert "outage" in [item["input"] for item in found["importance"]]


def test_only_the_texts_that_have_a_word_are_asked_without_it():
    asked = []

    def figure(rows, changed):
        asked.append((rows.tolist(), changed["text"][rows].tolist()))
        return 1.0

    words_tried(["Cut here", "well", "cut cut there"], ["a", "b", "a"], figure)

    assert ([0, 2], [" here", "  there"]) in asked
    assert ([1], [""]) in asked


def test_when_the_time_is_over_no_further_word_is_tried_and_the_report_says_so(monkeypatch):
    clock = iter([0.0, 1.0, 119.0, 120.0])
    monkeypatch.setattr(robustness, "monotonic", lambda: next(clock))

    found = words_tried(["cut here", "well there"], ["a", "b"])

    assert (found["importance_tried"], found["importance_chosen"]) == (2, 4)
    (chart,) = all_of(REPORTED | found | {"importance_of": "tokens"})
    assert chart["caption"].endswith("There was time to try 2 of 4.")


def test_a_word_without_which_a_text_is_refused_is_told():
    def figure(rows, changed):
        if "" in changed["text"][rows].tolist():
            raise Refused(400, "an empty text")
        return math.nan if 1 in rows else 0.5

    found = words_tried(["cut", "cut there", "well, look"], ["a", "b", "c"], figure)

    assert [item["input"] for item in found["importance"]] == ["well", "look"]
    assert found["importance_without"] == ["cut", "there"]
    (chart,) = all_of(REPORTED | found | {"importance_of": "tokens"})
    assert chart["caption"].endswith("a text was refused or got no number: cut, there.")
    lost = REPORTED | found | {"importance_of": "tokens", "importance": []}
    (alone,) = all_of(lost)  # nothing that was tried has a bar: the report says so in words
    assert (alone["figure"], alone["caption"]) == (None, chart["caption"])
    assert all_of(lost | {"importance_without": []}) == []


def test_the_limits_of_gates_hold_for_texts_too():
    damaged = robustness._damages_of_texts(np.array(["a b"], dtype=object))

    assert len(robustness._SPOILED_TEXTS) + len(damaged) + 1 == gates.ROBUSTNESS_CHECKS


@pytest.mark.parametrize(
    ("metric", "columns", "told"),
    [
        ("robustness_typos_drop", 4, "takes numbers, and only texts"),
        ("robustness_noise_drop", 0, "takes texts, and only numbers"),
    ],
)
def test_a_damage_that_the_inputs_cannot_have_is_refused(metric, columns, told):
    asked = Asked(rows=100, counts={}, version="1.0.0", columns=columns)

    (problem,) = unsatisfiable([Gate(metric, 0.1)], asked)
    assert told in problem
    assert unsatisfiable([Gate("robustness_case_drop", 0.1, at_least=100)], Asked(100, {}, columns=0)) == []


def test_dropped_words_are_no_gate_of_places_in_a_text():
    gate = {"metric": "robustness_words_drop", "threshold": 0.1}

    assert "is not measured of places in a text" in read_gates([gate], "text_spans")[1][0]
    assert read_gates([gate], "classification")[1] == []
