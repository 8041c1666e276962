"""A Parquet file as lines of JSON, for the portal: `python -m atrium.parquet_lines < file.parquet`.

What is no finite number is null, bytes are told by their number, dates and decimals are texts.
"""

import json
import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = 2048
READ_AHEAD = 1 << 20


def told(value: Any) -> str:
    """A value that JSON does not know."""
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def cells(column: pa.Array) -> list[Any]:
    """A column's values."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    return list(column.to_pylist())


def main() -> int:
    """Print every row."""
    try:
        with pq.ParquetFile(pa.PythonFile(open(0, "rb")), pre_buffer=False, buffer_size=READ_AHEAD) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise ValueError("a column is there twice")
            for batch in file.iter_batches(ROWS, use_threads=False):
                columns = [cells(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    sys.stdout.write(
                        json.dumps(dict(zip(names, row, strict=True)), default=told, ensure_ascii=False)
                        + "\n"
                    )
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        print(str(error).splitlines()[0] if str(error) else type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
