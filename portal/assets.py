"""What browsers load: our own `static/` and, of each npm package, only the files named here.

A template says `{% static 'vendor/htmx.min.js' %}`. Whole `dist` folders cannot be collected: they refer to
source maps and fonts that they do not contain.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import brotli
from django.contrib.staticfiles.finders import BaseFinder
from django.core import checks
from django.core.files.storage import FileSystemStorage
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

from portal.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NODE_MODULES = ROOT / "node_modules"

#: Name under /static/ → file in node_modules.
VENDOR = {
    "vendor/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "vendor/tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    "vendor/htmx.min.js": "htmx.org/dist/htmx.min.js",
    "vendor/xterm.css": "@xterm/xterm/css/xterm.css",
    "vendor/xterm.mjs": "@xterm/xterm/lib/xterm.mjs",
    "vendor/xterm-addon-fit.mjs": "@xterm/addon-fit/lib/addon-fit.mjs",
    "vendor/xterm-addon-search.mjs": "@xterm/addon-search/lib/addon-search.mjs",
    "vendor/xterm-addon-web-links.mjs": "@xterm/addon-web-links/lib/addon-web-links.mjs",
    "vendor/plotly-strict.min.js": "plotly.js-strict-dist-min/plotly-strict.min.js",
    "vendor/swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
    "vendor/swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
}

#: The same for what device bundles carry: found by name, but never served by the portal itself.
BUNDLED = {
    "vendor/onnxruntime-web.mjs": "onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
    "vendor/onnxruntime-web.wasm": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
}
SOURCES = {**VENDOR, **BUNDLED}


class VendorFiles(FileSystemStorage):
    """The allowed files of node_modules under the names that templates use."""

    def __init__(self) -> None:
        super().__init__(location=NODE_MODULES)

    def path(self, name: str) -> str:
        return str(NODE_MODULES / SOURCES[name])


class VendorFinder(BaseFinder):
    """Finds the allowed files of node_modules, and nothing else there."""

    storage = VendorFiles()

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """An asset that is not installed is named before anything is collected."""
        lacks = [name for name, source in SOURCES.items() if not (NODE_MODULES / source).is_file()]
        hint = "run `make assets`"
        if needed := [VENDOR[name] for name in lacks if name in VENDOR]:
            return [checks.Error(f"node_modules lacks {', '.join(needed)}", hint=hint, id="portal.E001")]
        told = ", ".join(BUNDLED[name] for name in lacks)
        words = f"node_modules lacks {told}: no device bundle can be made"
        return [checks.Warning(words, hint=hint, id="portal.W001")] if lacks else []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        if path not in SOURCES or not Path(self.storage.path(path)).is_file():
            return []
        return [self.storage.path(path)] if find_all else self.storage.path(path)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, VendorFiles]]:
        return ((name, self.storage) for name in VENDOR)


class QuickCompressor(Compressor):
    """Brotli at level 9: a tenth larger than at its default 11 and ten times faster."""

    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=9))


class Storage(CompressedManifestStaticFilesStorage):
    """Names with content hashes, compressed once.

    Leaves out the rules for source maps, which we do not ship, and follows the imports between our own modules.
    """

    patterns = (
        ("*.css", CompressedManifestStaticFilesStorage.patterns[0][1][:2]),
        ("js/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )

    def create_compressor(self, **kwargs: Any) -> Compressor:
        """WhiteNoise asks here for what compresses each file."""
        return QuickCompressor(**kwargs)

    def url_converter(self, name: str, hashed_files: Any, template: str | None = None) -> Any:
        """As Django's, but a package may name a file that we left out (a font in an old format)."""
        convert = super().url_converter(name, hashed_files, template)

        def convert_or_keep(match: re.Match[str]) -> str:
            if name.startswith("js/") and match["url"][:1] not in "./":
                return match["matched"]  # a name of the page's import map
            try:
                return str(convert(match))
            except ValueError:
                if name in VENDOR:
                    return match["matched"]
                raise

        return convert_or_keep
