"""Image files of a version: sizes, modes and classes, read from their headers. No picture is decoded here.

PNG, JPEG, GIF and BMP are read by Pillow's plug-ins for these, which parse headers in Python; any other file is no
image for this purpose. The class of an image is the folder that it lies in, as ImageFolder has it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from apps.datasets.splitting import named_part

FORMATS = ("PNG", "JPEG", "GIF", "BMP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp"})
MOST_TOLD = 50
MOST_BROKEN = 20
THUMBNAILS = 24
LARGEST_THUMBNAIL = 256 << 10


def image_files(manifest: Mapping[str, Any]) -> list[str]:
    """The image files of a manifest, by how they are called."""
    return [path for path in sorted(manifest) if PurePosixPath(path).suffix.lower() in SUFFIXES]


def class_of(path: str) -> str:
    """The folder that an image lies in; nothing where that only says its part of a split, or there is none."""
    folder = PurePosixPath(path).parent
    return "" if not folder.name or named_part(f"{folder.name}/x") else folder.name


@dataclass
class Images:
    """Looks at images one after the other; `statistics()` at the end."""

    count: int = 0
    bytes: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    classes: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    broken: list[str] = field(default_factory=list)

    def read(self, path: str, stream: BinaryIO, size: int) -> None:
        """Take one more image into account; what cannot be read as one is counted as broken."""
        from PIL import Image, UnidentifiedImageError  # only who looks at images needs it

        self.count += 1
        self.bytes += size
        try:
            with Image.open(stream, formats=FORMATS) as image:
                width, height, mode, kind = *image.size, image.mode, image.format or ""
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
            self.broken.append(path)
            return
        self.sizes[f"{width} × {height}"] += 1
        self.modes[mode] += 1
        self.formats[kind] += 1
        self.classes[class_of(path)].append((width, height))

    def statistics(self) -> dict[str, Any]:
        """Nothing when there is no image; else counts, extremes, and the same by class."""
        if not self.count:
            return {}
        every = [size for sizes in self.classes.values() for size in sizes]
        ordered = sorted(self.classes, key=lambda name: (-len(self.classes[name]), name))
        return {
            "count": self.count,
            "bytes": self.bytes,
            "broken": len(self.broken),
            "broken_files": self.broken[:MOST_BROKEN],
            **_extremes(every),
            "sizes": dict(self.sizes.most_common(MOST_TOLD)),
            "distinct_sizes": len(self.sizes),
            "modes": dict(self.modes.most_common()),
            "formats": dict(self.formats.most_common()),
            "classes": {
                name: {"count": len(self.classes[name]), **_extremes(self.classes[name])}
                for name in ordered[:MOST_TOLD]
                if name
            },
            "distinct_classes": len([name for name in self.classes if name]),
        }


def _extremes(sizes: list[tuple[int, int]]) -> dict[str, Any]:
    if not sizes:
        return {}
    widths, heights = sorted(size[0] for size in sizes), sorted(size[1] for size in sizes)
    middle = len(sizes) // 2
    return {
        "width": {"minimum": widths[0], "median": widths[middle], "maximum": widths[-1]},
        "height": {"minimum": heights[0], "median": heights[middle], "maximum": heights[-1]},
    }


def shown(manifest: Mapping[str, Any]) -> list[str]:
    """The images to look at: small ones, one of each class in turn."""
    by_class: dict[str, list[str]] = defaultdict(list)
    for path in image_files(manifest):
        if manifest[path]["size"] <= LARGEST_THUMBNAIL:
            by_class[class_of(path)].append(path)
    turns = [(place, name, path) for name, paths in by_class.items() for place, path in enumerate(paths)]
    return [path for _place, _name, path in sorted(turns)[:THUMBNAILS]]
