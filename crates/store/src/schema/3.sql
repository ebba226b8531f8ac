-- How many watched, in buckets of time. A bucket grows until its time is over.
CREATE TABLE audience (
    broadcast TEXT    NOT NULL REFERENCES broadcast (id) ON DELETE CASCADE,
    phase     TEXT    NOT NULL,
    start     INTEGER NOT NULL,
    counts    TEXT    NOT NULL,                 -- JSON
    PRIMARY KEY (broadcast, phase, start)
) STRICT, WITHOUT ROWID;

CREATE INDEX audience_start ON audience (start);

-- Roughly how many different viewers there were: a sketch, of which nobody can be told.
CREATE TABLE audience_seen (
    broadcast TEXT    NOT NULL PRIMARY KEY REFERENCES broadcast (id) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    sketch    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX audience_seen_at ON audience_seen (at);
