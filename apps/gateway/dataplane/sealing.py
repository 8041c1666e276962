"""Takes sensitive fields out of bodies before they are logged: encrypted, or dropped.

The gateway knows only the public half of a capability's data key (X25519), so it can write what it cannot read.
Each process agrees on an AES-256-GCM key with it by a key pair of its own, made anew every hour.

A sealed value is base64 of: our public key (32 bytes), nonce (12), ciphertext. Its plain text is the JSON of
`data`, or the raw bytes of a binary tensor. Sealed tensors leave the body and stand in the record's facts. A value
is bound to its call: sent again in another one, by somebody who read it sealed, it cannot be opened there.
"""

from __future__ import annotations

import base64
import os
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

DROP = "drop"
RENEW_SECONDS = 3600.0
MOST_PLAIN = 64 << 20
INFO = b"atrium call log"
WINDOWS = {b"gzip": 31, b"deflate": 15}


class Sealer:
    """Encrypts to one data key of a capability."""

    def __init__(self, key: str, public: str) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self.key = key
        self.until = time.monotonic() + RENEW_SECONDS
        ours = X25519PrivateKey.generate()
        shared = ours.exchange(X25519PublicKey.from_public_bytes(base64.b64decode(public)))
        self._public = ours.public_key().public_bytes_raw()
        self._cipher = AESGCM(HKDF(hashes.SHA256(), 32, self._public, INFO).derive(shared))

    def seal(self, plain: bytes, call: str) -> str:
        nonce = os.urandom(12)
        sealed = self._cipher.encrypt(nonce, plain, bound_to(self.key, call))
        return base64.b64encode(self._public + nonce + sealed).decode()


def bound_to(key: str, call: str) -> bytes:
    """What a sealed value is authenticated with beside itself: the id of the data key, and of the call."""
    return f"{key} {call}".encode()


@dataclass(frozen=True, slots=True)
class CallSealer:
    """Encrypts the values of one call."""

    sealer: Sealer
    call: str

    def seal(self, plain: bytes) -> dict[str, str]:
        return {"sealed": self.sealer.seal(plain, self.call), "key": self.sealer.key}


class Sealers:
    """The sealers that a process uses, by data key."""

    def __init__(self) -> None:
        self._kept: dict[str, Sealer] = {}

    def of(self, seal: dict[str, str] | None, call: str) -> CallSealer | None:
        """The sealer of a capability's call; None when it has no key, and then everything sensitive is dropped."""
        if not seal:
            return None
        found = self._kept.get(seal["key"])
        if found is None or found.until < time.monotonic():
            found = self._kept[seal["key"]] = Sealer(seal["key"], seal["public"])
        return CallSealer(found, call)


@dataclass(slots=True)
class Body:
    """A body without its sensitive tensors, and those tensors sealed."""

    body: bytes
    json_bytes: str | None
    tensors: list[dict[str, Any]] = field(default_factory=list)


def plain(body: bytes, coding: bytes) -> bytes:
    """A body without its compression. Raises ValueError for what is cut, too large or unknown."""
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    if coding not in WINDOWS:
        raise ValueError("an unknown content encoding")
    unpacker = zlib.decompressobj(WINDOWS[coding])
    try:
        found = unpacker.decompress(body, MOST_PLAIN)
    except zlib.error as problem:
        raise ValueError(str(problem)) from problem
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("the body is cut, or too large")
    return found


