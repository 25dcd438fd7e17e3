// Rate and latency over the whole run, faults shaded.
function drawChart(host, data, title, unit, series, logarithmic) {
  const {bucket_ms, buckets} = data.load;
  const width = 1200, height = 170, left = 60, bottom = 22, top = 22;
  if (!buckets.length) { host.textContent = title + ": no send was answered"; return; }
  const span = Math.max(buckets.length * bucket_ms, data.end_ns / 1e6);
  const most = Math.max(1, ...series.flatMap(s => buckets.map(s.value).filter(v => v !== null)));
  const least = logarithmic ? Math.max(0.001, Math.min(most, ...series.flatMap(s => buckets.map(s.value).filter(v => v !== null && v > 0)))) : 0;
  const x = ms => left + ms / span * (width - left - 8);
  const y = v => logarithmic
    ? height - bottom - Math.log(Math.max(v, least) / least) / Math.log(Math.max(most / least, 1.0001)) * (height - bottom - top)
    : height - bottom - v / most * (height - bottom - top);
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  const add = (tag, attributes, text) => {
    const made = document.createElementNS(ns, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    svg.append(made);
    return made;
  };
  for (const fault of data.faults) {
    const to = (fault.to < 0 ? data.end_ns : fault.to) / 1e6;
    const shade = add("rect", {x: x(fault.from / 1e6), y: top, width: Math.max(1.5, x(to) - x(fault.from / 1e6)), height: height - bottom - top, style: "fill: var(--fault)"});
    const label = document.createElementNS(ns, "title");
    label.textContent = fault.text;
    shade.append(label);
  }
  if (data.violation_ns >= 0) {
    add("line", {x1: x(data.violation_ns / 1e6), x2: x(data.violation_ns / 1e6), y1: top, y2: height - bottom, style: "stroke: var(--bad); stroke-width: 2"});
  }
  add("line", {x1: left, x2: width - 8, y1: height - bottom, y2: height - bottom, class: "axis"});
  const marks = logarithmic ? [least, Math.sqrt(least * most), most] : [0, most / 2, most];
  const short = v => v >= 1000 ? Math.round(v).toLocaleString("en") : v >= 10 ? v.toFixed(0) : v.toFixed(v >= 1 ? 1 : 2);
  for (const v of new Set(marks)) add("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, short(v));
  for (let i = 0; i <= 10; ++i) add("text", {x: x(span * i / 10), y: height - 6, "text-anchor": i === 10 ? "end" : "middle"}, (span * i / 10000).toFixed(2) + " s");
  let at = left;
  add("text", {x: at, y: 13, style: "fill: var(--ink); font-weight: 600"}, title + " (" + unit + ")");
  at += 9 * (title.length + unit.length);
  for (const s of series) {
    let path = "", pen = false;
    buckets.forEach((bucket, i) => {
      const v = s.value(bucket);
      if (v === null) { pen = false; return; }
      path += (pen ? "L" : "M") + x((i + 0.5) * bucket_ms).toFixed(1) + " " + y(v).toFixed(1);
      pen = true;
    });
    add("path", {d: path, style: `fill: none; stroke: var(--${s.color}); stroke-width: 1.6`});
    if (series.length > 1) {
      add("line", {x1: at, x2: at + 16, y1: 9, y2: 9, style: `stroke: var(--${s.color}); stroke-width: 3`});
      add("text", {x: at + 20, y: 13}, s.name);
      at += 40 + 8 * s.name.length;
    }
  }
  host.append(svg);
}

function drawCharts(data) {
  const perSecond = 1000 / data.load.bucket_ms;
  drawChart(document.getElementById("rate"), data, "Sends answered", "records/s", [
    {name: "acknowledged", color: "produce", value: b => b[0] * perSecond},
    {name: "refused or unknown", color: "bad", value: b => b[1] * perSecond},
  ], false);
  const ms = us => us < 0 ? null : us / 1000;
  drawChart(document.getElementById("latency"), data, "Latency of acknowledged sends", "ms", [
    {name: "median", color: "replica", value: b => ms(b[2])},
    {name: "99%", color: "isr", value: b => ms(b[3])},
    {name: "longest", color: "other", value: b => ms(b[4])},
  ], true);
}
