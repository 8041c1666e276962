"""Data keys of capabilities, and reading what was encrypted to them in the call log.

A capability's key changes every day. The private half stands encrypted in the row; when retention deletes the
row nobody can read the calls of that day any more, wherever copies of them lie.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, TypeGuard
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.utils import timezone

from apps.catalog.models import Capability, Version
from apps.core import secrets
from apps.gateway.dataplane.sealing import INFO, Sealers, bound_to, hidden
from apps.gateway.models import SEALED_VALUES, STEPS, DataKey

RENEWED_AFTER = timedelta(days=1)
KEYS = ("inputs", "outputs")
MASK = "encrypted"
DROPPED = "not kept"
GONE = {"unreadable": "its key has been deleted"}


def rules_of(signature: dict[str, Any] | None) -> dict[str, Any]:
    """What the data plane must not write as it is, from a signature; {} when nothing is sensitive."""
    signature = signature or {}
    rules: dict[str, Any] = {}
    for key in KEYS:
        found = {
            tensor["name"]: _mode(tensor["sensitive"])
            for tensor in signature.get(key, [])
            if tensor.get("sensitive")
        }
        if found:
            rules[key] = found
    if (columns := _columns(signature)) is not None:
        name, rule = columns
        rules.setdefault("inputs", {}).setdefault(name, rule)
    return rules


def _mode(given: bool | str) -> str:
    return "drop" if given == "drop" else "encrypt"


def _columns(signature: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The table input and the rule of its sensitive columns."""
    columns = signature.get("columns") or []
    modes = {column["name"]: _mode(column["sensitive"]) for column in columns if column.get("sensitive")}
    table = [spec for spec in signature.get("inputs", []) if list(spec["shape"])[-1:] == [len(columns)]]
    if not modes or not table:
        return None
    places = {column["name"]: place for place, column in enumerate(columns) if column["name"] in modes}
    return table[0]["name"], {"names": modes, "places": places, "width": len(columns)}


def encrypts(signature: dict[str, Any] | None) -> bool:
    """Whether something in a signature is written encrypted, so that the capability needs a key."""
    rules = rules_of(signature)
    flat = [rule for key in rules.values() for rule in key.values()]
    return any(
        "encrypt" in rule["names"].values() if isinstance(rule, dict) else rule == "encrypt" for rule in flat
    )


def public_keys(capabilities: Iterable[int]) -> dict[int, dict[str, str]]:
    """{capability: what the gateway is told of its newest key}."""
    rows = (
        DataKey.objects.filter(capability__in=list(capabilities))
        .order_by("capability", "-pk")
        .distinct("capability")
    )
    return {row.capability_id: {"key": str(row.pk), "public": row.public} for row in rows}


def renew_keys(now: datetime | None = None) -> int:
    """Make today's key for each capability that writes encrypted fields; returns how many were made."""
    now = now or timezone.now()
    versions = Version.objects.filter(status=Version.Status.PACKAGED).values_list("capability", "signature")
    need = {capability for capability, signature in versions if encrypts(signature)}
    fresh = set(
        DataKey.objects.filter(capability__in=need, created_at__gt=now - RENEWED_AFTER).values_list(
            "capability", flat=True
        )
    )
    for pk in sorted(need - fresh):
        make_key(Capability.objects.get(pk=pk))
    return len(need - fresh)


def make_key(capability: Capability) -> DataKey:
    """A new data key; what is logged from now on is encrypted to it."""
    private = X25519PrivateKey.generate()
    return DataKey.objects.create(
        capability=capability,
        public=base64.b64encode(private.public_key().public_bytes_raw()).decode(),
        private=secrets.encrypt(base64.b64encode(private.private_bytes_raw()).decode()),
    )


def with_steps(values: Any) -> Any:
    """Logged values with the steps of a composite capability as a list: jsonb does not keep the order of names."""
    if not isinstance(values, dict) or STEPS in values:
        return values
    steps = {name: value for name, value in values.items() if isinstance(value, dict) and "ms" in value}
    if not steps:
        return values
    others = {name: value for name, value in values.items() if name not in steps}
    return {**others, STEPS: [{"name": name, **value} for name, value in steps.items()]}


