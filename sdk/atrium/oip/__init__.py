"""The Open Inference Protocol v2: messages in JSON and binary, tensors, and errors that say what to do."""

from atrium.oip.messages import (
    JSON_LENGTH_HEADER,
    OutputRequest,
    Request,
    Response,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from atrium.oip.tensors import DATATYPES, InvalidTensor, Tensor, read_json, write_json

__all__ = [
    "DATATYPES",
    "JSON_LENGTH_HEADER",
    "InvalidTensor",
    "OutputRequest",
    "Request",
    "Response",
    "Tensor",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "read_json",
    "write_json",
]
