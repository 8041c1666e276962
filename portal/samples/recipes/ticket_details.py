"""Train the ticket-details capability: which words of a fault ticket name a site, a link, a cell and so on.

This file is also the code that answers: it is shipped as the model's module, so that training and serving cut and
describe words in the same way. Serving needs numpy alone, so what only training needs is imported there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

import atrium

NAME = "ticket-details"
LABELS = ["", "board", "cell", "link", "port", "site", "time"]
WORD = re.compile(r"[A-Za-z0-9_]+(?:[-/:.][A-Za-z0-9_]+)*|[^\sA-Za-z0-9_]")
BUCKETS = 1 << 14
EXAMPLE = "Excavator damaged the cable near Tianhe-03, 24 fibres broken, OTN-214 down since 04:12"

CARD = """\
---
language: [en]
license: apache-2.0
library_name: numpy
tags: [token-classification, network-operations, sample]
datasets: [ticket-details]
metrics: [f1]
---

# Ticket details

**The data is generated.** No ticket was written by a person, and no site, cell or link in it exists.

## Model details
Marks the words of a network fault ticket that name a {labels}. Each word is judged by itself, its shape and its
neighbours, with weights that logistic regression learned with scikit-learn; it answers with numpy alone.

## Parameters
Input `text`, BYTES [-1]: one ticket each, in English. Output `spans`, BYTES [-1]: a JSON list of
{{"start", "end", "label"}}, in characters, the end not included.

## Quantitative analysis
On {test} generated tickets from places that no training ticket names (of {rows} in all):

| measure | value |
|---|---|
| F1 over all stretches | {f1:.4f} |
| precision | {precision:.4f} |
| recall | {recall:.4f} |
| tickets without any mistake | {whole:.4f} |

## Intended use
- **Users.** People who want to see text being marked, label stretches and train it again.
- **Uses.** Trying the portal. Before it reads real tickets it must be trained and evaluated on real ones.

## Limits and risks
- **Limitations.** English only; a name of several words gets one mark for each.
- **Trade-offs.** It knows a word's neighbours and nothing farther away; a language model would read more and cost more.
- **Ethics.** Real tickets hold names and telephone numbers of people; mask them before they become data.

## Data
Generated from sentence patterns with a fixed seed by the portal's sample content.

## Contact
The team that owns it, named beside this card. It came with the portal, to try the portal.
"""

weights = np.zeros((BUCKETS, len(LABELS)), np.float32)


def load(folder: Path) -> None:
    """Called once by the runner, with the folder of the model."""
    weights[:] = np.load(folder / "weights.npy")


def predict(text: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The marked stretches of each text as JSON. The shapes of the words are logged: serving must cut as training."""
    texts = [str(one) for one in text.ravel().tolist()]
    atrium.log("shapes", [" ".join(shape(word) for word in WORD.findall(one)) for one in texts])
    found = [json.dumps(spans_of(one)) for one in texts]
    return {"spans": np.array(found, dtype=object)}


def spans_of(text: str) -> list[dict[str, Any]]:
    """The words that the weights give a label."""
    words = list(WORD.finditer(text))
    if not words:
        return []
    scores = np.stack([weights[buckets].sum(0) for buckets in described(words)])
    return [
        {"start": word.start(), "end": word.end(), "label": LABELS[best]}
        for word, best in zip(words, scores.argmax(1).tolist(), strict=True)
        if best
    ]


def described(words: list["re.Match[str]"]) -> Iterator[list[int]]:
    """For each word the places of its features among the weights."""
    texts = ["<", "<", *(word.group() for word in words), ">", ">"]
    for at in range(2, len(texts) - 2):
        here = texts[at]
        features = ["always", f"word {here.lower()}", f"shape {shape(here)}", f"ends {shape(here)[-3:]}"]
        for away in (-2, -1, 1, 2):
            near = texts[at + away]
            features += [f"{away} {near.lower()}", f"{away} shape {shape(near)}"]
        features.append(f"between {texts[at - 1].lower()} and {texts[at + 1].lower()}")
        yield [crc32(feature.encode()) % BUCKETS for feature in features]


def shape(word: str) -> str:
    """`Tianhe-03` is `a-9`: letters and digits each as one sign, case put aside."""
    return re.sub(r"\d+", "9", re.sub(r"[A-Za-z_]+", "a", word))


