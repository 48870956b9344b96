-- One row: where the catalog stands. `compacted` is the newest deletion that was forgotten.
CREATE TABLE meta (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    revision  INTEGER NOT NULL,
    next_id   INTEGER NOT NULL,
    compacted INTEGER NOT NULL
) STRICT;

-- A service whole, as JSON. The index on `revision` is the log of changes: what changed since N is what has a revision above N.
CREATE TABLE services (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    revision INTEGER NOT NULL UNIQUE,
    document TEXT    NOT NULL
) STRICT;

-- What `services` can no longer tell: the newest deletions.
CREATE TABLE deletions (
    revision INTEGER PRIMARY KEY,
    id       INTEGER NOT NULL,
    name     TEXT    NOT NULL
) STRICT;
