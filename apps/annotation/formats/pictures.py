"""Formats of labelled images: COCO and YOLO, both as a zip with the images beside."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from apps.annotation.formats.base import Format, Item, Shape, no_file, whole_number
from apps.core.errors import Invalid
from apps.core.telling import say as _

_MOST_UNPACKED = 4 << 30
_LARGEST_IMAGE = 16 << 20
_DATA = re.compile(r"data:image/(png|jpeg|gif|webp);base64,(.+)", re.DOTALL)
_MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


def image_of(item: Item) -> tuple[str, bytes, int, int]:
    """Suffix, bytes, width and height of a task's image. Raises Invalid."""
    value = next(iter(item.inputs.values()), None)
    if isinstance(value, str):
        found = _DATA.fullmatch(value)
        try:
            content = base64.b64decode(found[2], validate=True) if found else b""
        except binascii.Error:
            content = b""
        if found and content:
            return found[1], content, *_size_of(content, item.pk)
    pixels = _rows_of(value)
    if not pixels:
        raise Invalid(_("Task %(pk)d holds no image.") % {"pk": item.pk})
    return "png", _png(pixels), len(pixels[0]), len(pixels)


def _rows_of(value: Any) -> list[list[float]]:
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(row, list) and len(row) == len(value[0]) and row for row in value):
        return value
    side = round(len(value) ** 0.5)
    if side * side != len(value) or not all(isinstance(cell, int | float) for cell in value):
        return []
    return [value[at : at + side] for at in range(0, len(value), side)]


