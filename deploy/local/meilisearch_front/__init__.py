"""A small HTTP front over tantivy that speaks Meilisearch's REST API, for development and tests only.

    python -m deploy.local.meilisearch_front --port 17700 --data DIR [--key KEY]

Floors, each importing only those above it:

    errors     Meilisearch's error codes
    text       words of a text: case, accents, separators
    filters    the filter language: text -> tree
    typos      vocabulary of an index and the words a typed word may stand for
    settings   index settings: defaults, validation
    columns    attribute values in memory: filters, facets, sort
    index      one index: tantivy plus columns, as immutable views
    query      a typed query -> a tantivy query whose score carries the ranking
    format     highlighting and cropping
    search     search parameters -> response
    store      SQLite: documents of record, tasks
    tasks      the one writer: takes tasks in order
    app        HTTP

`docs/local-fronts.md` says what is served, refused and limited. The model is Meilisearch 1.50, read from its source.
"""

MODEL_VERSION = "1.50.0"
"""The Meilisearch release whose behaviour is followed; /version answers it."""
