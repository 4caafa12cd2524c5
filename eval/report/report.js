"use strict";
// Text of models and judges reaches the page as text nodes alone: append() and textContent.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("index").textContent);
const sessions = data.sessions.map(([key, method, attitude, seed, exchanges, end, technique, scores]) =>
  ({key, method, attitude, seed, exchanges, end, technique, scores}));
const byKey = new Map(sessions.map((s) => [s.key, s]));
const named = (method) => Object.hasOwn(data.methods, method) ? data.methods[method] : method;
const shown = (value) => value === null || value === undefined ? "–" : String(value);
const PAGE = 60;
let limit = PAGE, found = null, scan = 0;

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
function link(href, ...children) {
  const node = make("a", "", ...children);
  node.href = href;
  return node;
}
const fold = (title, ...children) => make("details", "", make("summary", "", title), ...children);
const address = (key, other) =>
  "#session=" + encodeURIComponent(key) + (other ? "&with=" + encodeURIComponent(other) : "");

// Sessions stand gzipped in the page, one element each; one is unpacked when it is opened.
const parsed = new Promise((done) => document.readyState === "loading"
  ? document.addEventListener("DOMContentLoaded", done) : done());
async function open(key) {
  const id = "s" + data.blocks[key];
  if (!byId(id)) await parsed;
  const bytes = Uint8Array.from(atob(JSON.parse(byId(id).textContent)), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function selected() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const method = byId("method").value, attitude = byId("attitude").value;
  const measure = Number(byId("measure").value || 0), order = Number(byId("order").value);
  const low = byId("low").value, high = byId("high").value;
  const chosen = sessions.filter((s) => {
    if (method && s.method !== method || attitude && s.attitude !== attitude) return false;
    const score = s.scores[measure] ?? null;
    if (low !== "" && (score === null || score < Number(low))) return false;
    if (high !== "" && (score === null || score > Number(high))) return false;
    if (found) return found.has(s.key);
    const text = [s.key, named(s.method), s.attitude, s.seed, s.technique].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (order) chosen.sort((a, b) => {
    const [x, y] = [a.scores[measure] ?? null, b.scores[measure] ?? null];
    return x === null || y === null ? (x === null) - (y === null) : order * (x - y);
  });
  return chosen;
}
function list() {
  const chosen = selected(), measure = Number(byId("measure").value || 0);
  byId("count").textContent = chosen.length + " of " + sessions.length + " sessions";
  byId("list").replaceChildren(...chosen.slice(0, limit).map((s) => make("li", "", link(
    address(s.key), make("b", "", named(s.method)), make("span", "", s.key),
    make("span", "soft", s.attitude), make("span", "soft", s.exchanges + " exchanges"),
    make("span", "soft", s.technique),
    data.measures.length ? make("span", "", data.measures[measure] + " " + shown(s.scores[measure])) : null))));
  byId("more").hidden = chosen.length <= limit;
}
function again() { limit = PAGE; list(); }

async function deep() {
  const wanted = byId("search").value.toLowerCase().trim(), mine = ++scan;
  found = null;
  if (!wanted) return again();
  const hits = new Set();
  for (const [number, s] of sessions.entries()) {
    const text = JSON.stringify(Object.values(await open(s.key))).toLowerCase();
    if (mine !== scan) return;
    if (text.includes(JSON.stringify(wanted).slice(1, -1))) hits.add(s.key);
    if (number % 50 === 0) byId("count").textContent = "Searching: " + number + " of " + sessions.length;
  }
  found = hits;
  again();
}

function said(role, text) {
  return make("div", "said " + role, make("b", "", role === "counselor" ? "Counselor" : "Client"), text);
}
function exchangeOf(exchange, number, title) {
  const chips = exchange.techniques.map((name) => make("span", "chip", name));
  const candidates = exchange.candidates.map(([name, text, chosen]) => make("div",
    "candidate" + (chosen ? " chosen" : ""), make("b", "", name + (chosen ? " (chosen)" : "")), "\n", text));
  return make("article", "turn", make("h4", "", title + "Exchange " + (number + 1)),
    chips.length ? make("div", "", ...chips) : null,
    exchange.selector ? make("p", "soft", "Selector: " + exchange.selector) : null,
    candidates.length ? fold(candidates.length + " candidates", ...candidates) : null,
    said("counselor", exchange.reply),
    exchange.client === null ? null : said("client", exchange.client),
    exchange.ended ? make("p", "soft", "The client ends the session.") : null);
}
function scoresOf(scores) {
  const groups = new Map();
  for (const [judge, scale, item, repeat, value, reason, raw] of scores) {
    const title = scale + ", judge " + judge;
    if (!groups.has(title)) groups.set(title, []);
    const words = reason || (value === null && raw ? "Not readable: " + raw : "");
    groups.get(title).push(make("tr", "", make("th", "", item + (repeat ? " (again " + repeat + ")" : "")),
      make("td", "", shown(value)), make("td", "", words)));
  }
  if (!groups.size) return [make("p", "soft", "No scores.")];
  return [...groups].map(([title, rows]) => fold(title + ": " + rows.length + " scores",
    make("div", "scroll scores", make("table", "", make("tbody", "", ...rows)))));
}
function headOf(s, session) {
  const pairs = [["Session", s.key], ["Seed", s.seed], ["Attitude", s.attitude],
    ["Exchanges", s.exchanges + (s.end === "client" ? ", ended by the client" : "")],
    ["Models", [...new Set(Object.values(session.models))].join(", ")]];
  data.measures.forEach((name, n) => pairs.push([name, shown(s.scores[n])]));
  return make("div", "", make("h2", "", named(s.method)),
    make("dl", "", ...pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)])),
    session.plan ? fold("Plan: " + session.plan.technique, make("div", "pre", session.plan.text))
      : make("p", "soft", "No plan."),
    fold("Intake form", make("div", "pre", session.form)), ...scoresOf(session.scores));
}
async function read(key, other) {
  const place = byId("view-session"), keys = [key, other].filter((k) => byKey.has(k));
  place.replaceChildren(make("p", "soft", "Opening …"));
  if (!byKey.has(key)) return place.replaceChildren(make("p", "", "There is no session " + key + "."));
  const asked = location.hash, first = byKey.get(key);
  const loaded = await Promise.all(keys.map(open));
  if (asked !== location.hash) return;
  const rivals = sessions.filter((s) => s.seed === first.seed && s.key !== key);
  const choice = make("p", "", "Same seed, side by side: ");
  for (const rival of rivals) choice.append(link(address(key, rival.key), named(rival.method)), " ");
  if (other) choice.append(link(address(key), "alone"));
  const grid = make("div", "columns" + (keys.length > 1 ? " two" : ""));
  grid.append(...keys.map((k, n) => headOf(byKey.get(k), loaded[n])));
  const opening = (session) => make("div", "", ...session.opening.map((m) => said(m.role, m.message)));
  grid.append(...loaded.map(opening));
  const exchanges = Math.max(...loaded.map((session) => session.exchanges.length));
  for (let number = 0; number < exchanges; number++) loaded.forEach((session, n) => {
    const title = keys.length > 1 ? named(byKey.get(keys[n]).method) + ", " : "";
    const exchange = session.exchanges[number];
    grid.append(exchange ? exchangeOf(exchange, number, title) : make("div", ""));
  });
  place.replaceChildren(make("p", "", link("#sessions", "All sessions")), rivals.length ? choice : "", grid);
}