def signature() -> dict[str, Any]:
    """What the capability takes and gives."""
    text = {
        "name": "text",
        "title": "Ticket",
        "datatype": "BYTES",
        "shape": [-1],
        "kind": "text",
        "description": "What the technician wrote, in English",
        "example": EXAMPLE,
    }
    spans = {
        "name": "spans",
        "title": "Details",
        "datatype": "BYTES",
        "shape": [-1],
        "kind": "spans",
        "labels": LABELS[1:],
    }
    return {"inputs": [text], "outputs": [spans]}


def labels_of(text: str, spans: list[dict[str, Any]]) -> list[int]:
    """The right label of each word."""
    wanted = {(span["start"], span["end"]): LABELS.index(span["label"]) for span in spans}
    return [wanted.get(word.span(), 0) for word in WORD.finditer(text)]


def fit(texts: list[str], truth: list[list[dict[str, Any]]]) -> None:
    """Learn the weights."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rows = [buckets for text in texts for buckets in described(list(WORD.finditer(text)))]
    labels = [label for text, spans in zip(texts, truth, strict=True) for label in labels_of(text, spans)]
    ends = np.cumsum([0, *map(len, rows)])
    places = np.concatenate(rows)
    table = csr_matrix((np.ones(len(places)), places, ends), shape=(len(rows), BUCKETS))
    model = LogisticRegression(C=2.0, max_iter=300).fit(table, labels)
    weights[:, model.classes_] = model.coef_.T.astype(np.float32)


def measured(texts: list[str], truth: list[list[dict[str, Any]]]) -> dict[str, float]:
    """Exact-match figures over all stretches."""
    right = given = there = whole = 0
    for text, spans in zip(texts, truth, strict=True):
        found, wanted = ({tuple(span.values()) for span in each} for each in (spans_of(text), spans))
        right, given, there = right + len(found & wanted), given + len(found), there + len(wanted)
        whole += found == wanted
    return {
        "span_f1": 2 * right / (given + there),
        "span_precision": right / given,
        "span_recall": right / there,
        "tickets_right": whole / len(texts),
    }


def shipped_cases(texts: list[str], truth: list[list[dict[str, Any]]]) -> list[Any]:
    """Ten held-out tickets that are read rightly, and one in capitals."""
    good = [text for text, spans in zip(texts, truth, strict=True) if spans_of(text) == spans][:10]
    return [
        {
            "name": name,
            "inputs": [tensor(text)],
            "expected": [
                {"name": "spans", "datatype": "BYTES", "shape": [1], "data": [json.dumps(spans_of(text))]}
            ],
        }
        for name, text in [
            *((f"ticket {number}", text) for number, text in enumerate(good, 1)),
            ("in capitals", EXAMPLE.upper()),
        ]
    ]


def tensor(text: str) -> dict[str, Any]:
    return {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}


def main() -> None:
    """Read, train, measure, and leave the model folder in outputs/model."""
    import pandas as pd

    atrium.progress(0.1, f"reading {NAME}.csv")
    table = pd.read_csv(atrium.inputs() / f"{NAME}.csv")
    table["details"] = [json.loads(cell) for cell in table["details"]]
    train, test = table[table["split"] != "test"], table[table["split"] == "test"]
    atrium.progress(0.3, f"training on {len(train)} tickets")
    fit(train["text"].tolist(), train["details"].tolist())

    atrium.progress(0.7, f"measuring on {len(test)} tickets")
    texts, truth = test["text"].tolist(), test["details"].tolist()
    metrics = measured(texts, truth)
    card = CARD.format(
        labels=", ".join(LABELS[1:-1]) + f" or {LABELS[-1]}",
        rows=len(table),
        test=len(test),
        f1=metrics["span_f1"],
        precision=metrics["span_precision"],
        recall=metrics["span_recall"],
        whole=metrics["tickets_right"],
    )
    atrium.progress(0.9, "saving the model")
    folder = atrium.save_model(
        predict,
        atrium.outputs() / "model",
        signature=signature(),
        cases=shipped_cases(texts, truth),
        fixtures=[
            {"name": f"ticket {number}", "inputs": [tensor(text)]} for number, text in enumerate(texts[:5], 1)
        ],
        card=card,
        parsing={
            "input": "inputs[?name=='text'].data | [0][0]",
            "answer": "outputs[?name=='spans'].data | [0][0]",
        },
    )
    np.save(folder / "weights.npy", weights)
    atrium.result(
        {
            "metrics": metrics,
            "parameters": {"C": 2.0, "buckets": BUCKETS},
            "rows": {"train": len(train), "test": len(test)},
        }
    )
    print(f"F1 {metrics['span_f1']:.4f} on {len(test)} held-out tickets", flush=True)


if __name__ == "__main__":
    main()
