"""Train the breast-cancer capability: logistic regression on 30 standardised measures of cell nuclei."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import atrium

SEED = 7
LABELS = ["malignant", "benign"]
MEASURES = {
    "radius": "Distance from the centre to the outline",
    "texture": "Standard deviation of the grey values",
    "perimeter": "Length of the outline",
    "area": "Area inside the outline",
    "smoothness": "Local variation of the radius",
    "compactness": "Perimeter² ÷ area − 1",
    "concavity": "How deep the outline is dented",
    "concave points": "Share of dented points of the outline",
    "symmetry": "How unlike the two halves are",
    "fractal dimension": "Coastline approximation − 1",
}
UNITS = {"radius": "px", "perimeter": "px", "area": "px²", "texture": "grey levels"}
STATISTICS = {"mean": "mean over all nuclei", "error": "standard error", "worst": "mean of the three largest"}

CARD = """\
---
language: [en]
license: cc-by-4.0
library_name: scikit-learn
tags: [tabular-classification, medicine, sample]
datasets: [breast-cancer]
metrics: [accuracy, recall, roc_auc]
---

# Breast cancer (Wisconsin)

## Model details
Says from 30 measures of the cell nuclei in a fine-needle biopsy whether the tissue is malignant or benign.
Logistic regression on standardised values, trained with scikit-learn.

## Parameters
Input `features`, FP32 [-1, 30]: ten measures, each as mean, standard error and worst value. Output `class`,
INT64 [-1]: 0 malignant, 1 benign; output `probabilities`, FP32 [-1, 2] in the same order.

## Quantitative analysis
On {test} biopsies that were held out of training (of {rows} in all, drawn with a fixed seed):

| measure | value |
|---|---|
| accuracy | {accuracy:.4f} |
| recall of malignant | {recall:.4f} |
| area under the ROC curve | {auc:.4f} |

The held-out set is small: one biopsy more or less is {step:.3f} in accuracy.

## Intended use
- **Users.** People who want to see a tabular capability work. **It is a sample, not a medical device; no
diagnosis may rest on it.**
- **Uses.** Teaching, trying forms, evaluation and monitoring on a table with 30 columns.

## Limits and risks
- **Limitations.** One hospital, 569 biopsies from the early 1990s, no information about the patients: nothing
is known about ages, origins or later techniques of imaging.
- **Trade-offs.** The threshold is 0.5; a screening would choose a lower one to miss fewer malignant cases.
- **Ethics.** The data is public and names no person; there is no consent for any further use of it.

## Data
"Breast Cancer Wisconsin (Diagnostic)" (Wolberg, Mangasarian, Street, UCI, 1995), as it ships inside
scikit-learn. The source states no physical scale: lengths are in pixels of the digitised image.

## Contact
The team that owns it, named beside this card. It came with the portal, to try the portal.
"""


def columns(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Name, meaning, unit and allowed range of each column; the range is twice what training saw."""
    return [column(str(name), table[name]) for name in table.columns]


def column(name: str, values: "pd.Series[float]") -> dict[str, Any]:
    statistic = next(word for word in STATISTICS if word in name.split())
    measure = name.replace(statistic, "").strip()
    document = {
        "name": name,
        "title": name.capitalize(),
        "description": f"{MEASURES[measure]} ({STATISTICS[statistic]})",
        "unit": UNITS.get(measure),
        "minimum": 0,
        "maximum": float(f"{values.max() * 2:.3g}"),
        "example": round(float(values.iloc[0]), 5),
    }
    return {key: value for key, value in document.items() if value is not None}


def signature(table: pd.DataFrame) -> dict[str, Any]:
    """What the capability takes and gives."""
    features = {
        "name": "features",
        "title": "Measures of the cell nuclei",
        "datatype": "FP32",
        "shape": [-1, 30],
        "kind": "number",
        "example": [round(float(value), 5) for value in table.iloc[0]],
    }
    shares = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}
    return {
        "inputs": [features],
        "outputs": [
            {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": LABELS},
            {**shares, "labels": LABELS},
        ],
        "columns": columns(table),
    }


def shipped_cases(model: Any, rows: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> list[Any]:
    """Five held-out biopsies of each class that the model decides rightly."""
    answers = model.predict(rows)
    cases: list[Any] = []
    for label, name in enumerate(LABELS):
        for place in np.flatnonzero((truth == label) & (answers == label))[:5]:
            row = rows[place : place + 1]
            cases.append(
                {
                    "name": f"{name} {len(cases) % 5 + 1}",
                    "inputs": [tensor("features", "FP32", [1, 30], row)],
                    "expected": [
                        tensor("class", "INT64", [1], model.predict(row)),
                        tensor("probabilities", "FP32", [1, 2], model.predict_proba(row)),
                    ],
                    "tolerance": 1e-4,
                }
            )
    return cases


def tensor(name: str, datatype: str, shape: list[int], array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": array.ravel().tolist()}


def main() -> None:
    """Read, train, measure, and leave the model folder in outputs/model."""
    atrium.progress(0.1, "reading breast-cancer.csv")
    table = pd.read_csv(atrium.inputs() / "breast-cancer.csv")
    measures = table.drop(columns=["diagnosis", "split"])
    rows = measures.to_numpy(dtype=np.float32)
    truth = table["diagnosis"].map({name: at for at, name in enumerate(LABELS)}).to_numpy(dtype=np.int64)
    held_out = (table["split"] == "test").to_numpy()
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    atrium.progress(0.3, f"training on {len(train)} biopsies")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000))
    model.fit(rows[train], truth[train])

    atrium.progress(0.7, f"measuring on {len(test)} biopsies")
    answers = model.predict(rows[test])
    metrics = {
        "accuracy": float(accuracy_score(truth[test], answers)),
        "recall_malignant": float(recall_score(truth[test], answers, pos_label=0)),
        "roc_auc": float(roc_auc_score(truth[test], model.predict_proba(rows[test])[:, 1])),
    }
    card = CARD.format(
        rows=len(table),
        test=len(test),
        accuracy=metrics["accuracy"],
        recall=metrics["recall_malignant"],
        auc=metrics["roc_auc"],
        step=1 / len(test),
    )
    atrium.progress(0.9, "saving the model")
    atrium.save_model(
        model,
        atrium.outputs() / "model",
        signature=signature(measures),
        cases=shipped_cases(model, rows[test], truth[test]),
        input_example=rows[test][:3],
        card=card,
        parsing={
            "input": "inputs[?name=='features'].data | [0]",
            "answer": "outputs[?name=='class'].data | [0]",
            "score": "max(outputs[?name=='probabilities'].data | [0])",
        },
    )
    atrium.result(
        {
            "metrics": metrics,
            "parameters": {"C": 0.5, "seed": SEED},
            "rows": {"train": len(train), "test": len(test)},
        }
    )
    print(f"accuracy {metrics['accuracy']:.4f} on {len(test)} held-out biopsies", flush=True)


if __name__ == "__main__":
    main()
