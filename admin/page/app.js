// The dashboard: asks the API every two seconds and shows what has changed since.

import { call, get, setToken } from "./api.js";
import { bars, bytes, clock, el, key, lines, number, seconds, table } from "./view.js";

const every = 2000; // milliseconds between two looks
const kept = 90; // looks shown in charts
const verdicts = ["passed", "rewritten", "local", "unknown", "refused"];
const $ = (id) => document.getElementById(id);
const color = (name) => `var(--${name})`;

let before = null; // the stats of the last look
let hitsBefore = null;
const history = []; // a point for each look
let cursor = ""; // of the page of sessions after those shown
let listed = [];
let asking = false; // a dialog is open
let answered = null; // takes what is answered there
let denied = false; // the dialog for the token was closed without one
let tried = false; // a token that was not right

const tenant = () => $("tenant").value;
const ofTenant = (row) => !tenant() || row.tenant === tenant() || row.name === tenant();

// ask shows a dialog and resolves to true, or the text given, or null.
function ask(text, { input, yes } = {}) {
  asking = true;
  $("askText").textContent = text;
  $("askInput").hidden = !input;
  $("askInput").value = "";
  $("askYes").textContent = yes || "Yes";
  if (!$("ask").open) $("ask").showModal();
  answered?.(null);
  return new Promise((resolve) => (answered = resolve));
}

// settle ends the dialog. Its close event comes too late to tell which question it is about.
function settle(value) {
  asking = false;
  $("ask").close();
  answered?.(value);
  answered = null;
}

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text || "";
}

async function askToken() {
  const text = await ask((tried ? "That token was not right. " : "") + "The admin token (admin.token in the configuration). It is kept until this tab is closed.", { input: true, yes: "Use it" });
  if (text === null) return false;
  setToken(text.trim());
  denied = false;
  tried = true;
  return true;
}

// act sends what changes something; it asks for a token if one is missing.
async function act(method, path, body) {
  for (;;) {
    try {
      const answer = await call(method, path, body);
      trouble("");
      return answer;
    } catch (error) {
      if (error.status === 401 && (await askToken())) continue;
      trouble(error.message);
      return null;
    }
  }
}

// sum adds up the running totals of the tenants that are shown.
function sum(stats) {
  const total = { verdicts: Object.fromEntries(verdicts.map((v) => [v, 0])), total: [], upstream: [] };
  for (const t of stats.tenants.filter(ofTenant)) {
    for (const v of verdicts) total.verdicts[v] += t.verdicts[v];
    for (const side of ["total", "upstream"]) t.latency[side].counts.forEach((n, i) => (total[side][i] = (total[side][i] || 0) + n));
  }
  return total;
}

// quantile estimates within which time a share of commands was done, from the counts of buckets; NaN if there were none.
function quantile(bounds, counts, share) {
  const all = counts.reduce((a, b) => a + b, 0);
  if (all === 0) return NaN;
  let rank = share * all;
  for (let i = 0; i < counts.length; i++) {
    if (rank <= counts[i] && counts[i] > 0) {
      const from = i ? bounds[i - 1] : 0, to = i < bounds.length ? bounds[i] : bounds[bounds.length - 1];
      return from + ((to - from) * rank) / counts[i];
    }
    rank -= counts[i];
  }
  return bounds[bounds.length - 1];
}

function showStats(stats) {
  if (before && before.uptime_s > stats.uptime_s) before = null; // another process
  if (before) {
    const span = stats.uptime_s - before.uptime_s, now = sum(stats), then = sum(before);
    const rates = Object.fromEntries(verdicts.map((v) => [v, Math.max(0, now.verdicts[v] - then.verdicts[v]) / span]));
    const since = (side) => now[side].map((n, i) => n - (then[side][i] || 0));
    const point = { rates };
    for (const side of ["total", "upstream"]) {
      point[side + "50"] = quantile(stats.bounds_s, since(side), 0.5);
      point[side + "99"] = quantile(stats.bounds_s, since(side), 0.99);
    }
    history.push(point);
    if (history.length > kept) history.shift();
    $("rate").textContent = number(verdicts.reduce((n, v) => n + rates[v], 0));
    $("refusedRate").textContent = number(rates.refused);
    $("refusedRate").className = rates.refused > 0 ? "bad" : "";
    $("p99").textContent = seconds(point.total99);
    $("p99up").textContent = seconds(point.upstream99);
    draw(rates, point);
  }
  before = stats;
}

