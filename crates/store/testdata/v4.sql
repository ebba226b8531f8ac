PRAGMA application_id = 1264675170;
PRAGMA user_version = 4;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO broadcast VALUES(1,'0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','live','room','interrupted',0,1790000000000,NULL,NULL,'Shoes','node-1',1,'{"id":"0199a0b1c2d37e4f8a9b0c1d2e3f4a5b","app":"live","stream":"room","origin":"api","plan":{"auto_start":false,"planned_start":null,"planned_end":null},"policy":{"resume_window":{"secs":900,"nanos":0},"max_duration":{"secs":43200,"nanos":0},"first_media":{"secs":20,"nanos":0},"conflict":"probe","end_on_unpublish":"auto_created","expired_resume":"same_key"},"created_at":1790000000000,"started_at":null,"ended_at":null,"state":{"state":"interrupted","since":1790000001000,"deadline":1790000901000,"announce_at":null},"introduced":true,"push":null,"challenger":null,"start_requested":false,"last_media":null,"away":false,"resumes":0,"warned":0,"next_epoch":1,"credentials":[],"barred":[]}','{"record":true}');
INSERT INTO broadcast VALUES(2,'0199a0b1c2d37e4f8a9b0c1d2e3f4a5c','live','other','ended',1,1790000000000,NULL,1790000005000,'','node-1',1,'{"id":"0199a0b1c2d37e4f8a9b0c1d2e3f4a5c","app":"live","stream":"other","origin":"api","plan":{"auto_start":false,"planned_start":null,"planned_end":null},"policy":{"resume_window":{"secs":900,"nanos":0},"max_duration":{"secs":43200,"nanos":0},"first_media":{"secs":20,"nanos":0},"conflict":"probe","end_on_unpublish":"auto_created","expired_resume":"same_key"},"created_at":1790000000000,"started_at":null,"ended_at":1790000005000,"state":{"state":"ended","reason":"cancelled"},"introduced":true,"push":null,"challenger":null,"start_requested":false,"last_media":null,"away":false,"resumes":0,"warned":0,"next_epoch":1,"credentials":[],"barred":[]}','{}');
CREATE TABLE ban (
    app    TEXT    NOT NULL,
    stream TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    PRIMARY KEY (app, stream)
) STRICT, WITHOUT ROWID;
INSERT INTO ban VALUES('live','spam',1790000000000,1790604800000,'spam');
CREATE TABLE answer (
    key         TEXT    NOT NULL UNIQUE,
    fingerprint TEXT    NOT NULL,
    status      INTEGER,
    body        TEXT,
    expires_at  INTEGER NOT NULL
) STRICT;
INSERT INTO answer VALUES('crm:1','f00d',201,'{}',1790086400000);
CREATE TABLE notice (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL UNIQUE,
    broadcast TEXT,                             -- no reference: the notice outlives a deleted broadcast
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    body      TEXT    NOT NULL
) STRICT;
INSERT INTO notice VALUES(1,'msg_1','0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','broadcast.created',1790000010000,'{}');
INSERT INTO notice VALUES(2,'msg_2','0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','broadcast.interrupted',1790000010000,'{}');
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
INSERT INTO delivery VALUES(1,1,'crm','0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','delivered',NULL,1,1790000011000,12,200,NULL);
INSERT INTO delivery VALUES(2,2,'crm','0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','pending',1790000011012,0,NULL,NULL,NULL,NULL);
CREATE TABLE disabled_endpoint (
    name   TEXT    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL,
    reason TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO disabled_endpoint VALUES('chat',1790000000000,'answered 410');
CREATE TABLE audience (
    broadcast TEXT    NOT NULL REFERENCES broadcast (id) ON DELETE CASCADE,
    phase     TEXT    NOT NULL,
    start     INTEGER NOT NULL,
    counts    TEXT    NOT NULL,                 -- JSON
    PRIMARY KEY (broadcast, phase, start)
) STRICT, WITHOUT ROWID;
INSERT INTO audience VALUES('0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','during',1790000010000,'{}');
CREATE TABLE audience_seen (
    broadcast TEXT    NOT NULL PRIMARY KEY REFERENCES broadcast (id) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    sketch    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO audience_seen VALUES('0199a0b1c2d37e4f8a9b0c1d2e3f4a5b',1790000010000,x'00');
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
INSERT INTO clip VALUES(1,'c-0199a0b1c2d37e4f8a9b0c1d2e3f4a5c','clip','0199a0b1c2d37e4f8a9b0c1d2e3f4a5b','live','room','ready',0,'讲解',1,1790000012000,'{"passages":[{"from_ms":1000,"to_ms":2000}]}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('notice',2);
INSERT INTO sqlite_sequence VALUES('delivery',2);
CREATE UNIQUE INDEX broadcast_open ON broadcast (app, stream) WHERE final = 0;
CREATE INDEX broadcast_name ON broadcast (app, stream, number);
CREATE INDEX broadcast_state ON broadcast (state, number);
CREATE INDEX broadcast_created ON broadcast (app, created_at);
CREATE INDEX ban_until ON ban (until);
CREATE INDEX answer_expires ON answer (expires_at);
CREATE INDEX delivery_due ON delivery (endpoint, next_attempt) WHERE state = 'pending' AND next_attempt IS NOT NULL;
CREATE INDEX delivery_order ON delivery (endpoint, broadcast, id) WHERE state = 'pending';
CREATE INDEX audience_start ON audience (start);
CREATE INDEX audience_seen_at ON audience_seen (at);
CREATE INDEX clip_broadcast ON clip (broadcast, kind, number);
CREATE INDEX clip_name ON clip (app, stream, number);
CREATE INDEX clip_open ON clip (number) WHERE open = 1;
COMMIT;
