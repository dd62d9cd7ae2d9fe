"use strict";
// Text nodes only: nothing of a run ever becomes markup.
const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");
const SVG = "http://www.w3.org/2000/svg";
function el(tag, cls, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function svg(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.append(text);
  return node;
}
const tone = (verdict) => verdict === "passed" || verdict === "verified" ? "ok" : verdict === "failed" || verdict === "error" || verdict === "unverified" ? "bad" : "warn";
const seconds = (ms) => ms < 1000 ? ms + " ms" : ms < 120000 ? (ms / 1000).toFixed(1) + " s" : Math.round(ms / 60000) + " min";
const place = (f) => f.file ? f.file + (f.line ? ":" + f.line : "") + ": " : "";
const section = (title) => main.append(el("h2", "", title));

main.append(el("p", "dim", "Greenroom run " + data.run), el("h1", "", data.title));
main.append(el("p", "", el("span", "tag " + tone(data.status), data.status), " " + data.reason));
main.append(el("p", "dim", data.repo + " · " + data.model));
const cards = el("div", "cards");
const card = (value, name) => cards.append(el("div", "card", el("b", "", value), el("span", "", name)));
if (data.score) card(data.score.total === null ? "–" : data.score.total.toFixed(1), "score of 100");
card(String(data.steps), "steps"); card(String(data.turns), "turns"); card(seconds(data.wall_ms), "time");
card(data.tokens.toLocaleString("en"), "tokens"); card(data.cost_usd === null ? "unknown" : "$" + data.cost_usd.toFixed(4), "cost");
card(String(data.files_changed.length), "files changed");
main.append(cards);
for (const line of data.spared) main.append(el("p", "dim", line));
if (data.summary) { section("What the agent says"); main.append(el("pre", "", data.summary)); }

if (data.rounds.length) {
  section("Checks");
  const table = el("table"), head = el("tr", "", el("th", "", "check"));
  for (const round of data.rounds) head.append(el("th", "", round.name));
  table.append(el("thead", "", head));
  const body = el("tbody");
  data.checks.forEach((check, at) => {
    const row = el("tr", "", el("td", "mono", check));
    for (const round of data.rounds) {
      const cell = round.checks[at];
      row.append(cell ? el("td", tone(cell.verdict), (tone(cell.verdict) === "ok" ? "✓ " : "✗ ") + cell.counts) : el("td", "dim", "–"));
    }
    body.append(row);
  });
  table.append(body);
  main.append(el("div", "scroll", table));
}

const scored = data.rounds.filter((round) => round.score);
if (scored.length) {
  section("Score");
  const names = ["total", ...scored[0].score.parts.map((part) => part.name)];
  const value = (round, name) => name === "total" ? round.score.total : (round.score.parts.find((part) => part.name === name) || {}).value;
  const W = Math.max(320, Math.min(760, main.clientWidth - 32)), H = 240, L = 36, T = 14, B = 24, step = (W - L - 20) / Math.max(1, scored.length - 1);
  const x = (at) => scored.length === 1 ? (W + L) / 2 : L + at * step, y = (v) => T + (100 - v) * (H - T - B) / 100;
  const chart = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Score of each check run" });
  for (const v of [0, 25, 50, 75, 100]) chart.append(svg("line", { x1: L, x2: W - 12, y1: y(v), y2: y(v), class: "grid" }), svg("text", { x: 6, y: y(v) + 4 }, String(v)));
  const every = Math.ceil(scored.length / Math.max(2, Math.floor(W / 90))), end = scored.length - 1;
  scored.forEach((round, at) => { if (at === end || at % every === 0 && end - at >= every) chart.append(svg("text", { x: x(at), y: H - 6, "text-anchor": at && at === end ? "end" : "middle" }, round.name)); });
  const cls = (at) => at === 0 ? "total" : "c" + (at - 1);
  [...names.keys()].reverse().forEach((at) => {
    const points = scored.map((round, n) => [n, value(round, names[at])]).filter(([, v]) => v !== null && v !== undefined);
    if (points.length > 1) chart.append(svg("polyline", { class: cls(at), fill: "none", points: points.map(([n, v]) => x(n) + "," + y(v)).join(" ") }));
    if (points.length < 60) for (const [n, v] of points) chart.append(svg("circle", { class: cls(at), cx: x(n), cy: y(v), r: at === 0 ? 4 : 3 }));
  });
  main.append(chart);
  const last = scored[scored.length - 1].score;
  const dot = (at) => { const box = el("span", "dot"), s = svg("svg", { viewBox: "0 0 12 12" }); s.append(svg("circle", { cx: 6, cy: 6, r: 5, class: cls(at) })); box.append(s); return box; };
  main.append(el("div", "part", dot(0), el("b", "", "total"), el("b", "", last.total === null ? "–" : last.total.toFixed(1)), el("span", "why dim", last.red ? "a check is red" : "")));
  last.parts.forEach((part, at) => {
    const facts = el("ul");
    for (const f of part.facts || []) facts.append(el("li", "", el("span", "mono", place(f)), f.text));
    main.append(el("div", "part", dot(at + 1), el("span", "", part.name), el("b", part.value === null ? "dim" : "", part.value === null ? "–" : part.value.toFixed(1)), el("span", "why dim", (part.value === null ? "not measured: " : "") + part.why), facts.childNodes.length ? facts : null));
  });
}

if (data.hypotheses.length) {
  section("Hypotheses");
  for (const h of data.hypotheses) main.append(el("p", "", el("b", h.verdict === "confirmed" ? "ok" : h.verdict === "refuted" ? "bad" : "warn", h.verdict), " " + h.statement, el("span", "dim", h.evidence ? " · " + h.evidence : "")));
}

if (data.diff) {
  section("Changes");
  let box = null, path = "", number = 0;
  const shown = new Set();
  const found = (at) => { for (const f of data.findings) if (f.file === path && f.line === at && !shown.has(f)) { shown.add(f); box.append(el("div", "f", "▲ " + f.text)); } };
  const open = (title) => { const lines = el("div", "lines mono"); main.append(el("div", "file", el("h3", "mono", title), lines)); return lines; };
  let inHunk = false, left = [0, 0];
  for (const line of data.diff.split("\n")) {
    if (!inHunk && line.startsWith("diff --git ")) { box = open(line.slice(11).split(" b/").pop()); path = line.slice(11).split(" b/").pop(); continue; }
    if (!inHunk && line.startsWith("+++ b/")) { path = line.slice(6).split("\t")[0]; if (!box) box = open(path); continue; }
    const hunk = !inHunk && /^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk) { number = Number(hunk[2]); left = [Number(hunk[1] ?? 1), Number(hunk[3] ?? 1)]; inHunk = true; if (!box) box = open(path); box.append(el("div", "h", line)); continue; }
    if (!inHunk) { if (box && line && !line.startsWith("index ") && !line.startsWith("--- ")) box.append(el("div", "h", line)); continue; }
    const sign = line[0];
    box.append(el("div", sign === "+" ? "a" : sign === "-" ? "d" : sign === "\\" ? "h" : "", line || " "));
    if (sign === "+" || sign === " " || line === "") { found(number); number += 1; left[1] -= 1; }
    if (sign === "-" || sign === " " || line === "") left[0] -= 1;
    if (left[0] <= 0 && left[1] <= 0) inHunk = false;
  }
  if (data.diff_cut) main.append(el("p", "dim", data.diff_cut + " more bytes; `greenroom diff` has all of it"));
  const rest = data.findings.filter((f) => !shown.has(f));
  if (rest.length) main.append(el("p", "", el("b", "", "Elsewhere")), el("pre", "", rest.map((f) => place(f) + f.text).join("\n")));
}

section("Verification");
if (data.verification.length) for (const check of data.verification) {
  main.append(el("p", tone(check.verdict), (tone(check.verdict) === "ok" ? "✓ " : "✗ ") + check.command + " – " + check.outcome + " in " + seconds(check.duration_ms) + (check.counts ? ", " + check.counts : "")));
  if (check.tail) main.append(el("pre", "", check.tail));
} else main.append(el("p", "dim", "The checks were not run in a clean container."));

section("Timeline");
for (const item of data.timeline) {
  if (item.say) { main.append(el("div", "say", item.say)); continue; }
  if (item.note) { main.append(el("p", "dim", item.note)); continue; }
  const end = el("span", "end " + (item.tone || "dim"), item.end);
  const details = el("details", "", el("summary", "", el("span", "n", item.step), el("span", "what", el("b", "", item.tool), " ", el("span", "mono dim", item.detail)), end));
  details.addEventListener("toggle", () => { if (details.open && details.childNodes.length === 1) details.append(el("pre", "", item.text || "(nothing)")); });
  main.append(details);
}