def _png(rows: list[list[float]]) -> bytes:
    """A grey image, the largest value white."""
    top = max(max(row) for row in rows) or 1
    raw = b"".join(b"\x00" + bytes(max(0, min(255, round(255 * cell / top))) for cell in row) for row in rows)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def _size_of(content: bytes, pk: int) -> tuple[int, int]:
    """Width and height, read from the header of a PNG, GIF or JPEG."""
    if content.startswith(b"\x89PNG") and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return width, height
    if content.startswith(b"GIF8") and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
        return width, height
    at = 2
    while content.startswith(b"\xff\xd8") and at + 9 < len(content) and content[at] == 0xFF:
        if 0xC0 <= content[at + 1] <= 0xCF and content[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
    raise Invalid(_("The size of the image of task %(pk)d cannot be read.") % {"pk": pk})


def _address(content: bytes) -> str:
    kind = next((name for magic, name in _MAGIC.items() if content.startswith(magic)), None)
    if kind is None:
        raise Invalid(_("its image is no PNG, JPEG, GIF or WebP"))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _open(source: IO[bytes], what: str) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise no_file(what, error) from error
    if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
        raise no_file(what, _("it would be larger than 4 GiB unpacked"))
    return archive


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        if archive.getinfo(name).file_size > _LARGEST_IMAGE:
            raise Invalid(_("“%(name)s” is larger than 16 MiB") % {"name": name})
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise Invalid(_("“%(name)s” is not in the archive, or damaged") % {"name": name}) from error


class Coco(Format):
    """COCO: result.json with images, categories and annotations in pixels, and images/ beside."""

    slug, title, suffix, kinds = "coco", "COCO", "zip", ("boxes", "polygons")

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        numbers = {label: number for number, label in enumerate(shape.labels)}
        images: list[dict[str, Any]] = []
        marks: list[dict[str, Any]] = []
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for item in items():
                if not item.decided:
                    continue
                suffix, content, width, height = image_of(item)
                name = f"images/{item.pk}.{suffix}"
                archive.writestr(name, content)
                images.append({"id": item.pk, "file_name": name, "width": width, "height": height})
                for region in item.value:
                    place = _to_coco(region, width, height)
                    about = {"id": len(marks), "image_id": item.pk, "category_id": numbers[region["label"]]}
                    marks.append(about | place | {"iscrowd": 0, "ignore": 0})
            categories = [{"id": number, "name": label} for label, number in numbers.items()]
            told = {
                "images": images,
                "categories": categories,
                "annotations": marks,
                "info": {"version": "1.0"},
            }
            archive.writestr("result.json", json.dumps(told), zipfile.ZIP_DEFLATED)
        return len(images)

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        archive = _open(source, "COCO")
        try:
            told = json.loads(archive.read("result.json"))
            names = {entry["id"]: entry["name"] for entry in told["categories"]}
            by_image: dict[Any, list[Any]] = {}
            for mark in told["annotations"]:
                by_image.setdefault(mark["image_id"], []).append(mark)
            images = [(entry, by_image.get(entry["id"], [])) for entry in told["images"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise no_file("COCO", error) from error
        for image, marks in images:
            yield _coco_row(archive, image, marks, names, shape)


def _coco_row(
    archive: zipfile.ZipFile, image: Any, marks: list[Any], names: dict[Any, str], shape: Shape
) -> Any:
    try:
        address = _address(_member(archive, image["file_name"]))
        width, height = image["width"], image["height"]
        if not (whole_number(width) and whole_number(height) and width > 0 and height > 0):
            return Invalid(_("its width and height are no sizes"))
        regions = [
            _from_coco(mark, width, height, shape.kind.slug) | {"label": names.get(mark["category_id"])}
            for mark in marks
        ]
    except Invalid as error:
        return error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return Invalid(_("its annotations cannot be read: %(why)s") % {"why": error})
    return {"inputs": {"image": address}, "value": regions}


def _to_coco(region: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    if "points" in region:
        flat = [value for x, y in region["points"] for value in (x * width, y * height)]
        xs, ys = flat[::2], flat[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        around = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
        area = abs(sum(ax * by - bx * ay for ax, ay, bx, by in around)) / 2
        return {"segmentation": [flat], "bbox": box, "area": area}
    box = [region["x"] * width, region["y"] * height, region["width"] * width, region["height"] * height]
    return {"segmentation": [], "bbox": box, "area": box[2] * box[3]}


def _from_coco(mark: dict[str, Any], width: int, height: int, kind: str) -> dict[str, Any]:
    if kind == "polygons":
        flat = mark["segmentation"][0]
        return {"points": [[x / width, y / height] for x, y in zip(flat[::2], flat[1::2], strict=True)]}
    x, y, wide, high = mark["bbox"]
    return {"x": x / width, "y": y / height, "width": wide / width, "height": high / height}


class Yolo(Format):
    """YOLO: classes.txt, images/, and labels/ with `class x y width height` for each box, centres and shares."""

    slug, title, suffix, kinds = "yolo", "YOLO", "zip", ("boxes",)

    def write(self, items: Callable[[], Iterable[Item]], shape: Shape, out: IO[bytes]) -> int:
        numbers = {label: number for number, label in enumerate(shape.labels)}
        count = 0
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("classes.txt", "".join(f"{label}\n" for label in shape.labels))
            for item in items():
                if not item.decided:
                    continue
                suffix, content, _width, _height = image_of(item)
                archive.writestr(f"images/{item.pk}.{suffix}", content)
                lines = [_to_yolo(region, numbers) for region in item.value]
                archive.writestr(f"labels/{item.pk}.txt", "".join(lines))
                count += 1
        return count

    def read(self, source: IO[bytes], shape: Shape) -> Iterator[Any]:
        archive = _open(source, "YOLO")
        try:
            classes = archive.read("classes.txt").decode("utf-8").splitlines()
        except (KeyError, UnicodeDecodeError) as error:
            raise no_file("YOLO", error) from error
        names = [name for name in archive.namelist() if name.startswith("images/") and not name.endswith("/")]
        for name in sorted(names):
            yield _yolo_row(archive, name, classes)


def _to_yolo(region: dict[str, Any], numbers: dict[str, int]) -> str:
    wide, high = region["width"], region["height"]
    places = (region["x"] + wide / 2, region["y"] + high / 2, wide, high)
    return " ".join([str(numbers[region["label"]]), *(f"{place:.7f}" for place in places)]) + "\n"


def _yolo_row(archive: zipfile.ZipFile, name: str, classes: list[str]) -> Any:
    stem = name.removeprefix("images/").rpartition(".")[0]
    try:
        address = _address(_member(archive, name))
        text = _member(archive, f"labels/{stem}.txt").decode("utf-8")
        regions = [_from_yolo(line, classes) for line in text.splitlines() if line.strip()]
    except Invalid as error:
        return error
    except (ValueError, IndexError) as error:
        return Invalid(_("its annotations cannot be read: %(why)s") % {"why": error})
    return {"inputs": {"image": address}, "value": regions}


def _from_yolo(line: str, classes: list[str]) -> dict[str, Any]:
    number, *places = line.split()
    if not number.isdecimal():
        raise ValueError(line[:60])
    x, y, wide, high = (float(place) for place in places)
    return {
        "x": x - wide / 2,
        "y": y - high / 2,
        "width": wide,
        "height": high,
        "label": classes[int(number)],
    }
