"""Divides the rows of a table among several tables, with all cells as they are."""

import codecs
import filecmp
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlgcn_pyg.datasets.parquet_file import ROWS
from mlgcn_pyg.datasets.table_file import SEPARATORS, fields_up_to, text_rows
from mlgcn_pyg.errors import Argument, Fix, InputError, first_line
from mlgcn_pyg.files.atomic import atomic_path, check_file_name

Parts = npt.NDArray[np.int64]  # (N,) the number of each row's part


def write_parts(path: Path, part_of_row: Parts, files: Sequence[Path], overwrite: bool = False) -> None:
    """Writes each row of a table to one of several files, which have the type of the table.

    The rows of a text file are copied byte for byte, with their quotes and spaces; blank lines are left out. The
    columns of a Parquet table keep their types. If one of the files cannot be written, none of them changes.

    Args:
        path: a table that :func:`~mlgcn_pyg.datasets.table_file.read_table` has read.
        part_of_row: (N,) the index of each row's file.
        files: the files.
        overwrite: whether to replace existing files that have a different content.

    Raises:
        InputError: if a file is the table itself, or exists with a different content and ``overwrite`` is False.
    """
    for file in files:
        check_file_name("folder", file)
        if file.exists() and os.path.samefile(file, path):
            raise InputError("folder", "a different file than the input file", file, "choose a different folder")
    with ExitStack() as stack:
        made = [stack.enter_context(atomic_path(file)) for file in files]
        write = _write_text if path.suffix.lower() in SEPARATORS else _write_parquet
        write(path, part_of_row, made)
        for file, new in zip(files, made, strict=True):
            if not overwrite and file.exists() and not filecmp.cmp(file, new, shallow=False):
                fix: Fix = ["choose a different folder, or pass ", Argument("overwrite", True), " to replace it"]
                raise InputError("folder", "a folder without other tables of these names", f"{file} exists", fix)


def _write_text(path: Path, part_of_row: Parts, files: Sequence[Path]) -> None:
    with path.open("rb") as start:
        encoding = "utf-8-sig" if start.read(3) == codecs.BOM_UTF8 else "utf-8"
    with path.open(encoding="utf-8-sig", newline="") as file, fields_up_to(path.stat().st_size):
        header, *rows = [text for _, text in text_rows(file, SEPARATORS[path.suffix.lower()])]
    _check_rows(path, len(rows), len(part_of_row))
    end = header[len(header.rstrip("\r\n")) :]
    with ExitStack() as stack:
        written = [stack.enter_context(file.open("w", encoding=encoding, newline="")) for file in files]
        for part in written:
            part.write(header)
        for part, row in zip(part_of_row.tolist(), rows, strict=True):
            written[part].write(row if row.endswith(("\n", "\r")) else row + end)


def _write_parquet(path: Path, part_of_row: Parts, files: Sequence[Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as source, ExitStack() as stack:
            _check_rows(path, source.metadata.num_rows, len(part_of_row))
            written = [stack.enter_context(pq.ParquetWriter(file, source.schema_arrow)) for file in files]
            start = 0
            for batch in source.iter_batches(ROWS):
                parts = part_of_row[start : start + len(batch)]
                for k in np.unique(parts):
                    written[k].write_batch(batch.filter(pa.array(parts == k)))
                start += len(batch)
    except pa.ArrowException as error:  # a column of a type that cannot be written
        raise InputError("path", "a table that can be written again", f"{path} ({first_line(error)})") from error


def _check_rows(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise InputError("path", f"the {expected:,} rows that were read", f"{found:,} rows in {path}", "run again")