function draw(rates, point) {
  const byVerdict = verdicts.map((v) => ({ name: v, color: color(v), values: history.map((p) => p.rates[v]), now: number(rates[v]) }));
  lines("verdictChart", byVerdict, { stacked: true, format: number });
  key("verdictKey", byVerdict);
  const latency = [["total, 99 of 100", "total99", "passed"], ["upstream, 99 of 100", "upstream99", "unknown"],
    ["total, half", "total50", "local"], ["upstream, half", "upstream50", "rewritten"]].map(([name, field, c]) =>
    ({ name, color: color(c), values: history.map((p) => p[field] || 0), now: seconds(point[field]) }));
  lines("latencyChart", latency, { format: seconds });
  key("latencyKey", latency);
}

function showStatus(s) {
  const [word, kind] = s.draining ? ["draining", "warn"] : s.paused ? ["paused, " + s.pause.held + " wait", "warn"] : s.ready ? ["ready", "good"] : ["not ready", "bad"];
  $("state").textContent = word;
  $("state").className = "pill " + kind;
  $("about").textContent = [s.version, "up " + seconds(s.uptime_s), ...s.reasons].join(" · ");
  $("clientCount").textContent = number(s.clients);
  $("pause").textContent = s.paused ? "Resume" : "Pause";
}

function showTenants(tenants) {
  const names = tenants.map((t) => t.name), select = $("tenant");
  if ([...select.options].slice(1).map((o) => o.value).join("\n") !== names.join("\n")) {
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, "all"), ...names.map((n) => el("option", { value: n }, n)));
    select.value = names.includes(chosen) ? chosen : "";
  }
  table("tenants", [
    ["tenant", (t) => t.name], ["namespace", (t) => t.namespace], ["upstream", (t) => t.upstream + "/" + t.db], ["clients", (t) => number(t.clients), "number"],
    ["commands", (t) => number(verdicts.reduce((n, v) => n + t.verdicts[v], 0)), "number"], ["refused", (t) => number(t.verdicts.refused), "number"],
    ["in", (t) => bytes(t.bytes_in), "number"], ["out", (t) => bytes(t.bytes_out), "number"],
    ["sessions", (t) => (t.audit ? number(t.audit.keys) : "–"), "number"], ["memory", (t) => (t.audit ? bytes(t.audit.bytes) : "–"), "number"],
  ], tenants.filter(ofTenant));
}

function showRules(rules) {
  const was = hitsBefore;
  hitsBefore = Object.fromEntries(rules.map((r) => [r.tenant + "\n" + r.rule, r.hits]));
  table("rules", [
    ["tenant", (r) => r.tenant], ["rule", (r) => r.rule], ["mode", (r) => r.mode], ["commands", (r) => number(r.hits), "number"],
    ["a second", (r) => (was ? number((r.hits - (was[r.tenant + "\n" + r.rule] || 0)) / (every / 1000)) : "–"), "number"],
    ["refused", (r) => Object.entries(r.refusals).map(([k, n]) => k + " " + number(n)).join(", ") || "–"], ["as configured", (r) => r.summary, "long"],
  ], rules.filter(ofTenant));
}

function showRefusals(r) {
  table("refusals", [
    ["count", (c) => number(c.count), "number"], ["tenant", (c) => c.tenant], ["rule", (c) => c.rule || "–"], ["kind", (c) => c.kind], ["command", (c) => c.command], ["last", (c) => clock(c.last)],
  ], r.classes.filter(ofTenant));
  table("recent", [
    ["when", (e) => clock(e.time)], ["client", (e) => e.client.name || "–"], ["address", (e) => e.client.addr], ["library", (e) => e.client.library || "–"],
    ["command", (e) => e.command], ["why", (e) => e.reason, "long"],
  ], r.recent.filter(ofTenant).slice(0, 50));
}

