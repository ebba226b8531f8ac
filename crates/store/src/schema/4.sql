-- Clips and edited versions of replays. Their media are recordings of their own, under the same ids.
CREATE TABLE clip (
    number     INTEGER PRIMARY KEY,             -- in the order of their making; the cursor of lists
    id         TEXT    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL CHECK (kind IN ('clip', 'version')),
    broadcast  TEXT    NOT NULL,                -- no reference: it outlives a deleted broadcast
    app        TEXT    NOT NULL,
    stream     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    open       INTEGER NOT NULL CHECK (open IN (0, 1)),
    title      TEXT    NOT NULL,
    public     INTEGER NOT NULL CHECK (public IN (0, 1)),
    created_at INTEGER NOT NULL,
    cut        TEXT    NOT NULL                 -- JSON of what is cut out
) STRICT;

CREATE INDEX clip_broadcast ON clip (broadcast, kind, number);
CREATE INDEX clip_name ON clip (app, stream, number);
CREATE INDEX clip_open ON clip (number) WHERE open = 1;
