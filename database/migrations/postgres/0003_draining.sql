-- What readers of watch streams say about requests that are with draining instances, as JSON. A catalog of an older release leaves it
-- out, which says nothing.
ALTER TABLE catalog.receivers ADD COLUMN draining text NOT NULL DEFAULT '[]';

-- What each catalog says about its own calls to draining instances, for the others. Unlogged: after a crash of the database every
-- catalog says it again.
CREATE UNLOGGED TABLE catalog.callers (
    catalog  text        PRIMARY KEY,
    name     text        NOT NULL,
    revision bigint      NOT NULL,
    draining text        NOT NULL,
    heard_at timestamptz NOT NULL
);
