"""Where rows of instructions come from: a file of JSON, a Parquet file, or a dataset by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import InputError, PlumError, one_line
from orchestrator.jsonl import Row, read_rows

#: Rows of a Parquet file that are in memory at one time.
_ROWS = 1024


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a file in their order: Parquet where its name ends so, JSON elsewhere.

    Raises:
        InputError: the file cannot be read, or a row is not an object.
        PlumError: the library that reads Parquet is not installed.
    """
    if path.suffix == ".parquet":
        return _read_parquet(path)
    return read_rows(path)


def read_dataset(name: str, config: str | None, split: str, revision: str | None) -> Iterator[Row]:
    """The rows of a dataset on the hub, or of a folder that `datasets` understands.

    Streamed: nothing is kept on the disk.

    Raises:
        InputError: there is no such dataset, configuration or split, or its files are broken.
        PlumError: the hub cannot be reached, or the library is not installed.
    """
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetNotFoundError, DatasetsError
    except ImportError as e:
        raise _missing(e, "hub") from e
    where = f"{name}[{split}]"
    try:
        rows = load_dataset(name, config, split=split, revision=revision, streaming=True)
        for index, fields in enumerate(rows):
            yield Row(f"{where}[{index}]", dict(fields))
    except (DatasetNotFoundError, FileNotFoundError, ValueError) as e:
        raise InputError(f"{where}: {one_line(e)}") from e
    except (OSError, DatasetsError) as e:
        raise PlumError(f"{where}: {one_line(e)}") from e


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as e:
        raise _missing(e, "parquet") from e
    try:
        with ParquetFile(path) as file:
            index = 0
            for batch in file.iter_batches(_ROWS):
                for fields in batch.to_pylist():
                    yield Row(f"{path}[{index}]", fields)
                    index += 1
    except ArrowException as e:
        raise InputError(f"{path}: is not Parquet that can be read: {one_line(e)}") from e
    except OSError as e:
        reason = os.strerror(e.errno) if e.errno else one_line(e)
        raise InputError(f"{path}: {reason}") from e


def _missing(error: ImportError, extra: str) -> PlumError:
    return PlumError(f"{error.name} is not installed: pip install 'plum-code[{extra}]' brings it")
