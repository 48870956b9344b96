"""The reading part of the catalog as a team would write it with Flask and PostgreSQL: what `service-catalog` is measured against.

GET /services answers what the catalog's own GET /services answers. POST /import stores such an answer, so that both have the same data.
"""

import os
import threading

import psycopg
from flask import Flask, request
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

app = Flask(__name__)
app.json.sort_keys = False
app.json.compact = True

SCHEMA = """
create table if not exists services (
    id bigint primary key, name text unique not null, declared jsonb not null, revision bigint not null,
    created_at text not null, updated_at text not null);
create table if not exists instances (
    service bigint not null references services, id text not null, state jsonb not null, primary key (service, id));
"""
KEPT_APART = ("id", "name", "revision", "created_at", "updated_at", "instances")

# One connection per thread of a worker, kept open.
connections = threading.local()


def database():
    if getattr(connections, "open", None) is None:
        connections.open = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, row_factory=dict_row)
    return connections.open


@app.get("/health")
def health():
    database().execute("select 1")
    return {"status": "ok"}


@app.get("/services")
def services():
    instances = {}
    for row in database().execute("select service, state from instances order by service, id"):
        instances.setdefault(row["service"], []).append(row["state"])
    found, revision = [], 0
    for row in database().execute("select * from services order by id"):
        declared = row.pop("declared")
        revision = max(revision, row["revision"])
        found.append({**row, **declared, "instances": instances.get(row["id"], [])})
    return {"services": found, "revision": revision}


@app.post("/import")
def import_services():
    connection = database()
    connection.execute(SCHEMA)
    with connection.transaction():
        for service in request.get_json()["services"]:
            declared = {key: value for key, value in service.items() if key not in KEPT_APART}
            connection.execute(
                "insert into services values (%s, %s, %s, %s, %s, %s)",
                (
                    service["id"],
                    service["name"],
                    Jsonb(declared),
                    service["revision"],
                    service["created_at"],
                    service["updated_at"],
                ),
            )
            for instance in service["instances"]:
                connection.execute(
                    "insert into instances values (%s, %s, %s)", (service["id"], instance["id"], Jsonb(instance))
                )
    return {"status": "ok"}
