"""Write one folder per kind of model that an author may hand in. Runs in the base environment."""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import atrium
from atrium.frameworks.sklearn import to_onnx
from atrium.signature import parse_signature

ROOT = Path(sys.argv[1])
CHANCE = np.random.default_rng(1)
IMAGES = CHANCE.integers(0, 17, (200, 4, 4)).astype(np.float32)
SIDES = (IMAGES[:, :, :2].sum(axis=(1, 2)) > IMAGES[:, :, 2:].sum(axis=(1, 2))).astype(np.int64)
IMAGE = {
    "name": "image",
    "datatype": "FP32",
    "shape": [-1, 4, 4],
    "kind": "image",
    "minimum": 0,
    "maximum": 16,
}
CLASS = {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class", "labels": ["right", "left"]}
SHARES = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}
SIDE = {"inputs": [IMAGE], "outputs": [CLASS, SHARES]}
TWICE = """\
import time

import atrium

def load(folder):
    print("loaded", flush=True)

def predict(inputs):
    number = inputs["number"]
    if (number < 0).any():
        raise ValueError("negative")
    if (number > 1000).any():
        time.sleep(float(number.max()) / 1000)
    atrium.log("half", number / 2)
    return {"twice": number * atrium.parameters().get("times", 2)}
"""


def forest():
    model = RandomForestClassifier(10, random_state=1).fit(IMAGES.reshape(200, 16), SIDES)
    atrium.save_model(model, ROOT / "forest", signature=SIDE, input_example=IMAGES[:3], card="# Sides\n")


def line():
    """As a plain joblib file beside a signature."""
    folder = ROOT / "joblib"
    folder.mkdir()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(IMAGES.reshape(200, 16), SIDES)
    joblib.dump(model, folder / "side.joblib")
    (folder / "signature.json").write_text(json.dumps(SIDE))


def regression():
    """Without any signature: the estimator tells it."""
    folder = ROOT / "bare-estimator"
    folder.mkdir()
    joblib.dump(LinearRegression().fit(IMAGES.reshape(200, 16), SIDES), folder / "model.pkl")


def bare_onnx():
    folder = ROOT / "bare-onnx"
    folder.mkdir()
    model = LogisticRegression().fit(IMAGES.reshape(200, 16), SIDES)
    (folder / "model.onnx").write_bytes(to_onnx(model, parse_signature(SIDE)))


def columns():
    """A pipeline with a column of texts, handed in as MLflow itself writes it."""
    import mlflow

    table = pd.DataFrame({"site": CHANCE.choice(["north", "south"], 200), "load": CHANCE.uniform(0, 1, 200)})
    wanted = ((table["site"] == "north") & (table["load"] > 0.4)).astype(int)
    parts = [("site", OneHotEncoder(handle_unknown="ignore"), ["site"]), ("load", StandardScaler(), ["load"])]
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(table, wanted)
    signature = mlflow.models.infer_signature(table, model.predict(table))
    mlflow.sklearn.save_model(
        model,
        str(ROOT / "columns"),
        signature=signature,
        input_example=table.head(3),
        serialization_format="cloudpickle",
    )


def python():
    folder = ROOT / "twice"
    folder.mkdir()
    (folder / "model.py").write_text(TWICE)
    signature = {
        "inputs": [{"name": "number", "datatype": "FP64", "shape": [-1]}],
        "outputs": [{"name": "twice", "datatype": "FP64", "shape": [-1]}],
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    tensor = {"datatype": "FP64", "shape": [2]}
    case = {
        "name": "one and two",
        "inputs": [{"name": "number", **tensor, "data": [1, 2]}],
        "expected": [{"name": "twice", **tensor, "data": [2, 4]}],
    }
    (folder / "cases.json").write_text(json.dumps([case]))


def pyfunc():
    """MLflow's own wrapper around any Python class."""
    import mlflow

    class Half(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return np.asarray(model_input, dtype=np.float32).sum(axis=1) / 2

    rows = np.ones((2, 3), dtype=np.float32)
    signature = mlflow.models.infer_signature(rows, rows.sum(axis=1) / 2)
    mlflow.pyfunc.save_model(
        str(ROOT / "pyfunc"), python_model=Half(), signature=signature, input_example=rows
    )


def network():
    """Matrix products, which can become int8."""
    model = make_pipeline(MinMaxScaler(), MLPClassifier((64,), max_iter=400, random_state=1))
    model.fit(IMAGES.reshape(200, 16), SIDES)
    atrium.save_model(model, ROOT / "network", signature=SIDE, input_example=IMAGES[:5])
    names = [f"p{at}" for at in range(16)]
    table = pd.DataFrame(IMAGES.reshape(200, 16), columns=names).assign(label=SIDES)
    table["split"] = ["train" if at < 150 else "test" for at in range(200)]
    golden = ROOT / "golden"
    golden.mkdir()
    table.to_csv(golden / "rows.csv", index_label="id")


for make in (forest, line, regression, bare_onnx, columns, python, pyfunc, network):
    make()
