-- One row per broadcast: what the list filters by in columns, the rest as JSON.
CREATE TABLE broadcast (
    number     INTEGER PRIMARY KEY,             -- in the order of their making; the cursor of lists
    id         TEXT    NOT NULL UNIQUE,
    app        TEXT    NOT NULL,
    stream     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    final      INTEGER NOT NULL CHECK (final IN (0, 1)),
    created_at INTEGER NOT NULL,                -- ms since 1970, like every time here
    started_at INTEGER,
    ended_at   INTEGER,
    title      TEXT    NOT NULL,
    owner      TEXT    NOT NULL,                -- the node that runs it
    epoch      INTEGER NOT NULL,                -- grows with every change of owner
    snapshot   TEXT    NOT NULL,                -- JSON of the state machine
    extra      TEXT    NOT NULL                 -- JSON of what only the API knows
) STRICT;

-- A name has at most one broadcast that is not final.
CREATE UNIQUE INDEX broadcast_open ON broadcast (app, stream) WHERE final = 0;
CREATE INDEX broadcast_name ON broadcast (app, stream, number);
CREATE INDEX broadcast_state ON broadcast (state, number);

CREATE TABLE ban (
    app    TEXT    NOT NULL,
    stream TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    PRIMARY KEY (app, stream)
) STRICT, WITHOUT ROWID;

CREATE INDEX ban_until ON ban (until);

-- Answers to requests with an Idempotency-Key. Without a status the request is still being carried out.
CREATE TABLE answer (
    key         TEXT    NOT NULL UNIQUE,
    fingerprint TEXT    NOT NULL,
    status      INTEGER,
    body        TEXT,
    expires_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX answer_expires ON answer (expires_at);

-- What happened, in the order it happened. A number is never given twice: clients resume by it.
CREATE TABLE notice (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL UNIQUE,
    broadcast TEXT,                             -- no reference: the notice outlives a deleted broadcast
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    body      TEXT    NOT NULL
) STRICT;

-- The outbox: who is told of it. Of the pending ones of an endpoint and a broadcast, the oldest always has a
-- next_attempt; the others wait behind it without one.
CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    notice       INTEGER NOT NULL REFERENCES notice ON DELETE CASCADE,
    endpoint     TEXT    NOT NULL,
    broadcast    TEXT,                          -- that of the notice, for the index
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'gave_up')),
    next_attempt INTEGER,
    attempts     INTEGER NOT NULL,
    tried_at     INTEGER,                       -- the newest attempt, and how it went
    took_ms      INTEGER,
    status       INTEGER,
    error        TEXT,
    UNIQUE (notice, endpoint)
) STRICT;

CREATE INDEX delivery_due ON delivery (endpoint, next_attempt) WHERE state = 'pending' AND next_attempt IS NOT NULL;
CREATE INDEX delivery_order ON delivery (endpoint, broadcast, id) WHERE state = 'pending';

-- Endpoints that are sent nothing.
CREATE TABLE disabled_endpoint (
    name   TEXT    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL,
    reason TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
