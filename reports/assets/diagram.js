// The space-time diagram: time to the right, a lane for each node, messages as arrows, faults shaded.
function makeDiagram(model, canvas, view) {
  const {data} = model;
  const kLane = 46, kTop = 46, kBottom = 26, kLeft = 92, kMost = 6000, kLabelled = 24;
  const kFont = "12px system-ui, sans-serif";
  const context = canvas.getContext("2d");
  const hidden = new Set(["BrokerHeartbeat", "ApiVersions"]);
  const ranked = data.nodes.map((node, lane) => lane).sort((a, b) => rank(a) - rank(b) || a - b);
  let order = ranked, chosen = "";
  const rowOf = [];
  const sent = data.messages.map((m, i) => i).sort((a, b) => data.messages[a][0] - data.messages[b][0]);
  let longest = 0;
  for (const m of data.messages) longest = Math.max(longest, m[1] - m[0]);
  const slow = [];  // messages that were held up: few, and easily out of a search by time of sending
  const usual = 20e6;
  data.messages.forEach((m, i) => { if (m[1] - m[0] > usual) slow.push(i); });
  let width = 800, height = 300;

  function rank(lane) {
    const node = data.nodes[lane];
    return node.client ? 2 : node.id >= 100 ? 0 : 1;
  }
  const x = t => kLeft + (t - view.from) / (view.to - view.from) * (width - kLeft);
  const time = px => view.from + (px - kLeft) / (width - kLeft) * (view.to - view.from);
  const y = lane => kTop + rowOf[lane] * kLane + kLane / 2;

  // What concerns the partition: its replicas, the controller, and the clients that spoke with them.
  const foreign = lane => view.own && !data.nodes[lane].client && data.nodes[lane].id < 100 && !model.replicasOf(view.partition).has(data.nodes[lane].id);
  const shown = m => !hidden.has(data.apis[m[4]]) && !foreign(m[2]) && !foreign(m[3]);
  function chooseLanes() {
    const key = view.own + ":" + view.partition + ":" + [...hidden];
    if (key === chosen) return;
    chosen = key;
    const spoke = new Set();
    for (const m of data.messages) if (shown(m)) spoke.add(m[2]).add(m[3]);
    order = ranked.filter(lane => !view.own || (data.nodes[lane].client ? spoke.has(lane) : !foreign(lane)));
    rowOf.length = 0;
    order.forEach((lane, row) => { rowOf[lane] = row; });
  }

  // Texts never lie on each other: a place is taken once. With `force` the text is drawn in any case.
  let taken = [];
  function label(text, px, py, force) {
    const w = context.measureText(text).width, left = Math.min(Math.max(px, kLeft + 2), width - w - 4);
    const box = [left - 3, py - 11, left + w + 3, py + 3];
    if (!force && (Math.abs(left - px) > 60 || taken.some(b => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3]))) return false;
    taken.push(box);
    context.save();
    context.strokeStyle = color("paper");
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.setLineDash([]);
    context.globalAlpha = 0.85;
    context.strokeText(text, left, py);
    context.globalAlpha = 1;
    context.fillText(text, left, py);
    context.restore();
    return true;
  }

  function styleOf(m) {
    const api = data.apis[m[4]];
    const client = data.nodes[m[2]].client || data.nodes[m[3]].client;
    if (api === "Produce") return "produce";
    if (api === "Fetch") return client ? "consumer" : "replica";
    if (api === "AlterPartition") return "isr";
    if (api.startsWith("Broker")) return "control";
    return "other";
  }
  const marks = {
    became_leader: ["control", "flag"], became_follower: ["other", "dot"], partition_decided: ["control", "diamond"],
    broker_fencing: ["bad", "diamond"], broker_registered: ["control", "dot"], isr_proposed: ["isr", "diamond"], isr_adopted: ["isr", "dot"],
    log_truncated: ["bad", "cut"], log_opened: ["replica", "ring"], produce_acknowledged: ["produce", "up"],
    batch_appended: ["replica", "tick"], high_watermark_advanced: ["good", "tick"], batch_delivered: ["consumer", "dot"],
    divergence_answered: ["bad", "dot"], log_start_moved: ["other", "ring"], log_closed: ["other", "cut"],
  };

  function shape(kind, px, py) {
    context.beginPath();
    if (kind === "tick") { context.moveTo(px, py - 6); context.lineTo(px, py + 6); context.stroke(); return; }
    if (kind === "dot") context.arc(px, py, 2.5, 0, 7);
    if (kind === "ring") { context.arc(px, py, 4, 0, 7); context.stroke(); return; }
    if (kind === "diamond") { context.moveTo(px, py - 5); context.lineTo(px + 5, py); context.lineTo(px, py + 5); context.lineTo(px - 5, py); }
    if (kind === "up") { context.moveTo(px, py - 6); context.lineTo(px + 4, py + 2); context.lineTo(px - 4, py + 2); }
    if (kind === "flag") { context.rect(px - 1, py - 14, 2, 14); context.rect(px, py - 14, 9, 7); }
    if (kind === "cut") { context.moveTo(px + 5, py - 6); context.lineTo(px - 5, py); context.lineTo(px + 5, py + 6); }
    context.fill();
  }

  function drawFaults() {
    for (const fault of data.faults) {
      const to = fault.to < 0 ? data.end_ns : fault.to;
      if (to < view.from || fault.from > view.to) continue;
      const left = Math.max(kLeft, x(fault.from)), right = Math.max(left + 2, Math.min(width, x(to)));
      const rows = fault.lanes.filter(lane => order.includes(lane));
      for (const lane of rows) {
        context.fillStyle = color("fault");
        context.fillRect(left, y(lane) - kLane / 2 + 2, right - left, kLane - 4);
        context.fillStyle = color("fault-edge");
        context.fillRect(left, y(lane) - kLane / 2 + 2, 1.5, kLane - 4);
      }
    }
  }
  function nameFaults() {
    context.font = kFont;
    context.fillStyle = color("fault-edge");
    for (const fault of data.faults) {
      const lane = fault.lanes.find(lane => order.includes(lane)), to = fault.to < 0 ? data.end_ns : fault.to;
      if (lane === undefined || to < view.from || fault.from > view.to) continue;
      label(fault.text || fault.action, Math.max(kLeft, x(fault.from)) + 4, y(lane) - kLane / 2 + 13);
    }
  }

  function drawLanes() {
    const ends = [];
    for (const lane of order) {
      let up = data.nodes[lane].client || !data.ups.some(u => u[1] === lane), from = view.from;
      const line = (to, alive) => {
        const left = Math.max(kLeft, x(from)), right = Math.min(width, x(to));
        if (right <= left) return;
        context.strokeStyle = color(alive ? "dim" : "down");
        context.lineWidth = alive ? 1.2 : 1;
        context.setLineDash(alive ? [] : [2, 5]);
        context.beginPath(); context.moveTo(left, y(lane)); context.lineTo(right, y(lane)); context.stroke();
        context.setLineDash([]);
      };
      for (const [t, at, becomes, life, why] of data.ups) {
        if (at !== lane) continue;
        if (t > view.to) break;
        if (t > view.from) {
          line(t, up);
          from = t;
          context.fillStyle = color(becomes ? "good" : "bad");
          context.font = "bold 13px system-ui, sans-serif";
          context.fillText(becomes ? "\u25b8" : "\u2715", x(t) - 5, y(lane) + 5);
          if (!becomes) ends.push([why, x(t) + 8, y(lane) + 16]);
        }
        up = becomes;
      }
      line(view.to, up);
    }
    return ends;
  }

  function drawElections() {
    for (const [t, partition, leader, epoch] of data.elections) {
      if (partition !== view.partition || t < view.from || t > view.to) continue;
      context.strokeStyle = context.fillStyle = color("control");
      context.globalAlpha = 0.6;
      context.setLineDash([4, 3]);
      context.lineWidth = 1;
      context.beginPath(); context.moveTo(x(t), 18); context.lineTo(x(t), height - kBottom); context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
      const text = "epoch " + epoch + (leader < 0 ? ": no leader" : ": leader " + leader);
      context.font = kFont;
      label(text, x(t) - 20, 14) || label(text, x(t) - 20, 28);
    }
  }

  function inView() {
    const found = [];
    const begin = model.lowerBound(sent.length, i => data.messages[sent[i]][0], view.from - Math.min(longest, usual));
    for (let i = begin; i < sent.length && data.messages[sent[i]][0] <= view.to; ++i) {
      if (shown(data.messages[sent[i]])) found.push(sent[i]);
    }
    for (const i of slow) {
      const m = data.messages[i];
      if (m[0] < view.from - usual && m[1] >= view.from && shown(m)) found.push(i);
    }
    return found;
  }

  function drawMessages() {
    const found = inView(), every = Math.max(1, Math.ceil(found.length / kMost));
    context.globalAlpha = found.length > 1500 ? 0.25 : found.length > 400 ? 0.5 : 0.8;
    context.lineWidth = 1;
    const groups = new Map();
    for (let i = 0; i < found.length; i += every) {
      const m = data.messages[found[i]], style = styleOf(m);
      if (!groups.has(style)) groups.set(style, []);
      groups.get(style).push(m);
    }
    for (const [style, list] of groups) {
      context.strokeStyle = context.fillStyle = color(style);
      context.beginPath();
      for (const m of list) {
        const x0 = x(m[0]), y0 = y(m[2]), x1 = x(m[1]), y1 = y(m[3]);
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
        if (found.length > 1500) continue;
        const angle = Math.atan2(y1 - y0, x1 - x0);
        context.moveTo(x1 - 7 * Math.cos(angle - 0.35), y1 - 7 * Math.sin(angle - 0.35));
        context.lineTo(x1, y1);
        context.lineTo(x1 - 7 * Math.cos(angle + 0.35), y1 - 7 * Math.sin(angle + 0.35));
      }
      context.stroke();
    }
    context.globalAlpha = 1;
    return {found, every};
  }

  // Names beside arrows, in the gaps between lanes: rare kinds first, and no more than the eye takes in.
  function drawNames(found) {
    const counts = new Map();
    for (const i of found) counts.set(data.messages[i][4], (counts.get(data.messages[i][4]) || 0) + 1);
    const wanted = found.map(i => data.messages[i]).filter(m => x(m[0]) > kLeft && x(m[1]) < width);
    wanted.sort((a, b) => counts.get(a[4]) - counts.get(b[4]) || a[5] - b[5] || Math.abs(a[0] - focus()) - Math.abs(b[0] - focus()));
    context.font = kFont;
    let drawn = 0;
    for (const m of wanted) {
      if (drawn >= kLabelled) return;
      const text = data.apis[m[4]] + (m[5] ? " answer" : ""), low = Math.min(rowOf[m[2]], rowOf[m[3]]), high = Math.max(rowOf[m[2]], rowOf[m[3]]);
      context.fillStyle = color(styleOf(m) === "other" ? "dim" : styleOf(m));
      for (let row = low; row < high; ++row) {
        const py = kTop + (row + 1) * kLane, part = (py - y(m[2])) / (y(m[3]) - y(m[2]));
        if (label(text, x(m[0]) + (x(m[1]) - x(m[0])) * part + 5, py + 4)) { ++drawn; break; }
      }
    }
  }
  const focus = () => view.cursor ?? (view.from + view.to) / 2;

  function eventRange() {
    const at = i => data.events[i][0];
    return [model.lowerBound(data.events.length, at, view.from), model.lowerBound(data.events.length, at, view.to + 1)];
  }

  function drawEvents() {
    const [begin, end] = eventRange(), crowd = end - begin > 8000;
    for (let i = begin; i < end; ++i) {
      const e = data.events[i], kind = model.name(e), mark = marks[kind];
      if (!mark || rowOf[e[1]] === undefined) continue;
      const mine = e[4] < 0 || e[4] === view.partition;
      if (!mine && (crowd || mark[1] !== "flag")) continue;
      if (crowd && (mark[1] === "tick" || mark[1] === "up" || kind === "batch_delivered")) continue;
      context.globalAlpha = mine ? 1 : 0.2;
      const refused = kind === "produce_acknowledged" && model.field(e, "error_code") !== 0;
      context.fillStyle = context.strokeStyle = color(refused ? "bad" : mark[0]);
      context.lineWidth = 1.5;
      shape(mark[1], x(e[0]), y(e[1]));
      if (mine && mark[1] === "flag") {
        context.font = kFont;
        label("leads, epoch " + model.field(e, "leader_epoch"), x(e[0]) + 12, y(e[1]) - 7);
      }
    }
    context.globalAlpha = 1;
  }

  function drawWitnesses() {
    const stands = [];
    for (const witness of data.witnesses.toReversed()) {  // of those that share a place the last keeps it
      const lane = model.laneOfId.get(witness.node);
      if (witness.t < view.from || witness.t > view.to || rowOf[lane] === undefined) continue;
      let px = x(witness.t);
      const py = y(lane) + 14;
      while (stands.some(([at, row]) => row === lane && Math.abs(at - px) < 15)) px -= 17;
      stands.push([px, lane]);
      taken.push([px - 9, py - 9, px + 9, py + 9]);
      context.fillStyle = color("bad");
      context.beginPath(); context.arc(px, py, 8, 0, 7); context.fill();
      context.fillStyle = color("paper");
      context.font = "bold 10px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText(String(witness.number), px, py + 3.5);
      context.textAlign = "start";
    }
  }

  function drawAxis() {
    context.fillStyle = context.strokeStyle = color("dim");
    context.font = kFont;
    const span = view.to - view.from, raw = span / Math.max(2, (width - kLeft) / 130);
    const power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(k => k * power).find(k => k >= raw);
    const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step) + 1e-9)));
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      context.globalAlpha = 0.25;
      context.beginPath(); context.moveTo(x(t), kTop - 12); context.lineTo(x(t), height - kBottom); context.stroke();
      context.globalAlpha = 1;
      label((t / 1e9).toFixed(digits) + " s", x(t) - 14, height - 9);
    }
    for (const [t, text] of data.phases) {
      if (t < view.from || t > view.to) continue;
      context.globalAlpha = 0.5;
      context.beginPath(); context.moveTo(x(t), 22); context.lineTo(x(t), height - kBottom); context.stroke();
      context.globalAlpha = 1;
      label(text, x(t) + 4, 42);
    }
  }

  function drawLine(t, variable, line) {
    if (t === null || t < view.from || t > view.to) return;
    context.strokeStyle = color(variable);
    context.lineWidth = line;
    context.beginPath(); context.moveTo(x(t), 18); context.lineTo(x(t), height - kBottom); context.stroke();
  }

  function draw() {
    const ratio = Math.max(window.devicePixelRatio || 1, view.printing ? 2 : 1);
    width = canvas.clientWidth;
    taken = [];
    chooseLanes();
    height = kTop + order.length * kLane + kBottom;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = color("paper");
    context.fillRect(0, 0, width, height);
    context.save();
    context.beginPath(); context.rect(kLeft, 0, width - kLeft, height); context.clip();
    drawFaults();
    drawAxis();
    const ends = drawLanes();
    const {found, every} = drawMessages();
    nameFaults();
    context.fillStyle = color("bad");
    for (const [why, px, py] of ends) label(why, px, py);
    drawElections();
    drawEvents();
    drawLine(data.violation_ns >= 0 ? data.violation_ns : null, "bad", 2);
    drawLine(view.cursor, "ink", 1);
    drawWitnesses();
    context.fillStyle = color("bad");
    if (data.violation_ns >= view.from && data.violation_ns <= view.to) label("violation", x(data.violation_ns) + 5, height - kBottom - 4);
    drawNames(found);
    context.restore();
    context.fillStyle = color("ink");
    context.font = "12.5px system-ui, sans-serif";
    for (const lane of order) context.fillText(data.nodes[lane].host, 6, y(lane) + 4);
    return every;
  }

  // The nearest event or message to a point, in words.
  function nearest(px, py) {
    let best = {distance: 14, text: "", event: -1};
    const consider = (distance, text, event) => { if (distance < best.distance) best = {distance, text, event}; };
    const [begin, end] = eventRange();
    for (let i = begin; i < end; ++i) {
      const e = data.events[i];
      if (e[4] >= 0 && e[4] !== view.partition || !marks[model.name(e)] || rowOf[e[1]] === undefined) continue;
      const distance = Math.hypot(x(e[0]) - px, y(e[1]) - py);
      if (distance < best.distance) consider(distance, model.describe(e), i);
    }
    if (best.event < 0) {
      for (const i of inView()) {
        const m = data.messages[i];
        const x0 = x(m[0]), y0 = y(m[2]), dx = x(m[1]) - x0, dy = y(m[3]) - y0;
        const along = Math.max(0, Math.min(1, ((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy || 1)));
        const distance = Math.hypot(x0 + along * dx - px, y0 + along * dy - py) + 4;
        if (distance < best.distance) {
          consider(distance, data.apis[m[4]] + (m[5] ? " answer " : " ") + "#" + m[6] + " " + data.nodes[m[2]].host + " \u2192 " +
            data.nodes[m[3]].host + ", sent " + seconds(m[0]) + ", arrived after " + ((m[1] - m[0]) / 1e6).toFixed(3) + " ms, " + m[7] + " bytes", -1);
        }
      }
    }
    return best;
  }
  return {draw, nearest, time, x, hidden, marks, kLeft, width: () => width};
}
