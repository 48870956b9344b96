// The watch stream says that something changed; what is shown is always read anew, so the page can never drift from the catalog.

// Changes within this time are shown together, in milliseconds.
const COALESCE = 150;
// How often calls are read: they make no event.
const CALLS_EVERY = 3000;
const CALLS_SHOWN = 20;

const byId = (id) => document.getElementById(id);
const bodyOf = (id) => byId(id).tBodies[0];

// Text becomes text, never markup: names come from whoever registers services.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const cell = (...children) => element("td", null, ...children);
const number = (text) => element("td", { class: "number" }, String(text));
const milliseconds = (value) => (value === undefined || value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

async function read(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? response.statusText);
  return body;
}

function showNotice(text) {
  byId("notice").hidden = text === "";
  byId("notice").textContent = text;
}

function fill(table, rows, nothing) {
  const columns = byId(table).tHead.rows[0].cells.length;
  const empty = element("tr", null, element("td", { class: "empty", colspan: columns }, nothing));
  bodyOf(table).replaceChildren(...(rows.length === 0 ? [empty] : rows));
}

// === services ===

let services = [];

function instanceLine(instance) {
  const zone = instance.zone ? `, zone ${instance.zone}` : "";
  const details = element("small", null, ` ${instance.id}, weight ${instance.weight}${zone}${instance.ttl ? `, lease ${instance.ttl}` : ""}`);
  return element("li", null, element("span", { class: `pill ${instance.status}` }, instance.status), " ", element("code", null, instance.address), details);
}

function routeLine(route) {
  const methods = route.methods?.length ? `${route.methods.join(", ")} ` : "";
  return element("li", null, element("code", null, `${methods}${route.host ?? ""}${route.path_prefix ?? route.path ?? ""}`));
}

function serviceRow(service) {
  const passing = service.instances.filter((instance) => instance.status === "passing").length;
  const short = passing < service.min_instances ? element("p", { class: "breached" }, `${passing} of at least ${service.min_instances} passing`) : null;
  const tags = service.tags.map((tag) => element("span", { class: "tag" }, `#${tag}`));
  const title = [element("a", { href: `services/${encodeURIComponent(service.name)}` }, service.name), " ", element("small", null, `${service.id}${service.version ? ` · ${service.version}` : ""}`)];
  const instances = service.instances.length === 0 ? element("span", { class: "empty" }, "none") : element("ul", null, ...service.instances.map(instanceLine));
  return element(
    "tr",
    { "data-service": service.name },
    cell(...title, element("div", null, element("small", null, service.description)), element("div", null, ...tags)),
    cell(instances, short),
    cell(element("ul", null, ...service.routes.map(routeLine))),
    cell(typeof service.policy.balance === "string" ? service.policy.balance : service.policy.balance.kind),
    number(service.revision),
  );
}

function showServices() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const fits = (service) => [service.name, ...service.tags].some((text) => text.toLowerCase().includes(wanted));
  fill("services", services.filter(fits).map(serviceRow), wanted === "" ? "No services" : "No service fits");
}

async function readServices() {
  const answer = await read("services");
  services = answer.services;
  byId("revision").textContent = answer.revision;
  showServices();
}

// === calls ===

function statisticsRow(service) {
  const { "1m": minute, "15m": quarter } = service.totals;
  return element(
    "tr",
    null,
    cell(service.name),
    number(minute.calls),
    number(quarter.calls),
    number(quarter.errors),
    number(milliseconds(quarter.latency_ms?.p50)),
    number(milliseconds(quarter.latency_ms?.p99)),
  );
}

function callRow(call) {
  const status = call.status === undefined ? "–" : call.status;
  return element(
    "tr",
    null,
    cell(new Date(call.at).toLocaleTimeString()),
    cell(element("code", null, `${call.method} ${call.service}${call.endpoint}`)),
    cell(element("code", null, call.instance ?? "–")),
    element("td", { class: `number ${status >= 500 ? "critical" : ""}` }, String(status)),
    number(milliseconds(call.duration_ms)),
  );
}

async function readCalls() {
  const [statistics, log] = await Promise.all([read("services/stats"), read(`services/logs?limit=${CALLS_SHOWN}`)]);
  fill("stats", statistics.services.map(statisticsRow), "Nobody has called yet");
  fill("calls", log.calls.map(callRow), "Nobody has called yet");
}

// === what keeps it fresh ===

async function attempt(work) {
  try {
    await work();
    showNotice("");
  } catch (error) {
    showNotice(`The catalog does not answer: ${error.message}`);
  }
}

let waiting = null;

function changed() {
  waiting ??= setTimeout(() => {
    waiting = null;
    attempt(readServices);
  }, COALESCE);
}

function showStream(state) {
  byId("stream").className = `pill ${state}`;
  byId("stream").textContent = state;
}

const stream = new EventSource("services/watch?observer=true");
stream.addEventListener("open", () => showStream("live"));
stream.addEventListener("error", () => showStream(stream.readyState === EventSource.CLOSED ? "lost" : "connecting"));
for (const kind of ["snapshot", "service", "deleted"]) stream.addEventListener(kind, changed);

byId("filter").addEventListener("input", showServices);

async function keepReadingCalls() {
  if (!document.hidden) await attempt(readCalls);
  setTimeout(keepReadingCalls, CALLS_EVERY);
}

attempt(readServices);
keepReadingCalls();
