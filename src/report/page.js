// Ties the charts to the page: data, buttons, readout, the record of an operation.

const byId = (id) => document.getElementById(id);

function start() {
  copyButtons();
  // Of a run of which nothing was recorded there is nothing to draw.
  if (!byId("timeline")) return;
  const meta = JSON.parse(byId("meta").textContent);
  const data = byId("ops");
  const ops = new Operations(meta, data.textContent);
  data.remove();
  const hidden = new Set();
  const filter = { node: -1 };
  const shown = (i, outcome) => !hidden.has(outcome) && (filter.node < 0 || ops.node[i] === filter.node);
  const range = latencyRange(ops);
  let marks = null;
  let picked = -1;
  const marked = () => {
    marks ??= meta.marked.map((call) => ops.place(call)).filter((place) => place >= 0);
    return picked < 0 ? marks : [...marks, picked];
  };
  const root = byId("timeline");
  const engine = new Engine(root, meta.end, hover, pick);
  addCharts(engine, ops, meta, range, shown, marked);

  function hover(chart, x, y) {
    const place = chart.tell === "op" ? nearest(chart, ops, range, shown, x, y) : -1;
    byId("readout").textContent = place >= 0 ? opWords(ops, place) : momentText(chart, meta, x, y);
    chart.canvas.style.cursor = place >= 0 ? "pointer" : "crosshair";
  }
  function pick(chart, x, y) {
    root.focus({ preventScroll: true });
    const place = chart.tell === "op" ? nearest(chart, ops, range, shown, x, y) : -1;
    if (place >= 0) open(place);
  }
  function open(place) {
    picked = place;
    showRecord(ops.record(place), meta);
    engine.redraw();
  }
  function openCall(call) {
    const place = ops.place(call);
    if (place < 0) return;
    const centre = ops.nanos(place);
    if (centre < engine.view[0] || centre > engine.view[1]) engine.show(centre - 1e9, centre + 1e9);
    open(place);
  }

  const acts = {
    in: () => engine.zoom(0.5),
    out: () => engine.zoom(2),
    left: () => engine.pan(-0.4),
    right: () => engine.pan(0.4),
    reset: () => engine.reset(),
    counterexample: () => showOps(engine, ops, marked()),
  };
  for (const button of document.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => acts[button.dataset.act]());
    if (button.dataset.act === "counterexample") button.hidden = meta.marked.length === 0;
  }
  for (const box of document.querySelectorAll("[data-outcome]")) {
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](Number(box.dataset.outcome));
      engine.redraw();
    });
  }
  fillNodes(meta, (node) => {
    filter.node = node;
    engine.redraw();
  });
  for (const element of document.querySelectorAll("[data-op]")) opener(element, () => openCall(Number(element.dataset.op)));
  for (const row of document.querySelectorAll("tr[data-fault] th")) {
    const fault = meta.faults.find((one) => one.id === Number(row.parentElement.dataset.fault));
    if (fault) opener(row, () => showFault(engine, fault));
  }
  byId("record-close").addEventListener("click", () => {
    byId("record").hidden = true;
    picked = -1;
    engine.redraw();
  });
  engine.drawNow();
  root.dataset.ready = "true";
  requestAnimationFrame(() => setTimeout(() => (root.dataset.painted = Math.round(performance.now())), 0));
}

/** Makes something that is not a button act like one. */
function opener(element, act) {
  element.tabIndex = 0;
  element.classList.add("opens");
  element.addEventListener("click", act);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
}

function addCharts(engine, ops, meta, range, shown, marked) {
  const chart = (name, height, paint, tell) => {
    const canvas = byId("chart-" + name);
    if (canvas) engine.add(canvas, height, paint, tell);
  };
  const rows = faultRows(meta.faults);
  const nodes = meta.nodes.length * NODE_ROW;
  chart("faults", (Math.max(-1, ...rows) + 1) * 19 + 4, faultPainter(meta, rows), "fault");
  chart("latency", 300, scatterPainter(ops, meta, range, shown, marked), "op");
  chart("rate", 110, ratePainter(ops, meta, shown), "time");
  chart("availability", nodes, availabilityPainter(ops, meta, shown), "node");
  chart("roles", nodes, rolePainter(meta), "role");
  chart("clocks", 90, clockPainter(meta), "time");
}

