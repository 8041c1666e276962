"""Write models of one framework as their authors hand them in; runs in an environment that has the framework."""

import json
import sys
from pathlib import Path

import numpy as np

ROOT, FRAMEWORK = Path(sys.argv[1]), sys.argv[2]
CHANCE = np.random.default_rng(3)
ROWS = CHANCE.normal(size=(200, 5)).astype(np.float32)
TWO = (ROWS[:, 0] > 0).astype(np.int64)
THREE = TWO + (ROWS[:, 1] > 0)
PRICE = ROWS[:, 0] * 2 + ROWS[:, 1]


def mlmodel(folder, flavour, **facts):
    """An MLmodel file as MLflow writes it, without its signature."""
    import yaml

    flavours = {flavour: facts, "python_function": {"loader_module": f"mlflow.{flavour}"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))


def folder(name):
    made = ROOT / name
    made.mkdir(parents=True)
    return made


def xgboost():
    import xgboost as xgb

    table = xgb.DMatrix(ROWS, label=TWO, feature_names=["a", "b", "c", "d", "e"])
    two = folder("xgboost-two")
    xgb.train({"objective": "binary:logistic"}, table, 10).save_model(two / "model.ubj")
    three = folder("xgboost-three")
    soft = {"objective": "multi:softmax", "num_class": 3}
    xgb.train(soft, xgb.DMatrix(ROWS, label=THREE), 10).save_model(three / "model.ubj")
    mlmodel(three, "xgboost", data="model.ubj", model_class="xgboost.core.Booster", model_format="ubj")
    price = folder("xgboost-price")
    xgb.train({"objective": "reg:squarederror"}, xgb.DMatrix(ROWS, label=PRICE), 10).save_model(
        price / "model.xgb"
    )


def lightgbm():
    import joblib
    import lightgbm as lgb

    quiet = {"verbose": -1}
    two = folder("lightgbm-two")
    lgb.train({"objective": "binary", **quiet}, lgb.Dataset(ROWS, label=TWO), 10).save_model(
        two / "model.lgb"
    )
    three = folder("lightgbm-three")
    model = lgb.LGBMClassifier(n_estimators=10, verbose=-1).fit(ROWS, THREE)
    joblib.dump(model, three / "model.pkl")
    mlmodel(three, "lightgbm", data="model.pkl", model_class="lightgbm.sklearn.LGBMClassifier")
    price = folder("lightgbm-price")
    lgb.train({"objective": "regression", **quiet}, lgb.Dataset(ROWS, label=PRICE), 10).save_model(
        price / "model.lgb"
    )


def pytorch():
    import torch

    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    signature = {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 5]}],
        "outputs": [
            {"name": "class", "datatype": "INT64", "shape": [-1], "kind": "class"},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3], "kind": "probabilities"},
        ],
    }
    example = torch.from_numpy(ROWS[:2])
    scripted = folder("pytorch-script")
    torch.jit.trace(net, example).save(str(scripted / "model.pt"))
    exported = folder("pytorch-export")
    batch = {0: torch.export.Dim("batch")}
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=(batch,)), exported / "model.pt2")
    flavour = folder("pytorch-mlflow")
    (flavour / "data").mkdir()
    torch.save(net, flavour / "data" / "model.pth")
    mlmodel(flavour, "pytorch", model_data="data", pytorch_version=str(torch.__version__))
    for made in (scripted, exported, flavour):
        (made / "signature.json").write_text(json.dumps(signature))


globals()[FRAMEWORK]()
