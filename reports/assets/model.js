// What the report knows: the window's events and messages, and the state of every replica at any of its events.
function makeModel(data) {
  const kindIndex = new Map(data.kinds.map((kind, i) => [kind.name, i]));
  const places = data.kinds.map(kind => new Map(kind.fields.map((field, i) => [field, i])));
  const brokers = data.nodes.map((node, lane) => ({...node, lane})).filter(node => !node.client);
  const laneOfId = new Map(brokers.map(node => [node.id, node.lane]));

  // Events and deaths of nodes, in order: the steps that change a state.
  const steps = data.events.map((e, i) => ({t: e[0], event: i}));
  for (const [t, lane, up] of data.ups) if (!up && t >= data.window_ns) steps.push({t, down: lane});
  steps.sort((a, b) => a.t - b.t);  // stable: events keep their order
  const stepOfEvent = new Array(data.events.length);
  steps.forEach((step, i) => { if (step.event !== undefined) stepOfEvent[step.event] = i; });

  const field = (e, name) => {
    const place = places[e[3]].get(name);
    return place === undefined ? undefined : e[5][place];
  };
  const name = e => data.kinds[e[3]].name;

  const emptyReplica = () => ({open: false, start: 0, leo: 0, hw: 0, epoch: -1, role: 0, isr: [], tail: []});
  function replicaOf(state, partition, lane) {
    const key = partition + ":" + lane;
    if (!state.replicas.has(key)) state.replicas.set(key, emptyReplica());
    return state.replicas.get(key);
  }
  function cut(replica, end) {
    while (replica.tail.length && replica.tail.at(-1)[1] >= end) replica.tail.pop();
    replica.leo = end;
  }
  function apply(state, step) {
    if (step.down !== undefined) {
      for (const [key, replica] of state.replicas) {
        if (key.endsWith(":" + step.down)) { replica.open = false; replica.role = 0; replica.isr = []; }
      }
      return;
    }
    const e = data.events[step.event];
    if (e[4] < 0) return;
    const kind = name(e);
    if (kind === "partition_decided") {
      const old = state.decisions.get(e[4]);
      if (old && old.pepoch > field(e, "partition_epoch")) return;
      state.decisions.set(e[4], {leader: field(e, "leader"), epoch: field(e, "leader_epoch"), pepoch: field(e, "partition_epoch"),
                                 isr: field(e, "isr"), replicas: field(e, "replicas")});
      return;
    }
    if (kind === "log_closed") { state.replicas.delete(e[4] + ":" + e[1]); return; }
    if (kind === "log_cleaned") state.compacted.add(e[4]);
    const change = changes[kind];
    if (change) change(replicaOf(state, e[4], e[1]), e);
  }
  const changes = {
    log_opened(r, e) {
      r.open = true; r.role = 0; r.start = field(e, "log_start"); cut(r, field(e, "log_end"));
      r.epoch = Math.max(r.epoch, field(e, "last_epoch")); r.hw = Math.min(r.hw, r.leo);
    },
    batch_appended(r, e) {
      r.open = true;
      r.tail.push([field(e, "base"), field(e, "last"), field(e, "epoch"), field(e, "crc")]);
      if (r.tail.length > 256) r.tail.shift();
      r.leo = field(e, "last") + 1;
    },
    log_truncated(r, e) { cut(r, field(e, "to")); },
    log_start_moved(r, e) { r.start = field(e, "to"); },
    became_leader(r, e) { r.role = 1; r.epoch = field(e, "leader_epoch"); r.hw = field(e, "high_watermark"); r.isr = field(e, "isr"); },
    became_follower(r, e) { r.role = 2; r.epoch = field(e, "leader_epoch"); r.isr = []; },
    isr_adopted(r, e) { r.isr = field(e, "isr"); },
    high_watermark_advanced(r, e) { r.hw = field(e, "to"); },
    log_cleaned(r, e) {
      const from = field(e, "from"), to = field(e, "to"), bases = new Set(field(e, "bases"));
      r.tail = r.tail.filter(batch => batch[0] < from || batch[0] >= to || bases.has(batch[0]));
      r.cleaned = [...(r.cleaned || []).filter(one => one.to <= from || one.from >= to), {from, to, left: new Set(field(e, "records"))}];
    },
  };

  const copy = state => ({
    replicas: new Map([...state.replicas].map(([key, r]) => [key, {...r, tail: r.tail.slice()}])),
    decisions: new Map(state.decisions),
    compacted: new Set(state.compacted),
  });
  const first = {replicas: new Map(), decisions: new Map(), compacted: new Set(data.base.compacted)};
  for (const r of data.base.replicas) first.replicas.set(r.p + ":" + r.lane, {...r});
  for (const d of data.base.decisions) first.decisions.set(d.p, d);
  const kEvery = 2000;
  const checkpoints = [copy(first)];  // before step 0, kEvery, 2 kEvery, ...; made when first wanted
  let frontier = copy(first), reached = 0;

  // The state after the first `count` steps.
  function stateAfter(count) {
    while (reached < count) {
      apply(frontier, steps[reached++]);
      if (reached % kEvery === 0) checkpoints.push(copy(frontier));
    }
    const from = Math.floor(count / kEvery);
    const state = copy(checkpoints[from]);
    for (let i = from * kEvery; i < count; ++i) apply(state, steps[i]);
    return state;
  }

  // The lowest offset at which two replicas of a partition hold different batches; where it is compacted, whatever their CRC.
  function divergence(state, partition) {
    const parts = state.compacted.has(partition) ? 3 : 4;
    const held = brokers.map(b => [b.lane, state.replicas.get(partition + ":" + b.lane)]).filter(([, r]) => r);
    let found = null;
    for (let i = 0; i < held.length; ++i) {
      for (let j = i + 1; j < held.length; ++j) {
        const a = held[i][1].tail, b = held[j][1].tail;
        for (let x = 0, y = 0; x < a.length && y < b.length;) {
          if (a[x][1] < b[y][0]) { ++x; continue; }
          if (b[y][1] < a[x][0]) { ++y; continue; }
          if (a[x].every((value, k) => k >= parts || value === b[y][k])) { ++x; ++y; continue; }
          const offset = Math.max(a[x][0], b[y][0]);
          if (!found || offset < found.offset) found = {offset, lanes: [held[i][0], held[j][0]], batches: [a[x], b[y]]};
          break;
        }
      }
    }
    return found;
  }

  // The ids of all brokers that ever were replicas of a partition, as far as this file knows.
  const members = new Map();
  const join = (partition, ids) => { for (const id of ids) (members.get(partition) || members.set(partition, new Set()).get(partition)).add(id); };
  for (const d of data.base.decisions) join(d.p, d.replicas);
  for (const r of data.base.replicas) join(r.p, [data.nodes[r.lane].id]);
  for (const e of data.events) {
    if (name(e) === "partition_decided") join(e[4], field(e, "replicas"));
    else if (e[4] >= 0 && changes[name(e)] && !data.nodes[e[1]].client) join(e[4], [data.nodes[e[1]].id]);
  }
  const replicasOf = partition => members.get(partition) || new Set();

  // First index whose time is at least t.
  function lowerBound(count, timeAt, t) {
    let low = 0, high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (timeAt(middle) < t) low = middle + 1; else high = middle;
    }
    return low;
  }

  function details(e) {
    const skip = new Set(["segment", "position", "producer_id", "producer_epoch", "base_sequence", "directory", "max_timestamp_ms", "length", "records", "role"]);
    return data.kinds[e[3]].fields.map((f, i) => [f, e[5][i]]).filter(([f]) => !skip.has(f))
      .map(([f, value]) => f + " " + (f === "crc" ? hex(value) : Array.isArray(value) ? "[" + value.join(" ") + "]" : value)).join(", ");
  }
  function describe(e) {
    const where = e[4] >= 0 ? " " + data.partitions[e[4]] : "";
    return seconds(e[0]) + "  " + data.nodes[e[1]].host + (e[2] > 1 ? " (life " + e[2] + ")" : "") + "  " +
      name(e).replaceAll("_", " ") + where + ": " + details(e);
  }
  return {data, brokers, laneOfId, steps, stepOfEvent, kindIndex, field, name, stateAfter, apply, divergence, replicasOf, lowerBound, describe, details};
}

const hex = crc => crc.toString(16).padStart(8, "0");
const seconds = ns => (ns / 1e9).toFixed(6) + " s";
const color = variable => getComputedStyle(document.documentElement).getPropertyValue("--" + variable).trim();
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
