"""What people can be asked for: each label type is one class behind the interface of `base`.

A further one is a class that is registered here, a template `annotation/types/<slug>.html`, and nothing else;
`tests/annotation/test_label_types.py` is the contract that it has to keep.
"""

from apps.annotation.label_types.base import LabelType, Setting
from apps.annotation.label_types.choices import Multi, Pairwise, Rating, Rows, Single, Taxonomy, Text
from apps.annotation.label_types.regions import Boxes, Polygons, Ranges, Spans

__all__ = ["TYPES", "LabelType", "Setting", "type_named"]

TYPES: dict[str, LabelType] = {
    kind.slug: kind
    for kind in (
        Single(),
        Multi(),
        Taxonomy(),
        Spans(),
        Boxes(),
        Polygons(),
        Ranges(),
        Rows(),
        Text(),
        Rating(),
        Pairwise(),
    )
}


def type_named(slug: str) -> LabelType:
    """The label type of a project. Raises KeyError for one that is not known."""
    return TYPES[slug]
