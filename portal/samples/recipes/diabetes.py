"""Train the diabetes capability: how far the disease has progressed after a year, by ridge regression."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import atrium

TARGET = "progression"
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
MEASURES: dict[str, tuple[str, str | None, str]] = {
    "age": ("Age", "years", ""),
    "sex": ("Sex", None, "1 or 2; the source does not say which is which"),
    "bmi": ("Body mass index", "kg/m²", ""),
    "bp": ("Mean blood pressure", "mmHg", ""),
    "tc": ("Cholesterol, total", "mg/dl", ""),
    "ldl": ("Low-density lipoproteins", "mg/dl", ""),
    "hdl": ("High-density lipoproteins", "mg/dl", ""),
    "tch": ("Total cholesterol ÷ HDL", None, ""),
    "ltg": ("Triglycerides, logarithm", None, "Natural logarithm of the serum triglycerides in mg/dl"),
    "glu": ("Blood sugar", "mg/dl", ""),
}

CARD = """\
---
language: [en]
license: bsd-3-clause
library_name: scikit-learn
tags: [tabular-regression, medicine, sample]
datasets: [diabetes]
metrics: [mae, r2]
---

# Diabetes progression

## Model details
Says from ten measures of a patient how far diabetes will have progressed a year later. Ridge regression on
standardised values; its strength ({strength:g}) was chosen by cross-validation on the training rows alone.

## Parameters
Input `features`, FP32 [-1, 10]: {measures}. Output `progression`, FP32 [-1]: the score of the source,
25 to 346 in its data.

## Quantitative analysis
On {test} patients that were held out of training (of {rows} in all, drawn with a fixed seed):

| measure | value |
|---|---|
| mean absolute error | {mae:.4f} |
| the same, always answering the mean | {naive:.4f} |
| R² | {r2:.4f} |

Ten measures explain less than half of how patients differ, so single answers are often 50 points off.

## Intended use
- **Users.** People who want to see a regression work. **It is a sample, not a medical device.**
- **Uses.** Teaching, trying forms, gates on errors, groups and residuals.

## Limits and risks
- **Limitations.** 442 patients of one study; nothing is known about treatment during the year.
- **Trade-offs.** A linear model is read off by its coefficients; forests were not better on so few rows.
- **Ethics.** Sex and age are inputs: the evaluation shows each group's error, the worst first.

## Data
Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression" (2004), as it ships inside scikit-learn, in its
original units.

## Contact
The team that owns it, named beside this card. It came with the portal, to try the portal.
"""


def signature(table: pd.DataFrame) -> dict[str, Any]:
    """What the capability takes and gives; ranges reach a quarter of the span beyond what training saw."""
    return {
        "inputs": [
            {
                "name": "features",
                "title": "Measures of the patient",
                "datatype": "FP32",
                "shape": [-1, len(MEASURES)],
                "kind": "number",
                "example": table.iloc[0].tolist(),
            }
        ],
        "outputs": [
            {
                "name": TARGET,
                "title": "Progression after a year",
                "datatype": "FP32",
                "shape": [-1],
                "kind": "value",
                "unit": "points",
            }
        ],
        "columns": [column(name, table[name]) for name in MEASURES],
    }


def column(name: str, values: "pd.Series[float]") -> dict[str, Any]:
    title, unit, description = MEASURES[name]
    spare = float(values.max() - values.min()) / 4
    document: dict[str, Any] = {
        "name": name,
        "title": title,
        "unit": unit,
        "description": description or None,
        "minimum": max(0.0, float(f"{values.min() - spare:.3g}")),
        "maximum": float(f"{values.max() + spare:.3g}"),
        "example": float(values.iloc[0]),
    }
    if name == "sex":
        document |= {"minimum": 1, "maximum": 2}
    return {key: value for key, value in document.items() if value is not None}


def shipped_cases(model: Any, rows: np.ndarray[Any, Any]) -> list[Any]:
    """Held-out patients from the lowest answer to the highest."""
    answers = model.predict(rows).astype(np.float32)
    places = np.argsort(answers)[np.linspace(0, len(rows) - 1, 8).astype(int)]
    return [
        {
            "name": f"{answers[place]:.0f} points",
            "inputs": [tensor("features", rows[place : place + 1])],
            "expected": [tensor(TARGET, answers[place : place + 1])],
            "tolerance": 0.05,
        }
        for place in places
    ]


def tensor(name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}


def main() -> None:
    """Read, train, measure, and leave the model folder in outputs/model."""
    atrium.progress(0.1, "reading diabetes.csv")
    table = pd.read_csv(atrium.inputs() / "diabetes.csv")
    measures = table[list(MEASURES)].astype(float)
    rows, truth = measures.to_numpy(np.float32), table[TARGET].to_numpy(np.float32)
    held_out = (table["split"] == "test").to_numpy()
    atrium.progress(0.3, f"training on {int((~held_out).sum())} patients")
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=STRENGTHS)).fit(rows[~held_out], truth[~held_out])

    atrium.progress(0.7, f"measuring on {int(held_out.sum())} patients")
    answers = model.predict(rows[held_out])
    metrics = {
        "mae": float(mean_absolute_error(truth[held_out], answers)),
        "r2": float(r2_score(truth[held_out], answers)),
        "mae_of_the_mean": float(np.abs(truth[held_out] - truth[~held_out].mean()).mean()),
    }
    strength = float(model[-1].alpha_)
    card = CARD.format(
        measures=", ".join(MEASURES),
        strength=strength,
        rows=len(table),
        test=int(held_out.sum()),
        mae=metrics["mae"],
        naive=metrics["mae_of_the_mean"],
        r2=metrics["r2"],
    )
    atrium.progress(0.9, "saving the model")
    atrium.save_model(
        model,
        atrium.outputs() / "model",
        signature=signature(measures),
        cases=shipped_cases(model, rows[held_out]),
        input_example=rows[held_out][:3],
        card=card,
        parsing={
            "input": "inputs[?name=='features'].data | [0]",
            "answer": "outputs[?name=='progression'].data | [0]",
        },
    )
    atrium.result(
        {
            "metrics": metrics,
            "parameters": {"alpha": strength},
            "rows": {"train": int((~held_out).sum()), "test": int(held_out.sum())},
        }
    )
    print(f"mean absolute error {metrics['mae']:.2f} on {int(held_out.sum())} held-out patients", flush=True)


if __name__ == "__main__":
    main()