function showUpstreams(list) {
  const up = list.filter((u) => u.up).length;
  $("upCount").textContent = up + " of " + list.length;
  $("upCount").className = up < list.length ? "bad" : "good";
  table("upstreams", [
    ["address", (u) => u.addr], ["state", (u) => el("span", { class: u.up ? "good" : "bad" }, u.up ? "up" : "down: " + u.why)], ["version", (u) => u.version],
    ["nodes", (u) => u.nodes.map((n) => n.addr + " " + n.role + (n.up ? "" : " down")).join(", ")], ["links", (u) => u.links, "number"], ["dedicated", (u) => u.dedicated, "number"],
    ["in flight", (u) => u.in_flight, "number"], ["reconnects", (u) => u.reconnects, "number"], ["waited", (u) => u.holds, "number"], ["in", (u) => bytes(u.bytes_in), "number"], ["out", (u) => bytes(u.bytes_out), "number"],
  ], list);
}

function showClients(c) {
  table("clients", [
    ["id", (x) => x.id, "number"], ["address", (x) => x.addr], ["tenant", (x) => x.tenant || "–"], ["name", (x) => x.name || "–"], ["library", (x) => [x.library, x.library_version].filter(Boolean).join(" ") || "–"],
    ["commands", (x) => number(x.commands), "number"], ["in", (x) => bytes(x.bytes_in), "number"], ["out", (x) => bytes(x.bytes_out), "number"], ["age", (x) => seconds(x.age_s), "number"], ["idle", (x) => seconds(x.idle_s), "number"],
    ["", (x) => el("button", { class: "danger", onclick: () => kill(x) }, "Close")],
  ], c.clients);
}

function showSlow(s) {
  table("slowlog", [
    ["when", (e) => clock(e.time)], ["total", (e) => seconds(e.total_ms / 1000), "number"], ["upstream", (e) => seconds(e.upstream_ms / 1000), "number"], ["tenant", (e) => e.tenant],
    ["command", (e) => e.command + (e.commands > 1 ? " and " + (e.commands - 1) + " more" : "")], ["key", (e) => e.key || "–"], ["client", (e) => e.client.name || e.client.addr],
  ], s.entries.filter(ofTenant));
}

function showAudits(audits) {
  const shown = audits.filter(ofTenant);
  $("auditState").textContent = shown.map((a) => a.tenant + ": " + (a.state === "running" ? "under way, " + Math.round(100 * a.done) + " %" : a.state + " " + clock(a.ended)) +
    (a.report ? ", " + number(a.report.keys) + " keys, " + bytes(a.report.bytes) + ", " + number(a.report.findings) + " findings" : "") + (a.error ? ": " + a.error : "")).join(" · ") || "There was none yet.";
  const parts = [];
  for (const a of shown.filter((x) => x.report)) {
    const title = (what) => (shown.length > 1 ? a.tenant + ": " : "") + what;
    parts.push(bars(title("time to live"), a.report.ttl, seconds), bars(title("age"), a.report.age, seconds), bars(title("memory of a key"), a.report.size, bytes), bars(title("since last use"), a.report.idle, seconds));
  }
  $("histograms").replaceChildren(...parts.filter(Boolean));
}

function showSessions() {
  table("sessions", [
    ["key", (s) => s.key, "key-name"], ["type", (s) => s.type], ["rule", (s) => s.rule || "–"], ["expires in", (s) => (s.ttl_ms < 0 ? "never" : seconds(Math.round(s.ttl_ms / 1000))), "number"],
    ["age", (s) => seconds(s.age_s), "number"], ["unused for", (s) => seconds(s.idle_s), "number"], ["size", (s) => bytes(s.bytes), "number"],
    ["", (s) => el("button", { class: "danger", onclick: () => revokeOne(s) }, "Revoke")],
  ], listed);
  $("more").hidden = !cursor;
}

// list shows some more sessions. A page of what is looked through may hold few that match, or none.
async function list(next) {
  if (!next) listed = [];
  const enough = listed.length + 50;
  for (let pages = 0; pages < 100 && listed.length < enough; pages++) {
    const answer = await act("GET", "sessions?" + new URLSearchParams({ tenant: tenant(), match: $("match").value, cursor: next, count: 100 }));
    if (!answer) return;
    listed = listed.concat(answer.sessions);
    cursor = next = answer.cursor;
    showSessions();
    if (!cursor) break;
  }
}

