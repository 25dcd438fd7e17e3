(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const model = makeModel(data);
  const canvas = document.getElementById("diagram");
  const readout = document.getElementById("readout");
  const slider = document.getElementById("slider");
  const lastStep = model.steps.length;
  const times = data.events.map(e => e[0]).concat(data.messages.length ? [data.messages[0][0], data.messages.at(-1)[1]] : []);
  let earliest = Infinity, latest = 0;
  for (const t of times) { earliest = Math.min(earliest, t); latest = Math.max(latest, t); }
  if (!times.length) { earliest = 0; latest = Math.max(1, data.end_ns); }

  const busiest = () => {
    const counts = new Map();
    for (const e of data.events) if (e[4] >= 0) counts.set(e[4], (counts.get(e[4]) || 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
  };
  const named = data.partitions.indexOf(data.partition);
  const view = {from: 0, to: 1, partition: named >= 0 ? named : busiest(), offset: data.offset, cursor: null, own: true, printing: false};
  const diagram = makeDiagram(model, canvas, view);
  const tables = makeTables(model, view, go);
  let step = 0;

  function clamp() {
    const span = Math.min(Math.max(view.to - view.from, 2000), (latest - earliest) * 1.2 + 1e6);
    const middle = Math.min(Math.max((view.from + view.to) / 2, earliest), latest);
    view.from = middle - span / 2;
    view.to = middle + span / 2;
  }
  let pending = false;
  function redraw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      const every = diagram.draw();
      document.getElementById("bounds").textContent =
        `${data.events.length.toLocaleString("en")} of ${data.all_events.toLocaleString("en")} events and ` +
        `${data.messages.length.toLocaleString("en")} of ${data.all_messages.toLocaleString("en")} messages are in this file` +
        (every > 1 ? `; 1 in ${every} messages is drawn.` : ".");
    });
  }
  // Of a run without a violation: the first fault, or else the beginning of the work.
  function began() {
    const fault = data.faults.find(f => f.from >= earliest && f.from <= latest);
    const phase = data.phases.find(p => p[1] === "workload");
    return Math.max(fault ? fault.from : phase ? phase[0] : earliest, earliest);
  }
  function home() {
    // A series of like witnesses says what was usual before; what came after it is the story.
    const series = data.witnesses.findLastIndex(w => w.skipped > 0);
    const story = data.witnesses.slice(series < data.witnesses.length - 2 ? series + 1 : 0);
    const times = story.map(w => w.t).filter(t => t >= earliest);
    if (data.violation_ns >= 0) {
      const first = Math.max(Math.min(...times, data.violation_ns), data.violation_ns - 3e9);
      const span = Math.max(data.violation_ns - first, 4e6);
      view.from = data.violation_ns - span * 1.12;
      view.to = data.violation_ns + span * 0.08;
    } else {
      const at = began();
      view.from = at - 20e6;
      view.to = at + 100e6;
    }
    clamp();
    redraw();
  }
  function all() { view.from = earliest; view.to = latest; clamp(); redraw(); }
  function zoom(factor, around) {
    const at = around ?? (view.from + view.to) / 2;
    view.from = at - (at - view.from) * factor;
    view.to = at + (view.to - at) * factor;
    clamp();
    redraw();
  }
  function pan(share) {
    const by = (view.to - view.from) * share;
    view.from += by;
    view.to += by;
    clamp();
    redraw();
  }
  // Shows the state after so many steps; keeps the cursor in view.
  function go(to) {
    step = Math.min(Math.max(to, 0), lastStep);
    slider.value = step;
    const s = model.steps[step - 1];
    view.cursor = s ? s.t : null;
    if (s && (s.t < view.from || s.t > view.to)) {
      const half = (view.to - view.from) / 2;
      view.from = s.t - half;
      view.to = s.t + half;
      clamp();
    }
    if (s && s.event !== undefined) readout.textContent = model.describe(data.events[s.event]);
    tables.show(step);
    redraw();
  }
  // The step that broke the rule: of its instant the one by the last witness's node that holds the offset, or the first.
  function violating() {
    const begin = model.lowerBound(lastStep, i => model.steps[i].t, data.violation_ns);
    const lane = model.laneOfId.get(data.witnesses.at(-1)?.node);
    let best = -1, mark = -1;
    for (let i = begin; i < lastStep && model.steps[i].t < data.violation_ns + 1000; ++i) {
      const e = data.events[model.steps[i].event];
      if (!e || e[4] !== view.partition) continue;
      const holds = model.field(e, "base") <= data.offset && data.offset <= model.field(e, "last");
      const score = (e[1] === lane ? 2 : 0) + (holds ? 1 : 0);
      if (score > mark) { mark = score; best = i; }
    }
    return best;
  }
  function goTime(t) { go(model.lowerBound(lastStep, i => model.steps[i].t, t + 1)); }
  function next(direction) {
    for (let i = step - 1 + direction; i >= 0 && i < lastStep; i += direction) {
      const s = model.steps[i];
      if (s.down !== undefined || data.events[s.event][4] === view.partition && diagram.marks[model.name(data.events[s.event])]) return go(i + 1);
    }
  }

  const select = document.getElementById("partition");
  data.partitions.forEach((partition, i) => {
    select.append(element("option", i === view.partition ? {value: i, selected: ""} : {value: i}, partition));
  });
  select.addEventListener("change", () => { view.partition = Number(select.value); tables.show(step); redraw(); });
  const own = document.getElementById("own");
  own.addEventListener("change", () => { view.own = own.checked; redraw(); });
  const apis = document.getElementById("apis");
  data.apis.map((api, i) => [api, i]).sort().forEach(([api]) => {
    const box = element("input", {type: "checkbox", onchange: () => { box.checked ? diagram.hidden.delete(api) : diagram.hidden.add(api); redraw(); }});
    box.checked = !diagram.hidden.has(api);
    apis.append(element("label", {class: "api"}, box, " " + api), " ");
  });
  for (const [name, text] of [["produce", "Produce, acknowledged"], ["replica", "Fetch of a replica, append"], ["consumer", "Fetch of a consumer"],
                              ["isr", "AlterPartition, ISR"], ["control", "controller: leaders, sessions"], ["good", "high watermark"], ["bad", "truncation, refusal, violation"],
                              ["fault-edge", "fault"]]) {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    dot.setAttribute("width", 12); dot.setAttribute("height", 12);
    dot.innerHTML = `<rect width="12" height="12" rx="2" style="fill: var(--${name})"/>`;
    document.getElementById("legend").append(element("li", {}, dot, " " + text));
  }

  document.getElementById("zoom-in").onclick = () => zoom(0.6);
  document.getElementById("zoom-out").onclick = () => zoom(1.7);
  document.getElementById("home").onclick = home;
  document.getElementById("all").onclick = all;
  document.getElementById("copy").onclick = () => navigator.clipboard?.writeText(document.getElementById("replay").textContent);
  document.querySelectorAll("#witnesses tbody tr, #why tbody tr").forEach(row => row.addEventListener("click", () => goTime(Number(row.dataset.t))));
  slider.max = lastStep;
  slider.addEventListener("input", () => go(Number(slider.value)));
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, diagram.time(event.offsetX));
  }, {passive: false});
  let dragged = null;
  canvas.addEventListener("pointerdown", event => { dragged = {x: event.offsetX, moved: false}; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", event => {
    if (dragged) {
      dragged.moved ||= Math.abs(event.offsetX - dragged.x) > 3;
      pan((dragged.x - event.offsetX) / (diagram.width() - diagram.kLeft));
      dragged.x = event.offsetX;
      return;
    }
    const found = diagram.nearest(event.offsetX, event.offsetY);
    if (found.text) readout.textContent = found.text;
  });
  canvas.addEventListener("pointerup", event => {
    const click = dragged && !dragged.moved;
    dragged = null;
    if (!click) return;
    const found = diagram.nearest(event.offsetX, event.offsetY);
    if (found.event >= 0) go(model.stepOfEvent[found.event] + 1); else goTime(diagram.time(event.offsetX));
    if (found.text) readout.textContent = found.text;
  });
  const keys = {ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.7),
                0: home, Home: home, a: all, n: () => next(1), p: () => next(-1)};
  document.addEventListener("keydown", event => {
    const typing = ["SELECT", "INPUT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox";
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => { view.printing = true; diagram.draw(); });
  window.addEventListener("afterprint", () => { view.printing = false; redraw(); });

  drawCharts(data);
  home();
  if (data.violation_ns >= 0) {
    const broke = violating();
    if (broke >= 0) go(broke + 1); else goTime(data.violation_ns);
  } else {
    const place = data.faults.length ? "first fault" : "start";
    document.getElementById("home").textContent = place;
    document.getElementById("zero").textContent = "the " + place;
    goTime(began());
    home();
  }
  document.documentElement.dataset.ready = "yes";
})();
