"""Train the fault-tickets capability: the cause of a network fault from the words of its ticket."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

import atrium

SEED = 7
# Words of ASCII letters, digits and underscores: the same pattern in scikit-learn and in ONNX.
WORDS = "[a-zA-Z0-9_]+"
EXAMPLE = "Excavator damaged the cable near Tianhe-03, 24 fibres broken, OTN-214 down"

CARD = """\
---
language: [en]
license: apache-2.0
library_name: scikit-learn
tags: [text-classification, network-operations, sample]
datasets: [fault-tickets]
metrics: [accuracy, f1]
---

# Fault tickets

**The data is generated.** No ticket was written by a person, and no site, cell or link in it exists. The
figures below say how well the model reads tickets of this generator, not tickets of a real network.

## Model details
Says from the words of a network fault ticket what the cause is: {labels}. Word and word-pair weights
(TF-IDF) and logistic regression, trained with scikit-learn.

## Parameters
Input `text`, BYTES [-1]: one ticket each, in English. Output `class`, BYTES [-1]: the cause; output
`probabilities`, FP32 [-1, {count}] in the order {labels}.

## Quantitative analysis
On {test} generated tickets that were held out of training (of {rows} in all, drawn with a fixed seed):

| measure | value |
|---|---|
| accuracy | {accuracy:.4f} |
| macro F1 | {f1:.4f} |
| weakest cause | {weakest} (F1 {weakest_f1:.3f}) |

About one generated ticket in twenty is vague on purpose, and about one in forty carries a wrong label, so no
model can reach 1.

## Intended use
- **Users.** People who want to see a text capability work, label tickets and train it again.
- **Uses.** Trying the portal. Before it sorts real tickets it must be trained and evaluated on real ones.

## Limits and risks
- **Limitations.** English only; words it has not seen say nothing to it; a ticket with two causes gets one.
- **Trade-offs.** Words in order matter little to it; a larger language model would read more and cost more.
- **Ethics.** Real tickets hold names and telephone numbers of people; mask them before they become data.

## Data
Generated from sentence patterns with a fixed seed by the portal's sample content.

## Contact
The team that owns it, named beside this card. It came with the portal, to try the portal.
"""


def signature(labels: list[str]) -> dict[str, Any]:
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
    shares = {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [-1, len(labels)],
        "kind": "probabilities",
    }
    return {
        "inputs": [text],
        "outputs": [
            {"name": "class", "datatype": "BYTES", "shape": [-1], "kind": "class", "labels": labels},
            {**shares, "labels": labels},
        ],
    }


def shipped_cases(model: Any, texts: list[str], causes: list[str]) -> list[Any]:
    """Three held-out tickets per cause that the model reads rightly, and one in capitals."""
    answers = model.predict(texts)
    cases: list[Any] = []
    for label in model.classes_:
        places = [at for at, cause in enumerate(causes) if cause == label == answers[at]][:3]
        cases += [case(model, f"{label} {number + 1}", texts[at]) for number, at in enumerate(places)]
    return [*cases, case(model, "in capitals", EXAMPLE.upper())]


def case(model: Any, name: str, text: str) -> dict[str, Any]:
    shares = model.predict_proba([text])
    return {
        "name": name,
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}],
        "expected": [
            {"name": "class", "datatype": "BYTES", "shape": [1], "data": [str(model.predict([text])[0])]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": list(shares.shape),
                "data": shares.ravel().tolist(),
            },
        ],
        "tolerance": 1e-4,
    }


def main() -> None:
    """Read, train, measure, and leave the model folder in outputs/model."""
    atrium.progress(0.1, "reading fault-tickets.csv")
    table = pd.read_csv(atrium.inputs() / "fault-tickets.csv", dtype=str)
    texts, causes = table["text"].tolist(), table["cause"].tolist()
    held_out = (table["split"] == "test").to_numpy()
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    atrium.progress(0.3, f"training on {len(train)} tickets")
    model = make_pipeline(
        TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), min_df=3),
        LogisticRegression(C=4.0, max_iter=1000),
    )
    model.fit([texts[at] for at in train], [causes[at] for at in train])

    test_texts, test_causes = [texts[at] for at in test], [causes[at] for at in test]
    atrium.progress(0.7, f"measuring on {len(test)} tickets")
    answers = model.predict(test_texts)
    labels = [str(label) for label in model.classes_]
    by_cause = f1_score(test_causes, answers, labels=labels, average=None)
    metrics = {
        "accuracy": float(accuracy_score(test_causes, answers)),
        "macro_f1": float(np.mean(by_cause)),
        "weakest_f1": float(np.min(by_cause)),
    }
    card = CARD.format(
        labels=", ".join(labels),
        count=len(labels),
        rows=len(table),
        test=len(test),
        accuracy=metrics["accuracy"],
        f1=metrics["macro_f1"],
        weakest=labels[int(np.argmin(by_cause))],
        weakest_f1=metrics["weakest_f1"],
    )
    atrium.progress(0.9, "saving the model")
    atrium.save_model(
        model,
        atrium.outputs() / "model",
        signature=signature(labels),
        cases=shipped_cases(model, test_texts, test_causes),
        input_example=test_texts[:3],
        card=card,
        parsing={
            "input": "inputs[?name=='text'].data | [0][0]",
            "answer": "outputs[?name=='class'].data | [0][0]",
            "score": "max(outputs[?name=='probabilities'].data | [0])",
        },
    )
    atrium.result(
        {
            "metrics": metrics,
            "parameters": {"C": 4.0, "seed": SEED},
            "rows": {"train": len(train), "test": len(test)},
        }
    )
    print(f"accuracy {metrics['accuracy']:.4f} on {len(test)} held-out tickets", flush=True)


if __name__ == "__main__":
    main()
