-- One row: where the catalog stands. Whoever writes locks it, so that revisions become visible in the order of their numbers.
-- `compacted` is the newest revision from which the difference to now is no longer known.
CREATE TABLE catalog.meta (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision  bigint  NOT NULL,
    next_id   bigint  NOT NULL,
    compacted bigint  NOT NULL
);

-- A service whole, as JSON. Text and not jsonb: it comes back as it was written, and nothing in SQL looks into it. The index on
-- `revision` is the log of changes: what changed since N is what has a revision above N.
CREATE TABLE catalog.services (
    id       bigint PRIMARY KEY,
    name     text   NOT NULL UNIQUE,
    revision bigint NOT NULL UNIQUE,
    document text   NOT NULL
);

-- What `services` can no longer tell: the newest deletions.
CREATE TABLE catalog.deletions (
    revision bigint PRIMARY KEY,
    id       bigint NOT NULL,
    name     text   NOT NULL
);

-- When somebody last heard of an instance, for the catalogs that did not. Unlogged: after a crash nobody trusts it anyway, and
-- everyone gets a full lease.
CREATE UNLOGGED TABLE catalog.renewals (
    service    bigint      NOT NULL,
    instance   text        NOT NULL,
    renewed_at timestamptz NOT NULL,
    PRIMARY KEY (service, instance)
);
