-- Current tables keep the row of the highest version of each id, *_history every version: what is written again
-- replaces itself, so that a repeated batch counts once. Exact reads say FINAL; FINAL leaves out is_deleted rows of the
-- current tables. No partitions: an id's rows must meet in one. Bodies are as they travelled on the topic.
-- The deduplication window spares a repeated block its write; nothing depends on it.

-- version: milliseconds of seen_at, then 20 bits of the content hash.
CREATE TABLE IF NOT EXISTS listings (
    listing_id UUID,
    version UInt64,
    is_deleted UInt8,
    source LowCardinality(String),
    source_id String,
    artist String COMMENT 'The headliner.',
    acts Array(String) COMMENT 'All of the bill, headliner first.',
    night Date32 COMMENT 'Venue-local.',
    start_at Nullable(DateTime64(3, 'UTC')),
    venue String,
    city String,
    region String,
    country LowCardinality(String),
    lat Nullable(Float64),
    lon Nullable(Float64),
    status LowCardinality(String),
    vanished Bool,
    title String,
    festival String,
    tour String,
    url String,
    songs Array(String),
    seen_at DateTime64(3, 'UTC') COMMENT 'By the clock of the source or the spider.',
    published_at DateTime64(3, 'UTC') COMMENT 'When the message was put on its topic.',
    trace String,
    body String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY listing_id
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS listings_history AS listings
ENGINE = ReplacingMergeTree ORDER BY (listing_id, version)
SETTINGS non_replicated_deduplication_window = 1000;

-- A concert that lost its id: is_deleted, every other column empty.
CREATE TABLE IF NOT EXISTS concerts (
    concert_id UUID,
    rev UInt64,
    is_deleted UInt8,
    artist String,
    artist_key String COMMENT 'Folded; not an id.',
    artist_mbid Nullable(UUID),
    role LowCardinality(String),
    night Date32 COMMENT 'Venue-local.',
    start_at Nullable(DateTime64(3, 'UTC')),
    venue_id Nullable(UUID),
    venue String,
    city String,
    region String,
    country LowCardinality(String),
    lat Nullable(Float64),
    lon Nullable(Float64),
    status LowCardinality(String),
    vanished Bool,
    title String,
    festival String,
    tour String,
    parent Nullable(UUID),
    songs Array(String),
    members Array(UUID) COMMENT 'Listings, smallest id first.',
    sources Array(LowCardinality(String)) COMMENT 'Of the members, in their order.',
    published_at DateTime64(3, 'UTC') COMMENT 'When the message was put on its topic.',
    trace String,
    body String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(rev, is_deleted) ORDER BY concert_id
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS concerts_history AS concerts
ENGINE = ReplacingMergeTree ORDER BY (concert_id, rev)
SETTINGS non_replicated_deduplication_window = 1000;

-- One row for each song played. Views over the concerts' arrays: a set that shrank leaves no tail behind, and no second
-- write can disagree with the first.
CREATE VIEW IF NOT EXISTS songs AS
SELECT concert_id, rev, position, song, artist, artist_key, night
FROM concerts FINAL ARRAY JOIN songs AS song, arrayEnumerate(songs) AS position;

CREATE VIEW IF NOT EXISTS songs_history AS
SELECT concert_id, rev, position, song, artist, artist_key, night
FROM concerts_history FINAL ARRAY JOIN songs AS song, arrayEnumerate(songs) AS position;

-- Each set writes all three ranks; the absent ones are is_deleted, so that a smaller set takes back what stood there.
-- Body: that one suggestion. What the user wrote stays out of here.
CREATE TABLE IF NOT EXISTS suggestions (
    user_id String,
    entry_id String,
    rank UInt8,
    rev UInt64,
    is_deleted UInt8,
    origin LowCardinality(String),
    suggestion_id UUID,
    concert_id UUID,
    artist String,
    night Date32,
    venue String,
    city String,
    region String,
    country LowCardinality(String),
    status LowCardinality(String),
    confidence Float64,
    band LowCardinality(String),
    bits Float64 COMMENT 'Sum of the evidence.',
    members Array(UUID),
    signature String,
    reason LowCardinality(String) COMMENT 'Why the set is empty.',
    decision LowCardinality(String),
    weights LowCardinality(String),
    fold LowCardinality(String),
    made_at Nullable(DateTime64(3, 'UTC')),
    published_at DateTime64(3, 'UTC') COMMENT 'When the message was put on its topic.',
    trace String,
    body String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(rev, is_deleted) ORDER BY (user_id, entry_id, rank)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS suggestions_history AS suggestions
ENGINE = ReplacingMergeTree ORDER BY (user_id, entry_id, rank, rev)
SETTINGS non_replicated_deduplication_window = 1000;

-- The last decision of each entry, undone ones included. version: microseconds of decided_at.
CREATE TABLE IF NOT EXISTS decisions (
    user_id String,
    entry_id String,
    version UInt64,
    is_deleted UInt8,
    decision_id UUID,
    suggestion_id UUID,
    concert_id UUID,
    action LowCardinality(String),
    decided_at DateTime64(6, 'UTC'),
    until Nullable(DateTime64(3, 'UTC')),
    undoes Nullable(UUID),
    listing_ids Array(UUID),
    signature String,
    artist String,
    night Date32,
    venue String,
    city String,
    region String,
    country LowCardinality(String),
    published_at DateTime64(3, 'UTC') COMMENT 'When the message was put on its topic.',
    trace String,
    body String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY (user_id, entry_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS decisions_history AS decisions
ENGINE = ReplacingMergeTree ORDER BY decision_id
SETTINGS non_replicated_deduplication_window = 1000;
