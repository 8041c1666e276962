"""Files that labels come in and go out by. Each format says which label types it can carry.

Sources: labelstud.io/guide/task_format and export (read for 1.23), CoNLL-2003, cocodataset.org/#format-data,
docs.ultralytics.com/datasets/detect.
"""

from apps.annotation.formats.base import Format, Item
from apps.annotation.formats.lines import Conll, Csv, Jsonl
from apps.annotation.formats.pictures import Coco, Yolo
from apps.annotation.formats.studio import LabelStudio, LabelStudioMin

__all__ = ["FORMATS", "Format", "Item"]

FORMATS: dict[str, Format] = {
    form.slug: form for form in (Jsonl(), LabelStudio(), LabelStudioMin(), Csv(), Conll(), Coco(), Yolo())
}
