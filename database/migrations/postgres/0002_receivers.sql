-- Who reads a watch stream of which catalog and says how far he is, for the catalogs that he does not read from. Unlogged: after a
-- crash of the database every reader says it again.
CREATE UNLOGGED TABLE catalog.receivers (
    stream   text        PRIMARY KEY,
    receiver text        NOT NULL,
    name     text        NOT NULL,
    revision bigint,
    refused  bigint[]    NOT NULL,
    heard_at timestamptz NOT NULL
);
