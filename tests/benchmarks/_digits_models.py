"""Trains the two models of the benchmark on scikit-learn's digits. `digits_models.py FOLDER [--atrium]`

Runs in the environment that will serve them: as joblib files for the peers, as sources of a package for us.
"""

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rows, labels = load_digits(return_X_y=True)
rows = rows.astype("float32")
MODELS = {
    "forest": RandomForestClassifier(n_estimators=50, max_depth=8, random_state=0).fit(rows, labels),
    "lr": LogisticRegression(max_iter=2000).fit(rows, labels),
}
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"}],
}
for name, model in MODELS.items():
    if "--atrium" in sys.argv:
        import atrium

        atrium.save_model(
            model, folder / name, signature=SIGNATURE, input_example=rows[:3], card=f"# {name}\n"
        )
    else:
        joblib.dump(model, folder / f"{name}.joblib")
(folder / "row.json").write_text(
    json.dumps({"row": rows[1].tolist(), "class": int(MODELS["forest"].predict(rows[1:2])[0])})
)
