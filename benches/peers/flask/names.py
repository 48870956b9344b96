"""The name service with Flask: what `service-api` is measured against."""

import random

from flask import Flask, jsonify

app = Flask(__name__)
app.json.compact = True

FIRST = ["Ada", "Alan", "Barbara", "Claude", "Dennis", "Donald", "Edsger", "Frances", "Grace", "John", "Karen", "Ken", "Leslie", "Radia"]
LAST = ["Allen", "Dijkstra", "Hopper", "Knuth", "Lamport", "Liskov", "Lovelace", "McCarthy", "Perlman", "Ritchie", "Shannon", "Turing"]
COUNT_MAX = 100


def a_name():
    first, last = random.choice(FIRST), random.choice(LAST)
    return {"first_name": first, "last_name": last, "name": f"{first} {last}", "locale": "en"}


@app.get("/")
def information():
    return {"service": "names", "endpoints": ["/name", "/names/{count}", "/health"]}


@app.get("/name")
def name():
    return a_name()


@app.get("/names/<int:count>")
def names(count):
    if not 1 <= count <= COUNT_MAX:
        return jsonify(error=f"count must be between 1 and {COUNT_MAX}"), 400
    return {"names": [a_name() for _ in range(count)]}


@app.get("/health")
def health():
    return {"status": "ok"}
