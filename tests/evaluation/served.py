"""Real models behind a real socket that speaks the protocol, for the evaluation to call; and their data."""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from atrium import logged
from atrium.oip import Response, decode_request, encode_response
from atrium.oip.arrays import from_array, to_array

Answer = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Kind:
    """A task with a signature, rows, a good model and a worse one."""

    task: str
    signature: dict[str, Any]
    rows: list[dict[str, Any]]
    good: Answer
    worse: Answer
    target: str = "y"
    most_wrong: dict[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> np.ndarray:
        return np.array([row[self.target] for row in self.rows], dtype=object)


def digits() -> Kind:
    data = load_digits()
    half = len(data.data) // 2
    models = [
        LogisticRegression(C=c, max_iter=300).fit(data.data[:half], data.target[:half]) for c in (1, 1e-5)
    ]

    def answer(model: Any) -> Answer:
        def call(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            flat = np.nan_to_num(inputs["image"].reshape(len(inputs["image"]), -1), posinf=0, neginf=0)
            spread = model.predict_proba(flat)
            return {"class": spread.argmax(1).astype(np.int64), "probabilities": spread.astype(np.float32)}

        return call

    names = [f"p{n}" for n in range(64)]
    rows = [
        dict(zip(names, map(float, data.data[i]), strict=True)) | {"y": str(data.target[i])}
        for i in range(half, half + 300)
    ]
    signature = {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8], "kind": "image"}],
        "outputs": [
            {
                "name": "class",
                "datatype": "INT64",
                "shape": [-1],
                "kind": "class",
                "labels": list("0123456789"),
            },
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10], "kind": "probabilities"},
        ],
    }
    return Kind("classification", signature, rows, answer(models[0]), answer(models[1]))


def diabetes() -> Kind:
    data = load_diabetes()
    models = [Ridge(alpha=alpha).fit(data.data[:240], data.target[:240]) for alpha in (0.01, 1000.0)]

    def answer(model: Any) -> Answer:
        return lambda inputs: {
            "progression": model.predict(np.nan_to_num(inputs["features"], posinf=0, neginf=0)).astype(
                np.float64
            )
        }

    rows = [
        dict(zip(data.feature_names, map(float, data.data[i]), strict=True))
        | {"y": str(data.target[i]), "group": "f" if data.data[i][1] > 0 else "m"}
        for i in range(240, 442)
    ]
    signature = {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 10]}],
        "columns": [{"name": name} for name in data.feature_names],
        "outputs": [{"name": "progression", "datatype": "FP64", "shape": [-1], "kind": "value"}],
    }
    return Kind("regression", signature, rows, answer(models[0]), answer(models[1]))


def cell_load() -> Kind:
    """Generated: the daily wave of a radio cell, 24 hours in, 6 hours out."""
    rng = np.random.default_rng(3)
    start = rng.uniform(0, 24, 400)
    hours = start[:, None] + np.arange(30)
    series = 50 + 30 * np.sin(hours * np.pi / 12) + rng.normal(0, 2, hours.shape)
    model = Ridge().fit(series[:200, :24], series[:200, 24:])

    def good(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"next": model.predict(np.nan_to_num(inputs["past"], posinf=0, neginf=0))}

    def worse(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"next": np.repeat(np.nan_to_num(inputs["past"][:, -1:]), 6, axis=1)}  # "as it is now"

    rows = [
        {f"h{n:02}": float(series[i, n]) for n in range(24)} | {"y": json.dumps(series[i, 24:].tolist())}
        for i in range(200, 400)
    ]
    signature = {
        "inputs": [{"name": "past", "datatype": "FP64", "shape": [-1, 24], "kind": "series"}],
        "columns": [{"name": f"h{n:02}"} for n in range(24)],
        "outputs": [{"name": "next", "datatype": "FP64", "shape": [-1, 6], "kind": "series"}],
    }
    return Kind("forecasting", signature, rows, good, worse)


def tickets() -> Kind:
    """Generated: where a fault ticket names a site and a device."""
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(200):
        site, device = f"GD-{rng.integers(100, 999)}", f"OLT{rng.integers(1, 99)}"
        text = f"{site} lost contact, {device} shows no light" if rng.random() < 0.8 else f"{site} is noisy"
        spans = [{"start": 0, "end": len(site), "label": "site"}]
        if device in text:
            spans.append(
                {"start": text.index(device), "end": text.index(device) + len(device), "label": "device"}
            )
        rows.append({"text": text, "y": json.dumps(spans), "length": "long" if len(text) > 30 else "short"})

    def finder(**patterns: str) -> Answer:
        def spans_of(text: str) -> str:
            return json.dumps(
                [
                    {"start": m.start(), "end": m.end(), "label": label}
                    for label, pattern in patterns.items()
                    for m in re.finditer(pattern, text)
                ]
            )

        return lambda inputs: {
            "spans": np.array([spans_of(str(t)) for t in inputs["text"].ravel()], dtype=object)
        }

    signature = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}],
        "outputs": [{"name": "spans", "datatype": "BYTES", "shape": [-1], "kind": "spans"}],
    }
    good, worse = finder(site=r"GD-\d+", device=r"OLT\d+"), finder(site=r"GD-\d", device=r"OLT\d+")
    return Kind("text_spans", signature, rows, good, worse)


KINDS = {"classification": digits, "regression": diabetes, "forecasting": cell_load, "text_spans": tickets}


@contextmanager
def serving(**models: Answer) -> Iterator[str]:
    """A server on a free port: POST /<model> answers with that model. Gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            json_bytes = self.headers.get("Inference-Header-Content-Length")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = decode_request(body, int(json_bytes) if json_bytes else None)
            values = logged.start()
            with np.errstate(all="ignore"):
                outputs = models[self.path.strip("/")]({t.name: to_array(t) for t in asked.inputs})
            tensors = [from_array(name, values) for name, values in outputs.items()]
            body, _length = encode_response(Response(model_name="m", outputs=tensors))
            self.send_response(200)
            if values:
                self.send_header("Atrium-Values", json.dumps(logged.plain(values)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    target = folder / "inputs" / "data" / "test.csv"
    target.parent.mkdir(parents=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
