// The replica matrix at one moment, the ends of the logs beside each other, and the states around that moment.
function makeTables(model, view, go) {
  const {data, brokers} = model;
  const kRoles = ["\u2013", "leader", "follower"];
  const epochColor = epoch => "hsl(" + (epoch * 67 + 200) % 360 + " 62% 74%)";
  const list = ids => "[" + ids.join(" ") + "]";
  const replicaAt = (state, lane) => state.replicas.get(view.partition + ":" + lane);

  function matrix(state) {
    const apart = model.divergence(state, view.partition);
    const table = document.getElementById("matrix");
    const head = ["replica", "role", "LEO", "HW", "epoch", "ISR as it knows it", "CRC of its last batch", "log start"];
    const rows = [element("tr", {}, ...head.map(h => element("th", {class: /LEO|HW|epoch|start/.test(h) ? "num" : ""}, h)))];
    const decision = state.decisions.get(view.partition);
    for (const broker of brokers) {
      const r = replicaAt(state, broker.lane);
      if (!r) continue;
      const cell = (text, kind) => element("td", {class: kind || ""}, String(text));
      const last = r.tail.at(-1);
      rows.push(element("tr", {}, cell(broker.host), cell(r.open ? kRoles[r.role] : "down"),
        cell(r.leo, "num" + (apart && apart.lanes.includes(broker.lane) ? " apart" : "")), cell(r.hw, "num"), cell(r.epoch < 0 ? "" : r.epoch, "num"),
        cell(r.role === 1 ? list(r.isr) : ""), cell(last ? hex(last[3]) + " at " + last[0] + ".." + last[1] : "", "mono"), cell(r.start, "num")));
    }
    if (decision) {
      rows.push(element("tr", {}, element("td", {}, "controller"),
        element("td", {}, decision.leader < 0 ? "no leader" : "leader " + decision.leader), element("td"), element("td"),
        element("td", {class: "num"}, String(decision.epoch)), element("td", {}, list(decision.isr)),
        element("td", {}, "partition epoch " + decision.pepoch + ", replicas " + list(decision.replicas)), element("td")));
    }
    table.replaceChildren(element("thead", {}, rows[0]), element("tbody", {}, ...rows.slice(1)));
    document.getElementById("divergence").textContent = !apart ? "No two replicas differ at an offset that both hold." :
      "First divergent offset " + apart.offset + ": " + apart.lanes.map((lane, i) =>
        data.nodes[lane].host + " has epoch " + apart.batches[i][2] + ", CRC " + hex(apart.batches[i][3])).join("; ") + ".";
    const compactedAway = r => (r.cleaned || []).some(one => one.from <= view.offset && view.offset < one.to && !one.left.has(view.offset));
    if (view.offset >= 0 && view.offset !== apart?.offset) {
      const held = brokers.map(b => [b.host, replicaAt(state, b.lane)]).filter(([, r]) => r);
      document.getElementById("divergence").textContent += " Offset " + view.offset + ": " + held.map(([host, r]) => host + (r.open ? "" : " (down)") +
        (r.leo <= view.offset ? " ends before it" : r.start > view.offset ? " starts behind it" : compactedAway(r) ? " has compacted it away" : " holds it")).join(", ") + ".";
    }
    strips(state, apart);
  }

  // One cell a batch; the same batch stands in the same column.
  function strips(state, apart) {
    const held = brokers.map(b => [b, replicaAt(state, b.lane)]).filter(([, r]) => r);
    const ends = held.map(([, r]) => r.leo);
    const center = apart ? apart.offset : view.offset >= 0 && Math.max(...ends) - view.offset < 200 ? view.offset : Math.max(...ends) - 6;
    const columns = new Map();
    for (const [, r] of held) for (const batch of r.tail) columns.set(batch[0], Math.max(columns.get(batch[0]) || 0, batch[1]));
    const bases = [...columns.keys()].sort((a, b) => a - b);
    const middle = bases.findIndex(base => base >= center);
    const before = Math.max(2, Math.min(10, Math.floor(document.getElementById("strips").clientWidth / 160)));
    const shown = bases.slice(Math.max(0, (middle < 0 ? bases.length : middle) - before), (middle < 0 ? bases.length : middle) + 14);
    const rows = held.map(([broker, r]) => {
      const byBase = new Map(r.tail.map(batch => [batch[0], batch]));
      return element("div", {class: "strip"}, element("span", {class: "host"}, broker.host), ...shown.map(base => {
        const batch = byBase.get(base), last = columns.get(base);
        const text = batch ? batch[0] + (batch[1] > batch[0] ? ".." + batch[1] : "") + " e" + batch[2] : "";
        const differs = apart && batch && apart.offset >= batch[0] && apart.offset <= batch[1];
        const cell = element("span", {class: "cell" + (batch ? "" : " hole") + (differs ? " apart" : "") + (base <= view.offset && view.offset <= last ? " named" : "") + (batch && batch[0] >= r.hw ? " above" : ""),
          title: batch ? "offsets " + batch[0] + ".." + batch[1] + ", epoch " + batch[2] + ", CRC " + hex(batch[3]) : "not held"}, text || "\u00a0");
        cell.style.width = 22 + 7.2 * (String(base).length + (last > base ? 2 + String(last).length : 0) + 1) + "px";
        if (batch) cell.style.background = epochColor(batch[2]);
        return cell;
      }));
    });
    if (shown.length) rows.push(element("p", {class: "dim"}, "Batches by offset, coloured by leader epoch; pale ones are not below the replica\u2019s high watermark." +
      (view.offset >= 0 && shown.some(base => base <= view.offset && view.offset <= columns.get(base)) ? " Framed in red: offset " + view.offset + ", of which the sentence speaks." : "")));
    document.getElementById("strips").replaceChildren(...rows);
  }

  function states(step) {
    const mine = i => {
      const s = model.steps[i];
      return s.down !== undefined || data.events[s.event][4] === view.partition && !["follower_fetched", "batch_delivered", "log_flushed"].includes(model.name(data.events[s.event]));
    };
    const chosen = [];
    for (let i = Math.min(step, model.steps.length) - 1; i >= 0 && chosen.length < 40; --i) if (mine(i)) chosen.unshift(i);
    for (let i = step; i < model.steps.length && chosen.length < 52; ++i) if (mine(i)) chosen.push(i);
    const state = model.stateAfter(chosen.length ? chosen[0] : 0);
    const known = brokers.filter(b => model.replicasOf(view.partition).has(b.id));
    const head = element("tr", {}, ...["time", "node", "event"].map(h => element("th", {}, h)),
      ...known.map(b => element("th", {class: "num"}, b.host)), element("th", {}, "ISR decided"));
    document.getElementById("states-key").textContent = "Each replica\u2019s LEO / HW / epoch after the event; L leads, (down).";
    const text = r => !r ? "" : (r.open ? "" : "(") + r.leo + " / " + r.hw + " / " + (r.epoch < 0 ? "\u2013" : r.epoch) + (r.role === 1 ? " L" : "") + (r.open ? "" : ")");
    const isr = () => { const d = state.decisions.get(view.partition); return d ? list(d.isr) : ""; };
    const rows = [];
    let done = chosen.length ? chosen[0] : 0;
    for (const i of chosen) {
      while (done < i) model.apply(state, model.steps[done++]);
      const before = known.map(b => text(replicaAt(state, b.lane))), isrBefore = isr();
      model.apply(state, model.steps[done++]);
      const s = model.steps[i], e = s.event === undefined ? null : data.events[s.event];
      const broke = data.violation_ns >= 0 && s.t >= data.violation_ns && (i === 0 || model.steps[i - 1].t < data.violation_ns);
      rows.push(element("tr", {class: (i === step - 1 ? "at " : "") + (broke ? "broke" : ""), onclick: () => go(i + 1)},
        element("td", {class: "num"}, seconds(s.t)), element("td", {}, data.nodes[e ? e[1] : s.down].host),
        element("td", {}, e ? model.name(e).replaceAll("_", " ") + ": " + model.details(e) : "dies"),
        ...known.map((b, k) => { const now = text(replicaAt(state, b.lane)); return element("td", {class: "num" + (now !== before[k] ? " changed" : "")}, now); }),
        element("td", {class: isr() !== isrBefore ? "changed" : ""}, isr())));
    }
    document.getElementById("states").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  }

  function show(step) {
    const t = step > 0 && model.steps.length ? model.steps[step - 1].t : data.window_ns;
    document.getElementById("when").textContent = seconds(t);
    matrix(model.stateAfter(step));
    states(step);
  }
  return {show};
}
