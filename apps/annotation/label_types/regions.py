"""Types whose value is a list of regions with labels: spans of text, boxes, polygons, ranges of a series.

Coordinates on images are shares of width and height (0 to 1), so that they hold at any size on the screen.
Likeness is the mean intersection over union of the best matching (Hungarian method), labels and counts included.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from django.utils.translation import gettext_lazy

from apps.annotation.label_types.base import Example, LabelType, Setting, one_of, wrong
from apps.annotation.label_types.choices import DIGIT, TICKET
from apps.core.errors import Invalid
from apps.core.later import later
from apps.core.telling import say as _

if TYPE_CHECKING:
    import numpy as np
    import scipy.optimize as optimize
else:
    np, optimize = later("numpy"), later("scipy.optimize")

MOST_REGIONS = 1000
MOST_POINTS = 500
MOST_TOLD = 50
"""Places of one answer that a reader is told."""
MOST_CORNERS = 8
"""Corners of an outline that a reader is told, evenly chosen where it has more."""
_LONGEST_QUOTE = 60
_FINE = 20
"""So many steps of its last digit a span is long, where the digits that are kept suffice."""
_DIGITS = 6
_RASTER = 128
_RASTERS = 512
"""So many are kept, 16 KiB each: a vote is held against several others."""


class Regions(LabelType):
    """What the region types share. A region is an object with a label and its place."""

    fewest_labels = 1
    agree_at = 0.8
    is_regions = True
    begins_from_value = True

    def clean(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(region, dict) for region in value):
            raise wrong(_("A list of regions is needed."))
        if len(value) > MOST_REGIONS:
            raise wrong(_("At most %(n)d regions can be kept.") % {"n": MOST_REGIONS})
        cleaned = [
            self.place(region, setting) | {"label": one_of(region.get("label"), setting.labels)}
            for region in value
        ]
        unique = {repr(region): region for region in cleaned}
        return sorted(unique.values(), key=repr)

    def text(self, value: Any) -> str:
        counted: dict[str, int] = {}
        for region in value:
            counted[region["label"]] = counted.get(region["label"], 0) + 1
        return ", ".join(f"{n} × {label}" for label, n in sorted(counted.items())) or "–"

    def places(self, value: Any, setting: Setting) -> list[str]:
        told = [f"{region['label']}: {self.where(region, setting)}" for region in value[:MOST_TOLD]]
        more = len(value) - MOST_TOLD
        return told + ([_("… and %(n)d more") % {"n": more}] if more > 0 else [])

    def labels_in(self, value: Any) -> set[str]:
        return {region["label"] for region in value}

    def likeness(self, one: Any, other: Any) -> float:
        if not one or not other:
            return float(not one and not other)
        overlaps = np.array(
            [[self.overlap(a, b) if a["label"] == b["label"] else 0.0 for b in other] for a in one]
        )
        rows, columns = optimize.linear_sum_assignment(overlaps, maximize=True)
        return float(overlaps[rows, columns].sum() / max(len(one), len(other)))

    def to_label_studio(self, value: Any, setting: Setting) -> list[dict[str, Any]]:
        return [
            {"id": f"r{number}", "from_name": "label", "to_name": "input", "type": self.studio_type}
            | ({"original_width": 100, "original_height": 100, "image_rotation": 0} if self.on_image else {})
            | {"value": self.to_studio(region) | {self.studio_type: [region["label"]]}}
            for number, region in enumerate(value)
        ]

    def from_label_studio(self, result: Sequence[Mapping[str, Any]], setting: Setting) -> Any:
        """A region with several labels, as it takes them, is one region for each."""
        found = []
        for part in result:
            if part.get("type") != self.studio_type:
                continue
            value = part.get("value", {})
            labels = value.get(self.studio_type) or [None]
            try:
                found += [self.from_studio(value) | {"label": label} for label in labels]
            except (KeyError, TypeError, ValueError) as error:
                raise wrong(_("a region of the result cannot be read: %(why)s") % {"why": error}) from error
        return found

    studio_type: str
    on_image = False

    @abstractmethod
    def place(self, region: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
        """The region's checked place. Raises Invalid."""

    @abstractmethod
    def where(self, region: Mapping[str, Any], setting: Setting) -> str:
        """The place for a reader."""

    @abstractmethod
    def overlap(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        """Intersection over union of two places."""

    @abstractmethod
    def to_studio(self, region: Mapping[str, Any]) -> dict[str, Any]:
        """The place as Label Studio writes it."""

    @abstractmethod
    def from_studio(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The place that Label Studio wrote."""


def _number(region: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = region.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(_("A region's %(name)s must be a number.") % {"name": name})
    if not low - 1e-6 <= value <= high + 1e-6:
        raise wrong(
            _("A region's %(name)s is %(value)s; it must lie from %(low)s to %(high)s.")
            % {"name": name, "value": value, "low": low, "high": high}
        )
    return round(min(max(float(value), low), high), _DIGITS)


def _shared(a: float, b: float, c: float, d: float) -> float:
    """Intersection over union of the intervals [a, b] and [c, d]."""
    both = min(b, d) - max(a, c)
    return max(0.0, both) / (max(b, d) - min(a, c)) if max(b, d) > min(a, c) else 0.0


def _reach(across: Sequence[float], down: Sequence[float]) -> str:
    """From where to where something goes on an image, in percent from its upper left."""
    return f"x {_span(across)}, y {_span(down)}"


def _span(line: Sequence[float]) -> str:
    """Has decimals where it is short, to a twentieth of it: boxes that read alike mean the same to `agree_at`."""
    low, high = 100 * min(line), 100 * max(line)
    most = _DIGITS - 2
    digits = next((n for n in range(most) if round(high - low, most) * 10**n >= _FINE), most)
    return f"{low:.{digits}f}–{high:.{digits}f} %"


def _list_in(said: Any) -> list[Any] | None:
    """A list of places: as itself, or as text, which is how tensors carry it."""
    if isinstance(said, str):
        try:
            said = orjson.loads(said)
        except orjson.JSONDecodeError:
            return None
    return said[:MOST_REGIONS] if isinstance(said, list) else None


class Spans(Regions):
    """Stretches of a text. Value: [{start, end, label}], in characters, the end not included."""

    slug, title, shows = "spans", gettext_lazy("Stretches of text"), ("text",)
    studio_type = "labels"

    def place(self, region: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
        length = len(str(setting.first))
        start, end = (int(_number(region, name, 0, length)) for name in ("start", "end"))
        if end <= start:
            raise wrong(_("A stretch of text must end after it starts."))
        return {"start": start, "end": end}

    def proposed(
        self, answer: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], setting: Setting
    ) -> Any:
        """The places that the model named, less those that nobody could mark here: another label, off the text."""
        for spec in outputs:
            if (
                spec.get("kind") == "spans"
                and (said := _list_in(answer.get(str(spec.get("name"))))) is not None
            ):
                return self.clean([place for each in said for place in self._usable(each, setting)], setting)
        return None

    def _usable(self, region: Any, setting: Setting) -> list[dict[str, Any]]:
        try:
            return self.clean([region], setting)
        except Invalid:
            return []

    def where(self, region: Mapping[str, Any], setting: Setting) -> str:
        start, end = region["start"], region["end"]
        quoted = " ".join(str(setting.first)[start:end].split())
        short = quoted if len(quoted) <= _LONGEST_QUOTE else quoted[: _LONGEST_QUOTE - 1] + "…"
        return f"“{short}” ({start}–{end})"

    def overlap(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        return _shared(one["start"], one["end"], other["start"], other["end"])

    def to_studio(self, region: Mapping[str, Any]) -> dict[str, Any]:
        return {"start": region["start"], "end": region["end"]}

    def from_studio(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"start": int(value["start"]), "end": int(value["end"])}

    @property
    def example(self) -> Example:
        good: tuple[Any, ...] = (
            [{"start": 0, "end": 9, "label": "cell"}, {"start": 13, "end": 22, "label": "place"}],
            [{"start": 13, "end": 22, "label": "place"}],
            [],
        )
        bad = (
            [{"start": 9, "end": 9, "label": "cell"}],
            [{"start": 0, "end": 900, "label": "cell"}],
            [{"start": 0, "end": 4, "label": "none"}],
            [{"start": "0", "end": 4, "label": "cell"}],
            None, "cell", [3],
        )  # fmt: skip
        return Example(Setting(("cell", "place"), {}, {"text": TICKET}), good, bad, "text")


class Ranges(Regions):
    """Stretches of a series. Value: [{start, end, label}], positions in the series, ends included."""

    slug, title, shows = "ranges", gettext_lazy("Ranges of a series"), ("series",)
    studio_type = "timeserieslabels"

    def place(self, region: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
        last = len(setting.first) - 1 if isinstance(setting.first, list) else 0
        start, end = (_number(region, name, 0, last) for name in ("start", "end"))
        if end <= start:
            raise wrong(_("A range must end after it starts."))
        return {"start": start, "end": end}

    def where(self, region: Mapping[str, Any], setting: Setting) -> str:
        start, end = (repr(float(region[name])).removesuffix(".0") for name in ("start", "end"))
        return f"{start}–{end}"

    def overlap(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        return _shared(one["start"], one["end"], other["start"], other["end"])

    def to_studio(self, region: Mapping[str, Any]) -> dict[str, Any]:
        return {"start": region["start"], "end": region["end"], "instant": False}

    def from_studio(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"start": float(value["start"]), "end": float(value["end"])}

    @property
    def example(self) -> Example:
        series = [round(50 + 30 * math.sin(n / 6) + (40 if 40 <= n < 48 else 0), 1) for n in range(96)]
        good: tuple[Any, ...] = ([{"start": 40.0, "end": 48.0, "label": "surge"}], [])
        bad = (
            [{"start": 5, "end": 4, "label": "surge"}],
            [{"start": 5, "end": 400, "label": "surge"}],
            [{"start": float("nan"), "end": 4, "label": "surge"}],
            None, {"start": 1},
        )  # fmt: skip
        return Example(Setting(("surge", "outage"), {}, {"series": series}), good, bad, "series")


class Boxes(Regions):
    """Rectangles on an image. Value: [{x, y, width, height, label}], shares of the image, from its upper left."""

    slug, title, shows = "boxes", gettext_lazy("Boxes on an image"), ("image",)
    studio_type, on_image = "rectanglelabels", True

    def place(self, region: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
        x, y = _number(region, "x", 0, 1), _number(region, "y", 0, 1)
        width, height = _number(region, "width", 0, 1 - x), _number(region, "height", 0, 1 - y)
        if width <= 0 or height <= 0:
            raise wrong(_("A box needs a width and a height."))
        return {"x": x, "y": y, "width": width, "height": height}

    def where(self, region: Mapping[str, Any], setting: Setting) -> str:
        corners = [region["x"], region["x"] + region["width"]], [region["y"], region["y"] + region["height"]]
        return _reach(*corners)

    def overlap(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        wide = min(one["x"] + one["width"], other["x"] + other["width"]) - max(one["x"], other["x"])
        high = min(one["y"] + one["height"], other["y"] + other["height"]) - max(one["y"], other["y"])
        both = max(0.0, wide) * max(0.0, high)
        return float(both / (one["width"] * one["height"] + other["width"] * other["height"] - both))

    def to_studio(self, region: Mapping[str, Any]) -> dict[str, Any]:
        return {n: round(100 * region[n], _DIGITS - 2) for n in ("x", "y", "width", "height")} | {
            "rotation": 0
        }

    def from_studio(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if value.get("rotation"):
            raise ValueError(_("turned boxes are not known here"))
        return {name: float(value[name]) / 100 for name in ("x", "y", "width", "height")}

    @property
    def example(self) -> Example:
        good: tuple[Any, ...] = (
            [{"x": 0.1, "y": 0.0, "width": 0.6, "height": 0.5, "label": "loop"}],
            [{"x": 0.1, "y": 0.5, "width": 0.6, "height": 0.5, "label": "loop"}],
            [],
        )
        bad = (
            [{"x": 0.5, "y": 0, "width": 0.6, "height": 0.5, "label": "loop"}],
            [{"x": 0.5, "y": 0, "width": 0, "height": 0.5, "label": "loop"}],
            [{"x": "0", "y": 0, "width": 0.1, "height": 0.5, "label": "loop"}],
            [{"x": 0.5}], None,
        )  # fmt: skip
        return Example(Setting(("loop", "stroke"), {}, {"image": DIGIT}), good, bad, "image")


class Polygons(Regions):
    """Outlines on an image. Value: [{points: [[x, y], …], label}], shares of the image, three points or more."""

    slug, title, shows = "polygons", gettext_lazy("Outlines on an image"), ("image",)
    studio_type, on_image = "polygonlabels", True

    def place(self, region: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
        points = region.get("points")
        if not isinstance(points, list) or not 3 <= len(points) <= MOST_POINTS:
            raise wrong(_("An outline needs from 3 to %(n)d points.") % {"n": MOST_POINTS})
        if not all(isinstance(point, list | tuple) and len(point) == 2 for point in points):
            raise wrong(_("A point of an outline is a pair of numbers."))
        return {
            "points": [
                [_number({"x": x}, "x", 0, 1), _number({"y": y}, "y", 0, 1)] for x, y in points
            ]
        }  # fmt: skip

    def where(self, region: Mapping[str, Any], setting: Setting) -> str:
        across, down = zip(*region["points"], strict=True)
        told = {"reach": _reach(across, down), "n": len(across), "corners": _corners(region["points"])}
        return _("%(reach)s, %(n)d points: %(corners)s") % told

    def overlap(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        """By counting the points of a raster: exact to about a hundredth for outlines that matter."""
        outlines = [tuple(map(tuple, region["points"])) for region in (one, other)]
        if _apart(*outlines):
            return 0.0
        inside = [_raster(outline) for outline in outlines]
        union = (inside[0] | inside[1]).sum()
        return (
            float((inside[0] & inside[1]).sum() / union) if union else float(one["points"] == other["points"])
        )

    def to_studio(self, region: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "points": [[round(100 * x, 4), round(100 * y, 4)] for x, y in region["points"]],
            "closed": True,
        }

    def from_studio(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"points": [[float(x) / 100, float(y) / 100] for x, y in value["points"]]}

    @property
    def example(self) -> Example:
        good: tuple[Any, ...] = (
            [{"points": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.8]], "label": "loop"}],
            [{"points": [[0.1, 0.9], [0.9, 0.9], [0.5, 0.1]], "label": "loop"}],
            [],
        )
        bad = (
            [{"points": [[0.1, 0.1], [0.9, 0.1]], "label": "loop"}],
            [{"points": [[0.1, 0.1], [0.9, 0.1], [2, 2]], "label": "loop"}],
            [{"points": [1, 2, 3], "label": "loop"}],
            [{"label": "loop"}], None,
        )  # fmt: skip
        return Example(Setting(("loop", "stroke"), {}, {"image": DIGIT}), good, bad, "image")


def _corners(points: Sequence[Sequence[float]]) -> str:
    """The first corners, in percent: of two outlines from and to the same places they tell which is which. The round
    begins at the uppermost one, so that it does not matter where somebody began to draw.
    """
    first = min(range(len(points)), key=lambda place: (points[place][1], points[place][0]))
    turned = [*points[first:], *points[:first]]
    if len(turned) > MOST_CORNERS:
        step = len(turned) / MOST_CORNERS
        turned = [turned[int(number * step)] for number in range(MOST_CORNERS)]
    return " ".join(f"{100 * x:.4g}/{100 * y:.4g}" for x, y in turned)


_Outline = tuple[tuple[float, ...], ...]


def _apart(one: _Outline, other: _Outline) -> bool:
    """Whether no point can lie in both outlines, told by the boxes around them."""
    return any(
        max(a[axis] for a in one) < min(b[axis] for b in other)
        or max(b[axis] for b in other) < min(a[axis] for a in one)
        for axis in (0, 1)
    )


@lru_cache(_RASTERS)
def _raster(outline: _Outline) -> np.ndarray:
    """Which points of a grid lie inside, by the even-odd rule: each edge turns over what lies to its left."""
    at = (np.arange(_RASTER) + 0.5) / _RASTER
    ax, ay = np.array(outline, dtype=float).T
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    edge, row = np.nonzero((ay[:, None] > at) != (by[:, None] > at))
    crossing = (bx - ax)[edge] * (at[row] - ay[edge]) / (by - ay)[edge] + ax[edge]
    turns = np.zeros((_RASTER, _RASTER + 1), dtype=np.uint8)  # it may run over: only odd or even counts
    np.add.at(turns, (row, np.searchsorted(at, crossing)), 1)
    return np.asarray((turns[:, ::-1].cumsum(1, dtype=np.uint8)[:, -2::-1] & 1).view(bool))