function route() {
  const wanted = new URLSearchParams(location.hash.slice(1)), key = wanted.get("session");
  const view = key !== null ? "session" : ["plots", "sessions"].find((v) => wanted.has(v)) || "results";
  for (const section of document.querySelectorAll("main > section"))
    section.hidden = section.id !== "view-" + view;
  for (const item of document.querySelectorAll("nav a")) {
    const here = item.hash === "#" + view || view === "session" && item.hash === "#sessions";
    here ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
  }
  if (key !== null) read(key, wanted.get("with"))
    .catch((error) => byId("view-session").replaceChildren("Cannot open it: " + error));
  window.scrollTo(0, 0);
}

function options(id, names) {
  byId(id).append(...names.map(([value, text]) => {
    const option = make("option", "", text);
    option.value = value;
    return option;
  }));
}
options("method", Object.entries(data.methods));
options("attitude", [...new Set(sessions.map((s) => s.attitude))].map((a) => [a, a]));
options("measure", data.measures.map((name, n) => [n, name]));
for (const id of ["measure", "low", "high", "order"]) byId(id).parentElement.hidden = !data.measures.length;
for (const id of ["method", "attitude", "measure", "low", "high", "order"]) byId(id).addEventListener("input", again);
byId("search").addEventListener("input", () => { found = null; scan++; again(); });
byId("deep").addEventListener("click", deep);
byId("more").addEventListener("click", () => { limit += 10 * PAGE; list(); });
addEventListener("hashchange", route);
list();
route();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
