"""One index: documents made searchable, as a series of immutable views.

tantivy holds the words, columns hold the values; both live in memory and are made from the documents in the store, at
the start and after each write. A search takes one view and is never disturbed by a write.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, TypeVar

import tantivy

from deploy.local.meilisearch_front import settings as index_settings
from deploy.local.meilisearch_front.columns import Columns, covers, leaves
from deploy.local.meilisearch_front.text import BREAK, END, START, fold, words
from deploy.local.meilisearch_front.typos import Vocabulary

WRITER_HEAP, LARGE_WRITER_HEAP = 15_000_000, 60_000_000
"""Bytes, held during a write: the least tantivy takes; and for large batches, where it saves a merge."""
LARGE_BATCH = 2_000
LOAD_CHUNK = 10_000
"""Documents taken into memory at once when an index is loaded."""
NUMBER = "number"
"""tantivy's field for the document's number."""
_MARKS = frozenset((BREAK, START, END))


T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Tuples of up to `size` items (itertools.batched is of Python 3.12)."""
    iterator = iter(items)
    while batch := tuple(islice(iterator, size)):
        yield batch


@dataclass(frozen=True)
class Field:
    """A searchable field of tantivy: attributes of one rank. No attributes: all that the others do not name."""

    name: str
    attributes: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    rank: int = 0
    typos: bool = True

    def holds(self, path: str) -> bool:
        """Whether the values under a path belong here."""
        if any(covers(attribute, path) for attribute in self.excluded):
            return False
        return not self.attributes or any(covers(attribute, path) for attribute in self.attributes)


def fields_of(settings: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that the settings ask for; with the wildcard all attributes are of one rank, as in Meilisearch."""
    exact = tuple(settings["typoTolerance"]["disableOnAttributes"])
    searchable = settings["searchableAttributes"]
    if "*" in searchable:
        return (Field("all", (), exact), *([Field("exact", exact, typos=False)] if exact else []))
    return tuple(
        Field(f"field{rank}", (attribute,), rank=rank, typos=not any(covers(e, attribute) for e in exact))
        for rank, attribute in enumerate(searchable)
    )


def scalar_text(leaf: Any) -> str | None:
    """A value as it is searched and highlighted; None for what has no text."""
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    return str(leaf) if isinstance(leaf, str | int | float) else None


@dataclass(frozen=True)
class View:
    """What searches read: one state of an index."""

    settings: Mapping[str, Any]
    fields: tuple[Field, ...]
    schema: tantivy.Schema
    searcher: tantivy.Searcher
    columns: Columns

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All words with the number of documents; built by the first search of a view."""
        frequencies: dict[str, int] = {}
        for field in self.fields:
            for word, count in self.searcher.terms_with_prefix(field.name, ""):
                frequencies[word] = frequencies.get(word, 0) + count
        for mark in _MARKS:
            frequencies.pop(mark, None)
        return Vocabulary(frequencies)


class LiveIndex:
    """The searchable side of an index. `apply` prepares a view; the caller publishes it in its transaction."""

    def __init__(self, stored_settings: Mapping[str, Any], documents: Iterable[tuple[int, dict[str, Any]]]) -> None:
        self._settings = index_settings.effective(stored_settings)
        self._fields = fields_of(self._settings)
        self._stop_words = frozenset(word for text in self._settings["stopWords"] for word in words(text))
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field(NUMBER, indexed=True, fast=True)
        for field in self._fields:
            builder.add_text_field(field.name, tokenizer_name="whitespace", index_option="position")
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        attributes = dict.fromkeys(self._settings["filterableAttributes"])
        attributes.update(dict.fromkeys(self._settings["sortableAttributes"]))
        attributes.update(
            dict.fromkeys(rule.rpartition(":")[0] for rule in self._settings["rankingRules"] if ":" in rule)
        )
        if self._settings["distinctAttribute"]:
            attributes[self._settings["distinctAttribute"]] = None
        self._fields_by_path: dict[str, tuple[str, ...]] = {}
        searchable = self._settings["searchableAttributes"]
        heads = {attribute.partition(".")[0] for attribute in searchable}
        self._keys = None if "*" in searchable else heads.union(searchable)
        self.view = self._view(Columns(tuple(attributes), {}, frozenset()))
        for chunk in batched(documents, LOAD_CHUNK):
            self.view = self.apply((), dict(chunk))

    def apply(self, removed: Collection[int], added: Mapping[int, Mapping[str, Any]]) -> View:
        """The view after documents were removed and added (or replaced, by number)."""
        before = self.view.columns.documents
        outdated = [number for number in (*removed, *added) if number in before]
        if outdated or added:
            heap = LARGE_WRITER_HEAP if len(added) >= LARGE_BATCH else WRITER_HEAP
            writer = self._index.writer(heap_size=heap, num_threads=1)
            if outdated:
                writer.delete_documents_by_query(tantivy.Query.term_set_query(self._schema, NUMBER, outdated))
            for number, document in added.items():
                writer.add_document(self._tantivy_document(number, document))
            writer.commit()
            writer.wait_merging_threads()
            self._index.reload()
        return self._view(self.view.columns.changed(removed, added))

    def _view(self, columns: Columns) -> View:
        return View(self._settings, self._fields, self._schema, self._index.searcher(), columns)

    def _tantivy_document(self, number: int, document: Mapping[str, Any]) -> tantivy.Document:
        texts: dict[str, list[str]] = {}
        for path, leaf in self._searchable_leaves(document):
            text = leaf if isinstance(leaf, str) else scalar_text(leaf)
            if not text:
                continue
            names = self._fields_by_path.get(path)
            if names is None:
                names = tuple(field.name for field in self._fields if field.holds(path))
                self._fields_by_path[path] = names
            for name in names:
                texts.setdefault(name, []).append(_marked(text, self._stop_words))
        made = tantivy.Document()
        made.add_unsigned(NUMBER, number)
        for name, parts in texts.items():
            made.add_text(name, " ".join(parts))
        return made

    def _searchable_leaves(self, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in document.items():
            if self._keys is not None and key not in self._keys:
                continue
            if isinstance(value, dict | list):
                yield from leaves(value, key)
            else:
                yield key, value


@lru_cache(maxsize=16_384)  # artists, venues and towns repeat
def _marked(text: str, stop_words: frozenset[str]) -> str:
    if not stop_words:
        return f"{START} {fold(text)} {END}"
    return " ".join((START, *(word for word in words(text) if word not in stop_words), END))
