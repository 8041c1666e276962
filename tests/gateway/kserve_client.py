"""`kserve_client.py PORT KEY`: what KServe's own inference client sees at a gateway; has an environment of its own."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def main(port: str, key: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    # A copy each time: the client writes into it.
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
    seen: dict[str, object] = {
        "live": await client.is_server_live(url),
        "server_ready": await client.is_server_ready(url),
        "ready": await client.is_model_ready(url, "digits", headers=dict(headers)),
    }
    for binary in (False, True):
        tensor = InferInput("number", [3], "FP64")
        tensor.set_data_from_numpy(np.array([1.0, 2.0, 4.0]), binary_data=binary)
        wanted = [RequestedOutput("twice", {"binary_data": binary})]
        asked = InferRequest("digits", [tensor], request_id="mine", request_outputs=wanted)
        answer = await client.infer(url, asked, model_name="digits", headers=dict(headers))
        seen[f"binary {binary}"] = [answer.id, answer.outputs[0].as_numpy().tolist()]
    try:
        letter = InferInput("letter", [1], "FP64")
        letter.set_data_from_numpy(np.array([1.0]), binary_data=False)
        wrong = InferRequest("digits", [letter])
        await client.infer(url, wrong, model_name="digits", headers=dict(headers))
    except httpx.HTTPStatusError as refusal:
        seen["refused"] = refusal.response.text or str(refusal)
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
