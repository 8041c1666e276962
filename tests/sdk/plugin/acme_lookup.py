"""A framework plug-in as somebody else would write it: models that are a table of answers, `table.lookup`.

{"unknown": -1, "answers": {"red": 4, "green": 2}}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrium.frameworks.base import Array, CannotLoad, Detection, Framework, Model, Source
from atrium.signature import Signature, parse_signature


class Table:
    """Looks each text up."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._answers, self._unknown = dict(document["answers"]), int(document["unknown"])

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        words = [word.decode() if isinstance(word, bytes) else str(word) for word in inputs["word"].ravel()]
        return {"number": np.array([self._answers.get(word, self._unknown) for word in words], np.int64)}


class Lookup(Framework):
    name = "lookup"

    def detect(self, source: Source) -> Detection | None:
        file = source.single("*.lookup")
        return file and Detection(
            {"file": file.relative_to(source.root).as_posix()}, f"{file.name} is a table"
        )

    def load(self, root: Path, entry: Mapping[str, Any], signature: Signature | None) -> Model:
        try:
            return Table(json.loads((root / entry["file"]).read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise CannotLoad(f"{entry['file']} is no table of answers: {error}") from error

    def guess_signature(self, model: Model) -> Signature:
        word = {"name": "word", "datatype": "BYTES", "shape": [-1], "kind": "text", "example": ["red"]}
        return parse_signature(
            {"inputs": [word], "outputs": [{"name": "number", "datatype": "INT64", "shape": [-1]}]}
        )


class Impostor(Lookup):
    """Takes the name of a shipped framework, which is refused."""

    name = "sklearn"
