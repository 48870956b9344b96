"""What the tests of the deployment share: asking servers, waiting, and holding dashboards and alerts to a Prometheus that runs."""

import json
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
MONITORING = ROOT / "monitoring"

# Longest wait for what happens by itself: a start, a scrape, data in a range.
DEADLINE_S = 90
POLL_S = 0.2
REQUEST_TIMEOUT_S = 10

# What a rule may name without being a metric.
WORDS = set(
    "abs absent and avg avg_over_time bool by changes clamp_max clamp_min count delta group_left group_right"
    " histogram_quantile ignoring increase max min offset on or rate scalar sum time topk unless vector without".split()
)


class Failure(Exception):
    """Something that the test demands is not so."""


def log(text):
    print(text, flush=True)


def eventually(what, holds, deadline_s=DEADLINE_S):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            last = holds()
            if last:
                return last
        except (OSError, ValueError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() > deadline:
            raise Failure(f"not within {deadline_s} s: {what} ({last!r})")
        time.sleep(POLL_S)


def ask(url, method="GET", body=None, token=None, timeout=REQUEST_TIMEOUT_S):
    """Status, header and body. A refusal by the server is an answer, too."""
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    if body is not None:
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def status(url, **options):
    return ask(url, **options)[0]


class Prometheus:
    """A server that scrapes the platform."""

    def __init__(self, url, range_, empty):
        """`range_` takes the place of Grafana's ranges; `empty` are metrics that do not exist here, with the reason."""
        self.url, self.range, self.empty = url, range_, empty

    def api(self, path, **parameters):
        code, _, body = ask(f"{self.url}/api/v1/{path}?" + urllib.parse.urlencode(parameters, doseq=True))
        answer = json.loads(body)
        if answer["status"] != "success":
            raise Failure(f"{code} {answer.get('error')}: {parameters}")
        return answer["data"]

    def has_data(self, expression):
        """Whether it yields a sample that is a number: a ratio of nothing is NaN, and shows nothing."""
        return any(sample["value"][1] != "NaN" for sample in self.api("query", query=expression)["result"])

    def filled_in(self, expression):
        """The expression as Grafana sends it, with every choice of every variable."""
        expression = expression.replace("$__rate_interval", self.range).replace("$__range", self.range)
        return re.sub(r"\$\{?[a-z]+\}?", ".*", expression)

    def check_targets(self, wanted):
        """`wanted`: instances by job; each must be there and up, and no other."""

        def all_up():
            found = {}
            for target in self.api("targets")["activeTargets"]:
                if target["health"] != "up":
                    return False
                job = target["labels"]["job"]
                found[job] = found.get(job, 0) + 1
            return found == wanted

        eventually(f"the targets {wanted} are up", all_up)
        log(f"ok: every target is up: {wanted}")

    def check_panels(self):
        count = 0
        for name, expression in queries_of_panels():
            count += 1
            expression = self.filled_in(expression)
            if reason := self.why_empty(expression):
                self.api("query", query=expression)
                log(f"empty here: {name}: {reason}")
            else:
                eventually(f"{name} has data: {expression}", lambda: self.has_data(expression))
        log(f"ok: {count} queries of panels return data")
        count = 0
        for name, series, label in variables():
            count += 1
            series = self.filled_in(series)
            eventually(f"{name} has choices", lambda: self.api(f"label/{label}/values", **{"match[]": series}))
        log(f"ok: {count} variables have choices")

    def check_rules(self):
        """Every rule is loaded and evaluated, and every metric that it names exists."""
        names = re.findall(r"^\s+- alert: (\w+)", (MONITORING / "prometheus/alerts.yml").read_text(), re.MULTILINE)
        if sorted(self.rules()) != sorted(names):
            raise Failure(f"the rules are {sorted(self.rules())}, not {sorted(names)}")
        for name in names:
            eventually(f"rule {name} is evaluated", lambda: self.is_evaluated(name))
            named = selectors(self.rules()[name]["query"])
            if not named and name != "Watchdog":
                raise Failure(f"rule {name} names no metric")
            for selector in named:
                if reason := self.why_empty(selector):
                    log(f"empty here: {name}: {reason}")
                else:
                    eventually(f"rule {name}: {selector} exists", lambda: self.api("query", query=selector)["result"])
        log(f"ok: {len(names)} rules are loaded, and their metrics exist")

    def why_empty(self, expression):
        return next((reason for metric, reason in self.empty.items() if metric in expression), None)

    def rules(self):
        return {rule["name"]: rule for group in self.api("rules")["groups"] for rule in group["rules"]}

    def is_evaluated(self, name):
        rule = self.rules()[name]
        if rule["health"] == "err":
            raise Failure(f"rule {name}: {rule['lastError']}")
        return rule["health"] == "ok"


def dashboards():
    files = sorted((MONITORING / "grafana/dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in files}


def queries_of_panels():
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']} {target['refId']}", target["expr"]


def variables():
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                if not found:
                    raise Failure(f"{name}: variable {variable['name']} is no label_values(series, label)")
                yield f"{name}: variable {variable['name']}", found[1], found[2]


def selectors(expression):
    """The metrics of an expression with their conditions. A word that is none counts as one, so that no metric is overlooked."""
    bare = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", " ", expression)
    bare = re.sub(r"\[[^]]*\]", " ", bare)
    found = []
    for match in re.finditer(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?|\"[^\"]*\"", bare):
        word, conditions = match.groups()
        if word and (conditions or word not in WORDS):
            found.append(word + (conditions or ""))
    return found


def use(gateway, put, names_address, round_number):
    """One round of everything that clients do, so that every metric has something to count. `put(path, body)` writes to the catalog."""
    paths = ["/", "/api/name", "/api/names/5?locale=ru", "/api/names/101", "/services", "/services/stats", "/nowhere", "/none/x"]
    paths += ["/half/name", "/cached/name?seed=1", "/services/call/service-api/names/2?seed=4", "/services/call/1/name", "/services/health"]
    for path in paths:
        status(gateway + path)
    # A change in each round, so that something propagates.
    put("/services/none", {"name": "none", "description": f"round {round_number}", "routes": [{"path_prefix": "/none/"}]})
    put("/services/half/instances/passing-by", {"address": names_address, "weight": 1 + round_number % 9})


def prepare(put, names_address, dead_address):
    """Things that happen in the life of a platform: services with a dead instance, with none, with a cache."""
    put("/services/cached", {"name": "cached", "routes": [{"path_prefix": "/cached/", "strip_prefix": True}], "policy": CACHED})
    put("/services/cached/instances/a", {"address": names_address})
    half = {"name": "half", "min_instances": 1, "routes": [{"path_prefix": "/half/", "strip_prefix": True}]}
    half["policy"] = {"health": {"path": "/health", "interval": "1s"}}
    put("/services/half", half)
    put("/services/half/instances/alive", {"address": names_address})
    put("/services/half/instances/dead", {"address": dead_address})
    put("/services/none", {"name": "none", "routes": [{"path_prefix": "/none/"}]})


# A service whose answers the gateway may keep.
CACHED = {"cache": {"default_ttl": "1s"}}

# Metrics that dashboards and rules already know and that this version does not have yet.
PENDING = {}