def without_sensitive(
    body: bytes, json_bytes: str | None, key: str, rules: dict[str, Any], sealer: CallSealer | None
) -> Body:
    """Take the sensitive tensors and columns out of a body; `key` is inputs or outputs.

    `rules`: {tensor: "encrypt" | "drop" | {"names": {column: mode}, "places": {column: index}, "width": n}}.
    Raises ValueError (also of JSON) when the body cannot be read: then nothing of it may be kept.
    """
    length = int(json_bytes) if json_bytes else len(body)
    document = orjson.loads(body[:length])
    tensors = document[key]
    if not isinstance(tensors, list):
        raise TypeError(f"{key} is no list")
    chunks, kept = _Chunks(body, length), []
    found = Body(b"", None)
    for tensor in tensors:
        raw = chunks.of(tensor)
        rule = rules.get(tensor["name"])
        if isinstance(rule, dict) and raw is None:
            _take_columns(tensor, rule, sealer)
            rule = None
        if rule is None:
            kept.append(tensor)
            chunks.keep(raw)
        else:
            found.tensors.append(_sealed(tensor, raw, _whole(rule), sealer))
    text = orjson.dumps({**document, key: kept})
    found.body = text + chunks.kept
    found.json_bytes = str(len(text)) if chunks.kept else None
    return found


def hidden(value: Any, rules: dict[str, Any], sealer: CallSealer | None) -> dict[str, Any]:
    """What may repeat something sensitive, and cannot be told apart: all of it encrypted, or all of it dropped."""
    if sealer is None or not encrypts(rules):
        return {"dropped": True}
    return sealer.seal(orjson.dumps(value))


def encrypts(rules: dict[str, Any]) -> bool:
    """Whether anything of {"inputs": …, "outputs": …} may be read again by permission."""
    return any(_whole(rule) != DROP for part in rules.values() for rule in part.values())


def without_values(text: str, rules: dict[str, Any], sealer: CallSealer | None) -> tuple[str, dict[str, Any]]:
    """What a model's code logged: of the steps of a composite the time that each took, and all of it hidden."""
    try:
        values = orjson.loads(text)
        steps = {
            name: {"ms": value["ms"]}
            for name, value in values.items()
            if isinstance(value, dict) and isinstance(value.get("ms"), int | float)
        }
    except (ValueError, AttributeError):
        return "", {"dropped": True}
    return orjson.dumps(steps).decode() if steps else "", hidden(values, rules, sealer)


class _Chunks:
    """The binary part of a body, tensor by tensor."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self._at = body, at
        self.kept = b""

    def of(self, tensor: dict[str, Any]) -> bytes | None:
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is None:
            return None
        if not isinstance(size, int) or not 0 <= size <= len(self._body) - self._at:
            raise ValueError("binary_data_size does not fit the body")
        self._at += size
        return self._body[self._at - size : self._at]

    def keep(self, raw: bytes | None) -> None:
        if raw is not None:
            self.kept += raw


def _whole(rule: Any) -> str:
    """The mode of a binary tensor with sensitive columns: all of it, encrypted when any column may be read again."""
    if isinstance(rule, dict):
        return DROP if set(rule["names"].values()) == {DROP} else "encrypt"
    return str(rule)


def _sealed(
    tensor: dict[str, Any], raw: bytes | None, mode: str, sealer: CallSealer | None
) -> dict[str, Any]:
    told: dict[str, Any] = {name: tensor[name] for name in ("name", "shape", "datatype") if name in tensor}
    if mode == DROP or sealer is None:
        return {**told, "dropped": True}
    value = orjson.dumps(tensor.get("data")) if raw is None else raw
    return {**told, **sealer.seal(value), **({"binary": True} if raw is not None else {})}


def _take_columns(tensor: dict[str, Any], rule: dict[str, Any], sealer: CallSealer | None) -> None:
    """Replace sensitive columns by null, and keep the encrypted ones beside the data."""
    data, width = tensor["data"], rule["width"]
    nested = bool(data) and isinstance(data[0], list)
    rows = data if nested else [data[at : at + width] for at in range(0, len(data), width)]
    sealed = {}
    for name, mode in rule["names"].items():
        place = rule["places"][name]
        values = [row[place] for row in rows]
        for row in rows:
            row[place] = None
        if mode != DROP and sealer is not None:
            sealed[name] = {"at": place, **sealer.seal(orjson.dumps(values))}
    tensor["data"] = rows if nested else [value for row in rows for value in row]
    if sealed:
        tensor["sealed_columns"] = sealed
