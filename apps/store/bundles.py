"""The device bundle: a version that runs without the portal, as one zip file that is made while it is sent.

It holds the ONNX model, the shipped cases and the card as they lie in the package; bundle.json with the digest and
what it is made of; and a page that runs the model by onnxruntime-web from the folder: without a server, without a net.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.translation import get_language

from apps.catalog.selectors import text_of
from apps.core import objects

if TYPE_CHECKING:
    from apps.catalog.models import Version

FORMAT = "atrium-bundle/1"
MODEL = "model.onnx"
LARGEST_IN_PAGE = 96 << 20
"""A larger model is chosen on the page as a file: a browser would not take it as text."""
_KEPT = ("cases.json", "card.md", "package.json", "environment.lock")
_RUNTIME = ("vendor/onnxruntime-web.mjs", "vendor/onnxruntime-web.wasm")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 3 << 18
"""Bytes at once: a multiple of three, so that the parts of base64 can be joined."""


def file_name(version: Version) -> str:
    """What the zip file is called."""
    return f"{version.capability.slug}-{version.number}-bundle.zip"


def onnx_path(version: Version) -> str | None:
    """Where the package has its ONNX model; None when it is served by its own framework."""
    if version.runtime != "onnx":
        return None
    try:
        entry = json.loads(text_of(version, "package.json") or "{}").get("entry") or {}
    except ValueError:
        return None
    path = str(entry.get("onnx") or MODEL)
    return path if path in version.manifest else None


def bundle_of(version: Version, path: str) -> Iterator[bytes]:
    """The bytes of the zip file, in parts. `path` is the package's ONNX model."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, parts in _contents(version, path):
            with archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as file:
                for part in parts:
                    file.write(part)
                    yield pipe.taken()
    yield pipe.taken()


def _contents(version: Version, path: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    model = version.manifest[path]
    told = facts_of(version, path)
    text = render_to_string("store/bundle/index.html", {"bundle": told, "language": get_language()})
    yield "index.html", [text.encode()]
    yield "README.md", [render_to_string("store/bundle/readme.md", {"bundle": told}).encode()]
    yield "bundle.json", [json.dumps(told, indent=1, ensure_ascii=False).encode()]
    yield MODEL, _stored(model["sha256"])
    for name in _KEPT:
        if name in version.manifest:
            yield name, _stored(version.manifest[name]["sha256"])
    yield "page/run.js", [Path(_found("js/bundle.js")).read_bytes()]
    yield "page/runtime.js", [_runtime()]
    yield "page/facts.js", [_facts_script(version, told)]
    if told["model"]["in_page"]:
        yield "page/model.js", _script("bundleModel", _stored(model["sha256"]))


def facts_of(version: Version, path: str) -> dict[str, Any]:
    """What bundle.json says: from `package` the digest can be computed again, as `atrium.package` has it."""
    model = version.manifest[path]
    return {
        "format": FORMAT,
        "capability": version.capability.slug,
        "name": version.capability.name,
        "version": version.number,
        "digest": version.digest,
        "model": {**model, "file": MODEL, "path": path, "in_page": model["size"] <= LARGEST_IN_PAGE},
        "signature": version.signature,
        "package": {name: entry["sha256"] for name, entry in sorted(version.manifest.items())},
    }


def _facts_script(version: Version, told: dict[str, Any]) -> bytes:
    cases = json.loads(text_of(version, "cases.json") or "[]")
    return f"window.bundleFacts = {json.dumps({**told, 'cases': cases})};\n".encode()


@cache
def _runtime() -> bytes:
    """onnxruntime-web as a script of texts: a page that is opened from a folder may load no module and no file."""
    code, binary = (Path(_found(name)).read_bytes() for name in _RUNTIME)
    told = {"code": code.decode(), "wasm": base64.b64encode(binary).decode()}
    return f"window.bundleRuntime = {json.dumps(told)};\n".encode()


def _found(name: str) -> str:
    path = finders.find(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not among the static files; run `make assets`")
    return str(path)


def _stored(sha256: str) -> Iterator[bytes]:
    with objects.open_object(sha256) as stream:
        while part := stream.read(_CHUNK):
            yield part


def _script(name: str, parts: Iterable[bytes]) -> Iterator[bytes]:
    yield f'window.{name} = "'.encode()
    rest = b""
    for part in parts:
        whole = rest + part
        rest = whole[len(whole) - len(whole) % 3 :]
        yield base64.b64encode(whole[: len(whole) - len(rest)])
    yield base64.b64encode(rest) + b'";\n'


class _Pipe(io.RawIOBase):
    """What the zip file's writer has written and nobody has sent yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