def is_hidden(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether something logged or said stands there encrypted or dropped, whole."""
    return isinstance(value, dict) and (value.keys() == {"sealed", "key"} or value == {"dropped": True})


def shown(value: Any) -> Any:
    """A value for those who may not read what is hidden: a word in place of it."""
    if not is_hidden(value):
        return value
    return MASK if "sealed" in value else DROPPED


def reveal(value: Any, call: UUID) -> Any:
    """A hidden value read again; it says so when its key is gone, or when nothing was kept."""
    if not is_hidden(value) or "sealed" not in value:
        return shown(value)
    plain = _open(value, call)
    return GONE["unreadable"] if plain is None else orjson.loads(plain)


def masked_values(logged: Any) -> dict[str, Any]:
    """What a model's code logged, with a word in place of what is hidden."""
    return {name: shown(value) for name, value in logged.items()} if isinstance(logged, dict) else {}


def open_values(logged: Any, call: UUID) -> dict[str, Any]:
    """The same read again."""
    if not isinstance(logged, dict) or SEALED_VALUES not in logged:
        return masked_values(logged)
    found = with_steps(reveal(logged[SEALED_VALUES], call))
    return found if isinstance(found, dict) else {**logged, SEALED_VALUES: found}


def hidden_feedback(version: Version, call: UUID, said: dict[str, Any]) -> dict[str, Any] | None:
    """What a person says of a version's call, as it may be kept; None when nothing is sensitive there."""
    rules = rules_of(version.signature)
    if not rules:
        return None
    key = public_keys([version.capability_id]).get(version.capability_id)
    return hidden(said, rules, Sealers().of(key, str(call)))


def has_sealed(document: Any) -> bool:
    """Whether something in a logged body is encrypted."""
    return any(
        "sealed" in tensor or "sealed_columns" in tensor
        for _key, tensors in _tensors(document)
        for tensor in tensors
    )


def masked(document: Any) -> Any:
    """A logged body for reading, with a word in place of each encrypted text."""
    document = deepcopy(document)
    for _key, tensors in _tensors(document):
        for tensor in tensors:
            if tensor.pop("sealed", None) is not None:
                tensor.pop("key", None)
                tensor.pop("binary", None)
                tensor["data"] = MASK
            columns = tensor.pop("sealed_columns", None)
            if isinstance(columns, dict):
                tensor["encrypted_columns"] = sorted(columns)
    return document


def open_document(document: Any, call: UUID) -> Any:
    """A call's logged body with its encrypted fields read; a field says so whose key is gone.

    Callers can write what looks sealed: only what the gateway sealed for this very call is opened.
    """
    document = deepcopy(document)
    for _key, tensors in _tensors(document):
        for tensor in tensors:
            if "sealed" in tensor:
                _open_tensor(tensor, call)
            columns = tensor.pop("sealed_columns", None)
            for name, column in columns.items() if isinstance(columns, dict) else ():
                _open_column(tensor, name, column, call)
    return document


def _tensors(document: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    if not isinstance(document, dict):
        return []
    lists = {key: document[key] for key in KEYS if isinstance(document.get(key), list)}
    return [(key, [each for each in found if isinstance(each, dict)]) for key, found in lists.items()]


def _open_tensor(tensor: dict[str, Any], call: UUID) -> None:
    plain = _open({"key": tensor.pop("key", ""), "sealed": tensor.pop("sealed")}, call)
    binary = tensor.pop("binary", False)
    if plain is None:
        tensor.update(GONE)
    elif binary:
        tensor["data"] = _decoded(tensor, plain)
    else:
        tensor["data"] = orjson.loads(plain)


def _decoded(tensor: dict[str, Any], raw: bytes) -> Any:
    """The numbers of a tensor that went over the wire as bytes."""
    from atrium.oip import decode_request, write_json

    head = {**tensor, "parameters": {"binary_data_size": len(raw)}}
    text = orjson.dumps({"inputs": [head]})
    return write_json(decode_request(text + raw, len(text)).inputs[0])["data"]


def _open_column(tensor: dict[str, Any], name: str, column: Any, call: UUID) -> None:
    plain = _open(column, call)
    if plain is None:
        tensor.setdefault("unreadable_columns", {})[name] = GONE["unreadable"]
        return
    data, values, at = tensor["data"], orjson.loads(plain), column["at"]
    if data and isinstance(data[0], list):
        for row, value in zip(data, values, strict=False):
            row[at] = value
    elif values:
        width = len(data) // len(values)
        for place, value in enumerate(values):
            data[place * width + at] = value


def _open(told: Any, call: UUID) -> bytes | None:
    """The plain text; None when the key is gone, or when this is not what the gateway sealed for the call."""
    try:
        key, raw = str(told["key"]), base64.b64decode(told["sealed"])
        row = DataKey.objects.filter(pk=int(key)).first()
        if row is None:
            return None
        private = X25519PrivateKey.from_private_bytes(base64.b64decode(secrets.decrypt(row.private)))
        theirs, nonce, text = raw[:32], raw[32:44], raw[44:]
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
        cipher = AESGCM(HKDF(hashes.SHA256(), 32, theirs, INFO).derive(shared))
        return cipher.decrypt(nonce, text, bound_to(key, str(call)))
    except (KeyError, TypeError, ValueError, InvalidTag):
        return None
