"""The inference client, sync and async, on the standard library alone."""

import asyncio
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any
from urllib.parse import quote

from atrium import errors, settings
from atrium.client import deprecation
from atrium.http import Answer, Http
from atrium.oip import (
    JSON_LENGTH_HEADER,
    InvalidTensor,
    OutputRequest,
    Request,
    Tensor,
    decode_response,
    encode_request,
)
from atrium.oip.tensors import DATATYPES

GUESSES = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES", bytes: "BYTES"}


@dataclass(frozen=True, slots=True)
class Prediction(Mapping[str, Any]):
    """The outputs of one call by name, nested lists in the shape of each output; texts are `str`."""

    outputs: dict[str, Any]
    request_id: str
    version: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)


class Client:
    """Calls one capability; safe to share between threads.

    Address and key come from the arguments, else from ATRIUM_GATEWAY_URL and ATRIUM_KEY, else from what
    `atrium login` kept. Raises the classes of `atrium.errors`. That what answers is deprecated is said once, as a
    FutureWarning with the day of its end and the version to call instead.
    """

    def __init__(
        self,
        capability: str,
        *,
        key: str | None = None,
        url: str | None = None,
        version: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
    ) -> None:
        kept = settings.load()
        self.capability = capability
        self._http = Http(url or kept.gateway, timeout_s=timeout_s, retries=retries, token=key or kept.key)
        self._path = f"/v2/models/{quote(capability, safe='')}"
        if version is not None:
            self._path += f"/versions/{quote(version, safe='')}"
        self._metadata: dict[str, Any] | None = None
        self._warned: set[str] = set()

    def metadata(self) -> dict[str, Any]:
        """Names, datatypes and shapes of inputs and outputs; asked for once."""
        if self._metadata is None:
            self._metadata = dict(self._http.json("GET", self._path))
        return self._metadata

    def ready(self) -> bool:
        """Whether a call would be answered now."""
        try:
            return bool(self._http.json("GET", f"{self._path}/ready")["ready"])
        except errors.AtriumError:
            return False

    def infer(
        self,
        inputs: Mapping[str, Any],
        *,
        outputs: list[str] | None = None,
        request_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        binary: bool = False,
    ) -> Prediction:
        """Call with values by input name: nested lists, arrays, tensors, or one item without the leading axis.

        `binary` sends and asks for tensors as bytes, which is worth it from about a thousand numbers on.
        """
        specs = {spec["name"]: spec for spec in self.metadata()["inputs"]}
        if not isinstance(inputs, Mapping):
            takes = ", ".join(f"{name} ({spec['datatype']} {spec['shape']})" for name, spec in specs.items())
            raise errors.InvalidInput(
                f"inputs is a {type(inputs).__name__}; give values by input name, like "
                f"{{{next(iter(specs), 'x')!r}: …}}. {self.capability} takes {takes}"
            )
        request = Request(
            [
                value if isinstance(value, Tensor) else as_tensor(name, value, specs.get(name))
                for name, value in inputs.items()
            ],
            request_id,
            dict(parameters or {}),
            [OutputRequest(name) for name in outputs or []],
        )
        if binary:
            request.parameters.setdefault("binary_data_output", True)
        try:
            body, length = encode_request(request, binary=binary)
        except InvalidTensor as error:
            raise errors.InvalidInput(str(error)) from error
        headers = {"Content-Type": "application/json" if length is None else "application/octet-stream"}
        if length is not None:
            headers[JSON_LENGTH_HEADER] = str(length)
        answer = self._http.request("POST", f"{self._path}/infer", body, headers)
        if (told := deprecation.told_by(answer.headers, self.capability)) and told not in self._warned:
            self._warned.add(told)
            warnings.warn(told, FutureWarning, stacklevel=2)
        return _prediction(answer)

    def feedback(
        self, request_id: str, *, correct: bool | None = None, expected: Any = None, comment: str = ""
    ) -> None:
        """Say about an earlier call whether its answer was right, or what it should have been."""
        document = {"request_id": request_id, "correct": correct, "expected": expected, "comment": comment}
        given = {key: value for key, value in document.items() if value not in (None, "")}
        self._http.json("POST", "/v1/feedback", given)


class AsyncClient:
    """The same for asyncio: calls run in threads, so that nothing blocks the loop."""

    def __init__(self, capability: str, **options: Any) -> None:
        self._client = Client(capability, **options)

    async def metadata(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._client.metadata)

    async def ready(self) -> bool:
        return await asyncio.to_thread(self._client.ready)

    async def infer(self, inputs: Mapping[str, Any], **options: Any) -> Prediction:
        return await asyncio.to_thread(self._client.infer, inputs, **options)

    async def feedback(self, request_id: str, **options: Any) -> None:
        await asyncio.to_thread(self._client.feedback, request_id, **options)


def as_tensor(name: str, value: Any, spec: Mapping[str, Any] | None) -> Tensor:
    """A value as a tensor of the capability's datatype; an item without the leading axis gets it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    flat, shape = _flatten(name, value)
    if spec is not None:
        wanted = spec["shape"]
        if len(shape) == len(wanted) - 1 and wanted and wanted[0] == -1:
            shape = [1, *shape]
        datatype = str(spec["datatype"])
    else:
        datatype = GUESSES.get(type(flat[0]) if flat else float, "FP64")
    if datatype not in DATATYPES:
        raise errors.InvalidInput(f"input '{name}': this client does not know the datatype {datatype}")
    return Tensor(name, datatype, tuple(shape), [_element(name, datatype, entry) for entry in flat])


def _element(name: str, datatype: str, value: Any) -> Any:
    if datatype != "BYTES" and not isinstance(value, Real | None):
        raise errors.InvalidInput(f"input '{name}' is {datatype} and takes numbers, not {value!r:.80}")
    if datatype == "BYTES" and not isinstance(value, bytes):
        return str(value).encode()
    if datatype.startswith("FP") and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _flatten(name: str, value: Any) -> tuple[list[Any], list[int]]:
    if not isinstance(value, list | tuple):
        return [value], []
    shape = [len(value)]
    flat = list(value)
    while flat and all(isinstance(entry, list | tuple) for entry in flat):
        sizes = {len(entry) for entry in flat}
        if len(sizes) != 1:
            raise errors.InvalidInput(f"input '{name}': its rows have different lengths: {sorted(sizes)}")
        shape.append(sizes.pop())
        flat = [inner for entry in flat for inner in entry]
    return flat, shape


def _prediction(answer: Answer) -> Prediction:
    length = answer.headers.get(JSON_LENGTH_HEADER.lower())
    try:
        response = decode_response(answer.body, int(length) if length else None)
    except ValueError as error:
        raise errors.Failed(f"the answer cannot be read: {error}", answer.status) from error
    outputs = {tensor.name: _nested(tensor) for tensor in response.outputs}
    request_id = answer.headers.get("x-request-id", "")
    return Prediction(outputs, request_id, response.model_version or "", response.parameters)


def _nested(tensor: Tensor) -> Any:
    values: list[Any] = list(tensor.flat())
    if tensor.datatype == "BYTES":
        values = [_text(value) for value in values]
    for size in reversed(tensor.shape[1:]):
        if size == 0:
            return _empty(tensor.shape)
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return values if tensor.shape else values[0]


def _empty(shape: tuple[int, ...]) -> Any:
    return (
        [] if math.prod(shape[:1]) == 0 or len(shape) == 1 else [_empty(shape[1:]) for _ in range(shape[0])]
    )


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


__all__ = ["AsyncClient", "Client", "Prediction", "as_tensor"]
