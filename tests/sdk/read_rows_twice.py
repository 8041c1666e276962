"""Reads files of chance twice, with the numbers expected and without. `read_rows_twice.py FOLDER`

Prints JSON: the files of which the two say something else, and how many there were with plain numbers.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from atrium.rows import Rows, Unusable

FILES = 1500
NUMBERS = ["1", "2.5", "-3e4", "0", " 7", "+1", ".5", "1."]
ODD = ["", "x", " ", "é", "1e999", "nan", "\0", "12345678901234567890", "0x10", "1_0"]


def content(chance: random.Random) -> str:
    """A file that is nearly one of plain rows."""
    width, delimiter = chance.choice([1, 1, 2, 3]), chance.choice(",;\t")
    end = chance.choice(["\n", "\r\n"])
    text = delimiter.join("abc"[:width]) + end
    for _row in range(chance.randint(0, 6)):
        cells = width if chance.random() < 0.95 else chance.randint(0, 4)
        row = [chance.choice(ODD if chance.random() < 0.05 else NUMBERS) for _cell in range(cells)]
        if row and chance.random() < 0.05:
            row[0] = f'"{row[0]}"'
        text += delimiter.join(row)
        text += end if chance.random() < 0.93 else chance.choice(["\n", "\r\n", "\r", "\n\n", ""])
    return text.rstrip("\r\n") if chance.random() < 0.3 else text


def read(path: Path, *, expected: bool) -> tuple[Any, bool]:
    """What the rows are, or why there are none; whether all of them could be read as numbers at once."""
    try:
        table = Rows(path)
        if expected:
            table.expect_numbers(table.header)
        blocks = list(table.blocks())
        numbers = [block.numbers_of(table.header) for block in blocks]
        told = [(list(block.numbers), block.rows, block.part(1, 3).rows) for block in blocks]
    except Unusable as error:
        return error.facts, False
    at_once = bool(numbers) and all(each is not None for each in numbers)
    if at_once:
        rows = [[float(cell) for cell in row.values()] for block in blocks for row in block.rows]
        assert rows == [row for each in numbers if each is not None for row in each.tolist()], (
            path.read_text()
        )
    return told, at_once


def main(folder: Path) -> dict[str, Any]:
    """Read them all."""
    chance, path = random.Random(0), folder / "rows"
    differ: list[str] = []
    at_once = 0
    for _file in range(FILES):
        path.write_text(text := content(chance), encoding="utf-8", newline="")
        (found, plain), (otherwise, _) = read(path, expected=True), read(path, expected=False)
        differ += [text] if found != otherwise else []
        at_once += plain
    return {"differ": differ, "at_once": at_once}


if __name__ == "__main__":
    print("\n" + json.dumps(main(Path(sys.argv[1]))))
