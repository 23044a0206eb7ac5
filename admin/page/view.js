// Putting figures on the page. Names of sessions and clients are whatever somebody chose: all text goes in as text.

export function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (value !== undefined) e.setAttribute(key, value);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

const svgName = "http://www.w3.org/2000/svg";

function svg(name, attributes, text) {
  const e = document.createElementNS(svgName, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
}

// number shortens a count: 1234567 is 1.23M.
export function number(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (n >= size) return (n / (unit === "k" ? 1e3 : size)).toFixed(unit === "k" ? 1 : 2) + unit;
  }
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i === 0 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
}

export function seconds(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return "–";
  if (s === 0) return "0 s";
  if (s < 0.001) return Math.round(s * 1e6) + " µs";
  if (s < 1) return (s * 1e3).toFixed(s < 0.1 ? 1 : 0) + " ms";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (s >= size) return (s / size).toFixed(s % size ? 1 : 0).replace(".0", "") + " " + unit;
  }
  return (Number.isInteger(s) ? s : s.toFixed(1)) + " s";
}

export function clock(text) {
  return text ? new Date(text).toLocaleTimeString() : "–";
}

// table fills a table: columns are [title, value(row), class]. A value is text, or an element.
export function table(id, columns, rows) {
  const head = el("tr", {}, ...columns.map(([title, , kind]) => el("th", { class: kind, scope: "col" }, title)));
  const body = rows.map((row) => el("tr", {}, ...columns.map(([, value, kind]) => el("td", { class: kind }, asNode(value(row))))));
  if (body.length === 0) body.push(el("tr", {}, el("td", { class: "none", colspan: columns.length }, "none")));
  document.getElementById(id).replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
}

function asNode(value) {
  return value instanceof Node ? value : String(value === null || value === undefined ? "–" : value);
}

const height = 176, left = 56, bottom = 16; // pixels

// lines draws series {name, color, values} over the same moments; stacked, as areas on top of each other.
export function lines(id, series, { stacked, format }) {
  const place = document.getElementById(id), width = Math.max(200, place.clientWidth);
  const length = Math.max(2, ...series.map((s) => s.values.length));
  let base = new Array(length).fill(0);
  const tops = series.map((s) => {
    const values = s.values.map((v, i) => (stacked ? base[i] : 0) + (v || 0));
    const before = base;
    if (stacked) base = values.concat(base.slice(values.length));
    return { ...s, values, before };
  });
  const most = round(Math.max(1e-9, ...tops.flatMap((s) => s.values)));
  const x = (i) => left + (i * (width - left)) / (length - 1);
  const y = (v) => (height - bottom) * (1 - v / most) + 4;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const share of [0, 0.5, 1]) {
    chart.append(svg("line", { x1: left, x2: width, y1: y(most * share), y2: y(most * share), class: "grid" }));
    chart.append(svg("text", { x: left - 6, y: y(most * share) + 4, "text-anchor": "end" }, format(most * share)));
  }
  for (const s of tops) {
    const points = s.values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`);
    if (stacked) {
      const back = s.values.map((_, i) => `${x(i).toFixed(1)},${y(s.before[i]).toFixed(1)}`).reverse();
      const area = svg("polygon", { points: points.concat(back).join(" ") });
      area.style.fill = s.color;
      chart.append(area);
    } else {
      const line = svg("polyline", { points: points.join(" "), fill: "none", "stroke-width": 2 });
      line.style.stroke = s.color;
      chart.append(line);
    }
  }
  place.replaceChildren(chart);
}

// round is the next number that reads well.
function round(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((f) => f * power).find((v) => v >= n);
}

export function key(id, series) {
  document.getElementById(id).replaceChildren(...series.map((s) => {
    const mark = el("i");
    mark.style.background = s.color;
    return el("span", {}, mark, s.name + (s.now === undefined ? "" : " " + s.now));
  }));
}

// bars draws a histogram of an audit.
export function bars(title, histogram, format) {
  const buckets = histogram.buckets.map((b, i) => ({ ...b, to: (histogram.buckets[i + 1] || {}).from }));
  let first = buckets.findIndex((b) => b.keys > 0), last = buckets.findLastIndex((b) => b.keys > 0);
  if (first < 0) return null;
  const most = Math.max(histogram.never || 0, ...buckets.map((b) => b.keys));
  const rows = buckets.slice(first, last + 1).map((b) => [format(b.from) + (b.to === undefined ? " on" : " to " + format(b.to)), b.keys]);
  if (histogram.never) rows.push(["never", histogram.never]);
  return el("div", {}, el("h3", {}, title), ...rows.map(([name, keys]) => {
    const bar = el("i");
    bar.style.width = (100 * keys) / most + "%";
    return el("div", { class: "bar" }, el("span", {}, name), el("span", {}, bar), el("span", {}, number(keys)));
  }));
}
