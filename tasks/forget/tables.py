"""Which rows of a Parquet table are a subject's, whatever kind of artifact it belongs to.

A row is theirs by its source with its study or subject, by an id that begins with its study (of an
example, a prompt, a film), or because it shows their picture. Rows of others may name them in
``detail`` (a rejected row's twin, say): those words alone are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.examples.packing import example_id
from tasks.forget.dossier import Dossier
from tasks.forget.names import with_edges
from tasks.forget.needles import is_long

WITHDRAWN: Final = "withdrawn"
_PREFIXED: Final = (
    *("example_id", "prompt_id", "drawn_of", "film_id", "image_example_id", "request_id"),
)
"""Columns whose ids begin with source and study."""
_PLAIN: Final = ("source", "study_id", "subject_id", "image_study_id", "detail", *_PREFIXED)
_NESTED: Final = ("images.list.element.image_id", "image_ids.list.element")


@dataclass(frozen=True)
class Theirs:
    """Tells a subject's rows.

    Args:
        longer: ids of others in which one of theirs stands: no word about the subject.
    """

    dossier: Dossier
    longer: frozenset[str] = frozenset()

    @cached_property
    def _beginnings(self) -> str:
        """A pattern that ids of their examples match."""
        heads = {
            example_id(
                {"source": source, "study_id": study, "image_id": None, "version": None}
            ).removesuffix("-/-")
            for source in self.dossier.sources
            for study in self.dossier.studies
        }
        return f"^(?:{'|'.join(sorted(map(re.escape, heads)))})"

    @cached_property
    def names(self) -> re.Pattern[str]:
        """Their ids and others' where a sentence names them; the longest first."""
        every = sorted(self.dossier.ids | self.longer, key=lambda name: (-len(name), name))
        called = "|".join(map(re.escape, every)) or r"(?!)"
        long = "|".join(with_edges(name) for name in every if is_long(name)) or r"(?!)"
        return re.compile(
            rf"\b(?:study|image|question|subject|persons?) (?P<called>{called})(?!\w)|{long}"
        )

    def _withdrawn(self, found: re.Match[str]) -> str:
        return found[0] if (found["called"] or found[0]) in self.longer else WITHDRAWN

    def rows(self, table: pa.Table) -> pa.BooleanArray:
        """Which rows are theirs; the table may have any columns."""
        found = pa.array([False] * table.num_rows, pa.bool_())
        for mask in self._masks(table):
            found = pc.or_(found, pc.fill_null(mask, False))
        return found

    def _masks(self, table: pa.Table) -> Iterator[pa.Array]:
        names, known = set(table.column_names), self.dossier
        of_source: Any = True
        if "source" in names:
            of_source = _among(table["source"], known.sources)
            for column, ids in (
                ("study_id", known.studies),
                ("subject_id", known.subjects),
                ("image_study_id", known.studies),
            ):
                if column in names:
                    yield pc.and_(of_source, _among(table[column], ids))
        if known.studies:
            for column in set(_PREFIXED) & names:
                if pa.types.is_string(table.schema.field(column).type):
                    yield _flat(pc.match_substring_regex(table[column], self._beginnings))
        if "source" in names:
            for column in ("images", "image_ids"):
                if column in names:
                    yield pc.and_(of_source, self._shows(table[column]))

    def _shows(self, column: pa.ChunkedArray) -> pa.Array:
        """Which lists hold one of their images."""
        lists = column.combine_chunks()
        if not pa.types.is_list(lists.type) or not len(lists):
            return pa.array([False] * len(lists), pa.bool_())
        parents, flat = pc.list_parent_indices(lists), pc.list_flatten(lists)
        if pa.types.is_struct(flat.type):
            flat = pc.struct_field(flat, "image_id")
        held = set(parents.filter(_among_array(flat, self.dossier.images)).to_pylist())
        return pa.array([row in held for row in range(len(lists))], pa.bool_())

    def redacted(self, table: pa.Table) -> pa.Table:
        """The table with their ids in others' ``detail`` replaced."""
        if "detail" not in table.column_names:
            return table
        told = table["detail"].to_pylist()
        fresh = [text and self.names.sub(self._withdrawn, text) for text in told]
        if fresh == told:
            return table
        place = table.column_names.index("detail")
        field = table.schema.field("detail")
        return table.set_column(place, field, pa.array(fresh, field.type))

    def shown_to_others(self, file: pq.ParquetFile) -> bool:
        """Whether a control shows their film beside another's example."""
        columns = id_columns(file)
        if "image_study_id" not in columns:
            return False
        own = Theirs(replace(self.dossier, images=set()), self.longer)
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=columns, use_threads=False)
            rest = table.drop_columns(["image_study_id"])
            more = pc.and_(self.rows(table), pc.invert(own.rows(rest)))
            if pc.any(more).as_py():
                return True
        return False

    def touched(self, file: pq.ParquetFile) -> bool:
        """Whether a file holds any of their rows or names them; reads ids alone."""
        columns = id_columns(file)
        for number in range(file.num_row_groups if columns else 0):
            table = file.read_row_group(number, columns=columns, use_threads=False)
            if pc.any(self.rows(table)).as_py() or self.redacted(table) is not table:
                return True
        return False


def id_columns(file: pq.ParquetFile) -> list[str]:
    """The columns by which a row is told, as Parquet names them."""
    leaves = {file.schema.column(place).path for place in range(len(file.schema.names))}
    return [name for name in (*_PLAIN, *_NESTED) if name in leaves]


def _among(column: pa.ChunkedArray, values: Sequence[str] | set[str]) -> pa.Array:
    return _flat(_among_array(column, values))


def _among_array(column: Any, values: Sequence[str] | set[str]) -> Any:
    if not pa.types.is_string(column.type):
        return pa.array([False] * len(column), pa.bool_())
    return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))


def _flat(mask: Any) -> pa.Array:
    return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask


def leaves(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Column and values of every text or bytes in a table, also inside lists and structs."""
    for name in table.column_names:
        for chunk in table[name].chunks:
            yield from ((name, leaf) for leaf in _leaves(chunk))


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(array.dictionary_decode())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(pc.list_flatten(array))
    elif pa.types.is_struct(kind):
        for place in range(kind.num_fields):
            yield from _leaves(pc.struct_field(array, [place]))
    elif is_text(kind) or is_bytes(kind):
        yield array


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def joined(array: pa.Array) -> bytes:
    """All texts of an array, one to a line."""
    return "\n".join(text for text in array.to_pylist() if text).encode("utf-8", "surrogatepass")