async function revokeOne(s) {
  if (!(await ask(`Revoke the session "${s.key}"? Whoever uses it has to log in again.`, { yes: "Revoke" }))) return;
  const body = s.key_base64 ? { key_base64: s.key_base64 } : { key: s.key };
  const done = await act("POST", "revocations", { tenant: tenant(), ...body });
  if (!done) return;
  $("revocation").textContent = done.revoked ? "Revoked 1 session." : "It was gone already.";
  listed = listed.filter((x) => x !== s);
  showSessions();
}

async function revokeMatching() {
  const match = $("match").value;
  const what = match ? `all sessions of ${tenant() || "the tenant"} that match "${match}"` : `ALL sessions of ${tenant() || "the tenant"}`;
  if (!(await ask(`Revoke ${what}? This can't be undone.`, { yes: "Revoke" }))) return;
  let r = await act("POST", "revocations", match ? { tenant: tenant(), match } : { tenant: tenant(), all: true });
  while (r && r.state === "running") {
    $("revocation").textContent = `Revoking: ${number(r.revoked)} so far, ${Math.round(100 * r.done)} %`;
    await new Promise((resolve) => setTimeout(resolve, 300));
    r = await act("GET", "revocations/" + r.id);
  }
  if (!r) return;
  $("revocation").textContent = `Revoked ${number(r.revoked)} sessions: ${r.state}${r.error ? ", " + r.error : ""}.`;
  list("");
}

async function kill(c) {
  if (await ask(`Close client ${c.id} at ${c.addr}?`, { yes: "Close" })) await act("DELETE", "clients/" + c.id);
}

// withoutCredential stands in for audits where figures may be seen and nothing else.
function withoutCredential(error) {
  if (error.status === 403) return { audits: [] };
  throw error;
}

async function look() {
  if (document.hidden || asking) return;
  try {
    const [status, stats, upstreams, tenants, rules, refusals, clients, slow, audits] = await Promise.all(
      ["status", "stats", "upstreams", "tenants", "rules", "refusals", "clients?limit=50" + (tenant() ? "&tenant=" + encodeURIComponent(tenant()) : ""), "slowlog?limit=50"].map(get).concat(get("audits").catch(withoutCredential)));
    tried = false;
    showStatus(status);
    showTenants(tenants.tenants);
    showStats(stats);
    showUpstreams(upstreams.upstreams);
    showRules(rules.rules);
    showRefusals(refusals);
    showClients(clients);
    showSlow(slow);
    showAudits(audits.audits);
    if ($("trouble").dataset.look) trouble("");
    delete $("trouble").dataset.look;
  } catch (error) {
    if (error.status === 401 && !denied) {
      denied = true;
      if (await askToken()) return look();
    }
    trouble(error.status === 401 ? "A token is needed: press Token." : "No answer: " + error.message);
    $("trouble").dataset.look = "1";
    $("state").textContent = "no answer";
    $("state").className = "pill bad";
  }
}

async function loop() {
  await look();
  setTimeout(loop, every);
}

$("askNo").addEventListener("click", () => settle(null));
$("ask").addEventListener("cancel", () => settle(null));
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  settle($("askInput").hidden ? true : $("askInput").value);
});
$("tenant").addEventListener("change", () => {
  history.length = 0;
  before = null;
  listed = [];
  cursor = "";
  showSessions();
  look();
});
$("token").addEventListener("click", async () => (await askToken()) && look());
$("reload").addEventListener("click", async () => {
  if (!(await ask("Put the configuration file into force now?", { yes: "Reload" }))) return;
  if (await act("POST", "reload")) $("about").textContent = "reloaded";
});
$("pause").addEventListener("click", async () => {
  const resume = $("pause").textContent === "Resume";
  if (!(await ask(resume ? "Let commands go again?" : "Hold all commands back, for 30 s at most?", { yes: resume ? "Resume" : "Pause" }))) return;
  await act("POST", resume ? "resume" : "pause");
  look();
});
$("audit").addEventListener("click", async () => {
  for (const t of tenant() ? [tenant()] : [...$("tenant").options].slice(1).map((o) => o.value)) await act("POST", "audits", { tenant: t });
  look();
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  list("");
});
$("more").addEventListener("click", () => list(cursor));
$("revokeAll").addEventListener("click", revokeMatching);
showSessions();
loop();
