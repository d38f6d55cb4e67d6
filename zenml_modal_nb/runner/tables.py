"""The arrays that pandas tables are made of; several tables may share one, and copy it when one of them writes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def arrays_of_tables(objects: Iterable[Any]) -> list[object]:
    """Return the arrays inside the tables among some objects."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return []
    tables = (each for each in objects if isinstance(each, pandas.DataFrame | pandas.Series))
    return [array for table in tables for array in arrays_in(table._mgr)]


def arrays_in(manager: Any) -> list[object]:
    """Return the arrays that a table's manager holds, and those inside of arrays of pandas' own kinds."""
    blocks = (block.values for block in getattr(manager, "blocks", ()))
    return [array for values in blocks for array in (values, *_inner(values))]


def _inner(values: Any) -> list[object]:
    found = (getattr(values, name, None) for name in ("_ndarray", "_data", "_mask"))
    return [each for each in found if each is not None]
