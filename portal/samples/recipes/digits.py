"""Train the digits capability: a forest of 50 trees, or logistic regression (params: model = forest | lr)."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import atrium

SEED = 7
LABELS = [str(digit) for digit in range(10)]
NAMES = {"forest": "a random forest of {trees} trees", "lr": "logistic regression on standardised pixels"}

CARD = """\
---
language: [en]
license: cc-by-4.0
library_name: scikit-learn
tags: [image-classification, handwriting]
datasets: [digits]
metrics: [accuracy, f1]
---

# Handwritten digits

## Model details
Recognises one handwritten digit in an image of 8×8 grey values. The model is {model}, trained with
scikit-learn. It gives the digit and a probability for each of the ten classes.

## Parameters
Input `image`, FP32 [-1, 8, 8]: ink per cell from 0 (none) to 16 (full). Output `class`, INT64 [-1];
output `probabilities`, FP32 [-1, 10].

## Quantitative analysis
On {test} images that were held out of training (of {rows} in all, drawn with a fixed seed):

| measure | value |
|---|---|
| accuracy | {accuracy:.4f} |
| macro F1 | {f1:.4f} |
| weakest digit | {weakest} (recall {weakest_recall:.3f}) |

The writers of training and held-out images overlap, so the figures for a new person's hand are likely
to be lower.

## Intended use
- **Users.** People who want to see the whole path of a capability work; it is a sample.
- **Uses.** Single digits, centred, in the shape of the UCI optical digits data.

## Limits and risks
- **Limitations.** Anything that is no digit is still given one; look at the probabilities. Images must be
scaled to 8×8 first, as 4×4 blocks of a 32×32 bitmap are counted in the source data.
- **Trade-offs.** {trade_off}
- **Ethics.** The data names no person. Reading handwriting of people without their knowledge is not a use.

## Data
The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998), as it ships
inside scikit-learn: 1,797 images of 43 people's hands.

## Contact
The team that owns it, named beside this card. It came with the portal, to try the portal.
"""

TRADE_OFFS = {
    "forest": "The forest answers a little better on unclear images and is 300 times larger than the line model.",
    "lr": "Small and quick; unclear images are decided with too much confidence.",
}


def signature(example: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What the capability takes and gives."""
    image = {
        "name": "image",
        "title": "Handwritten digit",
        "datatype": "FP32",
        "shape": [-1, 8, 8],
        "kind": "image",
        "unit": "ink",
        "minimum": 0,
        "maximum": 16,
        "example": example.tolist(),
    }
    digit = {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": LABELS}
    shares = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10], "kind": "probabilities"}
    return {"inputs": [image], "outputs": [digit, {**shares, "labels": LABELS}]}


def build(kind: str, trees: int) -> Any:
    """The estimator that is trained."""
    if kind == "lr":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
    if kind == "forest":
        return RandomForestClassifier(n_estimators=trees, random_state=SEED)
    raise SystemExit(f"unknown model {kind!r}; use 'forest' or 'lr'")


def shipped_cases(model: Any, images: np.ndarray[Any, Any], digits: np.ndarray[Any, Any]) -> list[Any]:
    """One held-out image per digit that the model reads rightly, with its own answer as expectation."""
    answers = model.predict(images)
    cases: list[Any] = []
    for digit in range(10):
        at = int(np.flatnonzero((digits == digit) & (answers == digit))[0])
        row = images[at : at + 1]
        cases.append(
            {
                "name": f"a handwritten {digit}",
                "inputs": [tensor("image", "FP32", [1, 8, 8], row)],
                "expected": [
                    tensor("class", "INT64", [1], model.predict(row)),
                    tensor("probabilities", "FP32", [1, 10], model.predict_proba(row)),
                ],
                "tolerance": 1e-4,
            }
        )
    return cases


def tensor(name: str, datatype: str, shape: list[int], array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": array.ravel().tolist()}


def main() -> None:
    """Read, train, measure, and leave the model folder in outputs/model."""
    params = atrium.params()
    kind, trees = str(params.get("model", "forest")), int(params.get("trees", 50))
    atrium.progress(0.1, "reading digits.csv")
    table = pd.read_csv(atrium.inputs() / "digits.csv")
    pixels = table.drop(columns=["digit", "split"]).to_numpy(dtype=np.float32)
    digits = table["digit"].to_numpy(dtype=np.int64)
    held_out = (table["split"] == "test").to_numpy()
    x_train, x_test, y_train, y_test = (
        pixels[~held_out],
        pixels[held_out],
        digits[~held_out],
        digits[held_out],
    )
    atrium.progress(0.3, f"training on {len(x_train)} images")
    model = build(kind, trees).fit(x_train, y_train)

    atrium.progress(0.7, f"measuring on {len(x_test)} images")
    answers = model.predict(x_test)
    recall = np.diag(confusion_matrix(y_test, answers, normalize="true"))
    metrics = {
        "accuracy": float(accuracy_score(y_test, answers)),
        "macro_f1": float(f1_score(y_test, answers, average="macro")),
        "weakest_recall": float(recall.min()),
    }
    card = CARD.format(
        model=NAMES[kind].format(trees=trees),
        trade_off=TRADE_OFFS[kind],
        rows=len(table),
        test=len(x_test),
        accuracy=metrics["accuracy"],
        f1=metrics["macro_f1"],
        weakest=int(recall.argmin()),
        weakest_recall=metrics["weakest_recall"],
    )
    atrium.progress(0.9, "saving the model")
    atrium.save_model(
        model,
        atrium.outputs() / "model",
        signature=signature(x_test[0].reshape(8, 8)),
        cases=shipped_cases(model, x_test, y_test),
        input_example=x_test[:3].reshape(-1, 8, 8),
        card=card,
        parsing={
            "input": "inputs[?name=='image'].data | [0]",
            "answer": "outputs[?name=='class'].data | [0]",
            "score": "max(outputs[?name=='probabilities'].data | [0])",
        },
    )
    atrium.result(
        {
            "metrics": metrics,
            "parameters": {"model": kind, "trees": trees, "seed": SEED},
            "rows": {"train": len(x_train), "test": len(x_test)},
        }
    )
    print(f"accuracy {metrics['accuracy']:.4f} on {len(x_test)} held-out images", flush=True)


if __name__ == "__main__":
    main()
