"""LitServe with its defaults. MODEL names a joblib file, PORT the port."""

import os

import joblib
import litserve
import numpy as np


class Digits(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(os.environ["MODEL"])

    def decode_request(self, request):
        return np.array(request["x"], dtype="float32")

    def predict(self, x):
        return self.model.predict(x)

    def encode_response(self, output):
        return {"y": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Digits(), accelerator="cpu")
    server.run(port=int(os.environ["PORT"]), host="127.0.0.1", generate_client_file=False)
