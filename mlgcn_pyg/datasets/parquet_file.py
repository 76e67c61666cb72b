"""Reading of Parquet tables within a limit of memory: compressed and repeated cells can expand without bound."""

from pathlib import Path
from typing import Any

import pandas as pd

from mlgcn_pyg.datasets.sizes import check_bytes

CELL = 8  # bytes of a reference or a number
ROWS = 1 << 16  # read at a time; each time, all different texts of a row group are copied


def read_parquet(path: Path, max_bytes: int) -> pd.DataFrame:
    """Reads a table. An index with a name becomes a column. Columns of maps are left out.

    Equal texts are read once and counted as often as they occur, before a table of that size is made.

    Args:
        path: the file.
        max_bytes: a limit on the size of the table in memory.

    Raises:
        ImportError: if pyarrow is not installed.
        InputError: (argument ``path``) if the table is larger than ``max_bytes``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        fields, columns = list(file.schema_arrow), [file.schema.column(k) for k in range(len(file.schema))]
    kept = [field.with_type(_without_views(field.type)) for field in fields if "map<" not in str(field.type)]
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    batches = []
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        # not from the metadata of each column, which pyarrow reads without catching the errors of damaged files
        size = file.metadata.num_rows * sum(max(CELL, column.length or 0) for column in columns)
        _check(path, file.metadata.num_rows, size, max_bytes)
        for batch in file.iter_batches(ROWS, columns=[field.name for field in kept]):
            size += sum(map(_text_size, batch.columns))
            _check(path, file.metadata.num_rows, size, max_bytes)
            batches.append(batch)
        schema = pa.schema(kept, file.schema_arrow.metadata)
    read = pa.Table.from_batches(batches) if batches else schema.empty_table()
    typed = read.cast(schema)
    typed.validate(full=True)  # for instance that texts are UTF-8, which pandas would find out later
    table = typed.to_pandas()
    return table.reset_index(drop=all(name is None for name in table.index.names))


def _check(path: Path, rows: int, size: int, max_bytes: int) -> None:
    check_bytes("path", "a table", f"{rows:,} rows in {path}", size, max_bytes)


def _text_size(column: Any) -> int:
    """The bytes of all texts in a column, in which equal texts are stored once, and of the entries of lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
    if pa.types.is_struct(kind):
        return sum(map(_text_size, column.flatten()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        entries = column.flatten()
        return CELL * len(entries) + _text_size(entries)
    return 0


def _without_views(kind: Any) -> Any:
    """The Arrow type without views of texts, which cannot be read as references to equal texts."""
    import pyarrow as pa

    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.string() if pa.types.is_string_view(kind) else pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_without_views(kind.value_type))
    return kind