/** The operation whose point is nearest to the pointer, at most twelve pixels away; -1 if none. */
function nearest(chart, ops, range, shown, x, y) {
  const reach = 12;
  const first = ops.after(chart.nanos(x - reach)), last = ops.after(chart.nanos(x + reach));
  let best = -1, least = reach * reach;
  for (let i = first; i < last; i++) {
    const outcome = ops.kind[i] & 3;
    if (!shown(i, outcome)) continue;
    const dx = chart.x(ops.nanos(i)) - x, dy = scatterY(chart, range, ops.latency[i]) - y;
    // Among points that lie on each other, what did not go well is wanted more.
    const distance = dx * dx + dy * dy - (outcome > 0 ? 4 : 0);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

function opWords(ops, i) {
  const outcome = OUTCOMES[ops.kind[i] & 3];
  const whole = ops.meta.details[ops.indices()[i]];
  const what = whole ? [whole.f, whole.key, whole.value].filter((part) => part && part !== "nil").join(" ") : ops.functionName(i);
  return `#${ops.indices()[i]}  ${what}  ${outcome}  on ${ops.nodeName(i)}  at ${(ops.nanos(i) / 1e9).toFixed(4)} s  took ${lengthWords(ops.latencyNanos(i))}`;
}

function momentText(chart, meta, x, y) {
  const nanos = chart.nanos(x);
  const parts = [momentWords(nanos, chart.engine.view[1] - chart.engine.view[0])];
  const wall = wallWords(meta, nanos);
  if (wall) parts.push(wall);
  const phase = meta.phases.filter((one) => one[1] <= nanos).at(-1);
  if (phase) parts.push(phase[0]);
  if (chart.tell === "role" || chart.tell === "node") {
    const node = meta.nodes[Math.floor(y / NODE_ROW)];
    const said = meta.roles.filter((one) => one.node === node && one.from <= nanos && nanos <= one.to);
    if (chart.tell === "node" && node) {
      const row = meta.nodes.indexOf(node);
      const silence = meta.silences.find((one) => one[0] === row && one[1] <= nanos && nanos <= one[2]);
      if (silence) parts.push(`${node} answered nothing for ${lengthWords(silence[2] - silence[1])}`);
    }
    for (const one of said) {
      const term = one.term === null ? "" : ` in term ${one.term}${one.trusted ? "" : " (not read together)"}`;
      parts.push(`${node} says ${one.role}${term}, ${one.claims} times`);
    }
    if (said.length === 0 && node) parts.push(node);
  }
  const active = meta.faults.filter((fault) => fault.from <= nanos && nanos <= fault.to);
  for (const fault of active.slice(0, 3)) parts.push(fault.what);
  return parts.join("  ·  ");
}

function showOps(engine, ops, places) {
  if (places.length === 0) return;
  let [from, to] = [Infinity, 0];
  for (const place of places) {
    from = Math.min(from, ops.nanos(place));
    const took = ops.latencyNanos(place);
    to = Math.max(to, ops.nanos(place) + (Number.isFinite(took) ? took : 0));
  }
  const room = Math.max((to - from) * 0.3, 5e7);
  engine.show(from - room, to + room);
  byId("charts").scrollIntoView({ block: "start" });
}

function showFault(engine, fault) {
  const room = Math.max((fault.to - fault.from) * 0.4, 1e8);
  engine.show(fault.from - room, fault.to + room);
  byId("charts").scrollIntoView({ block: "start" });
}

/** Shows a record as a list. Text from the target is only ever text here. */
function showRecord(record, meta) {
  const list = byId("record-fields");
  list.replaceChildren();
  for (const [name, value] of Object.entries(record)) {
    if (value === "" || value === null) continue;
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name.replace("_ns", "").replace("_", " ");
    said.textContent = name.endsWith("_ns") ? instant(meta, value) : String(value);
    if (name === "outcome") said.className = String(value);
    list.append(term, said);
  }
  const row = (name, text) => {
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name;
    said.textContent = text;
    list.append(term, said);
  };
  row("took", record.replied_ns === null ? "no reply" : lengthWords(record.replied_ns - record.called_ns));
  const during = meta.faults.filter((fault) => fault.from <= (record.replied_ns ?? meta.end) && fault.to >= record.called_ns);
  if (meta.faults.length > 0) {
    row("faults", during.length > 0 ? during.slice(0, 4).map((fault) => fault.what).join("; ") : "none was in force");
  }
  byId("record-title").textContent = "Operation #" + record.op;
  byId("record").hidden = false;
}

function instant(meta, nanos) {
  const wall = wallWords(meta, nanos);
  return (nanos / 1e9).toFixed(6) + " s" + (wall ? ` (${wall})` : "");
}

function fillNodes(meta, choose) {
  const select = byId("node");
  meta.nodes.forEach((node, i) => {
    const option = document.createElement("option");
    option.value = String(i);
    option.textContent = node;
    select.append(option);
  });
  select.addEventListener("change", () => choose(Number(select.value)));
}

function copyButtons() {
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copies);
      let done = false;
      try {
        await navigator.clipboard.writeText(source.textContent);
        done = true;
      } catch {
        // A file opened from disk has no clipboard in some browsers: select the text instead.
        getSelection().selectAllChildren(source);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Selected";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
}

try {
  start();
} catch (error) {
  const notice = byId("charts-problem");
  notice.textContent = "The charts could not be drawn: " + error.message + ". The tables are complete; report/index.html has drawings without scripts.";
  notice.hidden = false;
}
