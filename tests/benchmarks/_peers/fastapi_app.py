"""The usual hand-written service: FastAPI, pydantic, scikit-learn. MODEL names a joblib file."""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL"])
app = FastAPI()


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(BaseModel):
    inputs: list[Tensor]


@app.post("/v2/models/digits/infer")
def infer(request: Request):
    tensor = request.inputs[0]
    answer = model.predict(np.array(tensor.data, dtype="float32").reshape(tensor.shape))
    output = {"name": "class", "datatype": "INT64", "shape": list(answer.shape), "data": answer.tolist()}
    return {"model_name": "digits", "outputs": [output]}
