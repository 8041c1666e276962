"""A tiny real runner: answers inference over a unix socket with the sum of each row. `echo.py PATH`"""

from __future__ import annotations

import asyncio
import os
import sys

import orjson
import uvicorn


def tensor_sum(body: bytes) -> dict:
    request = orjson.loads(body)
    tensor = request["inputs"][0]
    rows = tensor["shape"][0]
    data = tensor["data"]
    step = max(1, len(data) // rows)
    sums = [float(sum(data[i * step : (i + 1) * step])) for i in range(rows)]
    return {
        "model_name": "m",
        "model_version": os.environ.get("VERSION", "1.0.0"),
        **({"id": request["id"]} if "id" in request else {}),
        "outputs": [{"name": "sum", "datatype": "FP64", "shape": [rows], "data": sums}],
    }


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    status, headers = 200, [(b"content-type", b"application/json")]
    if body.startswith(b"DIE"):
        os._exit(9)
    if body.startswith(b"SLEEP"):
        await asyncio.sleep(float(body[5:]))
    try:
        if b"PICKY" in body and os.environ.get("PICKY"):
            raise ValueError(body)
        answer = orjson.dumps(tensor_sum(body))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, ZeroDivisionError) as problem:
        status, answer = 400, orjson.dumps({"error": f"bad input: {problem!r}"})
    if values := os.environ.get("VALUES"):
        headers.append((b"atrium-values", values.encode()))
    headers.append((b"content-length", str(len(answer)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, uds=sys.argv[1], log_level="warning", access_log=False)
