// What each chart shows. A painter gets its chart and draws; it keeps nothing.

/** A time axis below a chart. */
function paintTimes(chart, bottom) {
  const { context, colours, engine } = chart;
  const [from, to] = engine.view;
  const step = niceStep(((to - from) * 90) / (chart.right - chart.left));
  context.textAlign = "center";
  for (let tick = Math.ceil(from / step); tick * step <= to; tick++) {
    const x = Math.round(chart.x(tick * step));
    context.fillStyle = colours.line;
    context.fillRect(x, 0, 1, bottom);
    context.fillStyle = colours.muted;
    if (x > chart.left + 20 && x < chart.right - 20) {
      context.fillText(Number((tick * step / 1e9).toPrecision(9)) + " s", x, bottom + 10);
    }
  }
  context.textAlign = "left";
}

/** Faults as bars on as few rows as they need. */
function faultRows(faults) {
  const ends = [];
  return faults.map((fault) => {
    let row = ends.findIndex((end) => end <= fault.from);
    if (row < 0) row = ends.length < 6 ? ends.length : 5;
    ends[row] = Math.max(ends[row] ?? 0, fault.to);
    return row;
  });
}

function faultPainter(meta, rows) {
  return (chart) => {
    const { colours } = chart;
    chart.label("faults", 10);
    chart.within((context) => {
      meta.faults.forEach((fault, i) => {
        const [left, right] = [chart.x(fault.from), chart.x(fault.to)];
        if (right < chart.left || left > chart.right) return;
        const y = rows[i] * 19 + 2, width = Math.max(2, right - left);
        context.fillStyle = colours.faults[fault.colour];
        context.globalAlpha = 0.22;
        context.fillRect(left, y, width, 16);
        context.globalAlpha = 1;
        if (fault.certain) {
          const [sure, until] = [chart.x(fault.certain[0]), chart.x(fault.certain[1])];
          context.fillRect(sure, y + 13, Math.max(2, until - sure), 3);
        }
        const start = Math.max(left, chart.left) + 4;
        context.fillStyle = colours.text;
        context.fillText(chart.fit(fault.what, Math.min(right, chart.right) - start - 2), start, y + 8);
      });
    });
  };
}

/** Shapes as pixels: a dot, a cross, a triangle. */
function stamps(ratio) {
  const size = Math.max(1, Math.round(ratio));
  const pixels = (inside, reach) => {
    const found = [];
    const edge = reach * size;
    for (let y = -edge; y <= edge; y++) for (let x = -edge; x <= edge; x++) {
      if (inside(x / size, y / size)) found.push([x, y]);
    }
    return found;
  };
  return [
    pixels((x, y) => x * x + y * y <= 3.2, 2),
    pixels((x, y) => Math.abs(Math.abs(x) - Math.abs(y)) < 0.9 && Math.abs(x) <= 3, 3),
    pixels((x, y) => y <= 3 && y >= -3 && Math.abs(x) <= (y + 3.5) / 1.9 && (y > 1.9 || Math.abs(x) > (y + 3.5) / 1.9 - 1.5), 4),
  ];
}

/** The range of latencies of the run, as the columns code them. */
function latencyRange(ops) {
  let low = 65535, high = 0;
  for (let i = 0; i < ops.count; i++) {
    const code = ops.latency[i];
    if (code === OPEN) continue;
    if (code < low) low = code;
    if (code > high) high = code;
  }
  return low > high ? [0, 30 * 1024] : [low - 700, high + 900];
}

const SCATTER_TOP = 10, SCATTER_BOTTOM = 20;

function scatterY(chart, range, code) {
  const height = chart.height - SCATTER_TOP - SCATTER_BOTTOM;
  if (code === OPEN) return SCATTER_TOP + 2;
  return SCATTER_TOP + height * (1 - (code - range[0]) / (range[1] - range[0]));
}

/** Latency over time. Points go into a pixel buffer, so a million cost about what a thousand circles do. */
function scatterPainter(ops, meta, range, shown, marked) {
  const layer = document.createElement("canvas");
  return (chart) => {
    const { context, colours } = chart;
    const bottom = chart.height - SCATTER_BOTTOM;
    paintTimes(chart, bottom);
    for (let power = 2; power <= 12; power++) {
      const code = Math.log2(10 ** power + 1) * 1024;
      if (code < range[0] || code > range[1]) continue;
      const y = scatterY(chart, range, code);
      chart.line(y);
      chart.label(lengthWords(10 ** power).replace(/\.0+ /, " "), y);
    }
    chart.bands(meta.faults, 0, bottom);
    const width = Math.round((chart.right - chart.left) * chart.ratio), height = Math.round(bottom * chart.ratio);
    if (width < 1 || height < 1) return;
    [layer.width, layer.height] = [width, height];
    const target = layer.getContext("2d");
    target.putImageData(scatterPixels(chart, ops, range, shown, width, height), 0, 0);
    context.drawImage(layer, chart.left, 0, chart.right - chart.left, bottom);
    chart.within(() => {
      for (const place of marked()) {
        context.strokeStyle = colours.mark;
        context.lineWidth = 1.8;
        context.beginPath();
        context.arc(chart.x(ops.nanos(place)), scatterY(chart, range, ops.latency[place]), 6, 0, 7);
        context.stroke();
      }
    });
  };
}

function scatterPixels(chart, ops, range, shown, width, height) {
  const [from, to] = chart.engine.view;
  const first = ops.after(from), last = ops.after(to + ops.unit);
  const weights = [0, 1, 2].map(() => new Uint16Array(width * height));
  const seen = tally(ops, first, last, shown);
  const all = stamps(chart.ratio);
  // Where thousands lie close together a shape is lost anyway: dots show the density of each outcome.
  const dot = all[0].filter(([x, y]) => x * x + y * y <= 1.6 * chart.ratio * chart.ratio);
  const shapes = all.map((shape, outcome) => (seen[outcome] > 4000 ? dot : shape));
  const scale = (width * ops.unit) / (to - from), shift = (from * width) / (to - from);
  for (let i = first; i < last; i++) {
    const outcome = ops.kind[i] & 3;
    if (!shown(i, outcome)) continue;
    const x = Math.floor(ops.time[i] * scale - shift);
    const y = Math.round(scatterY(chart, range, ops.latency[i]) * chart.ratio);
    for (const [dx, dy] of shapes[outcome]) {
      const px = x + dx, py = y + dy;
      if (px < 0 || px >= width || py < 0 || py >= height) continue;
      const at = py * width + px;
      if (weights[outcome][at] < 65535) weights[outcome][at]++;
    }
  }
  return mixed(chart, weights, seen, width, height);
}

function tally(ops, first, last, shown) {
  const seen = [0, 0, 0];
  for (let i = first; i < last; i++) {
    const outcome = ops.kind[i] & 3;
    if (shown(i, outcome)) seen[outcome]++;
  }
  return seen;
}

/** Lays the three outcomes over each other, each the denser the more points a pixel has. */
function mixed(chart, weights, seen, width, height) {
  const image = new ImageData(width, height);
  const out = image.data;
  const colours = chart.colours.outcomes.map(rgb);
  const alphas = seen.map((count, outcome) => {
    const [least, share] = outcome ? [0.2, 0.08] : [0.05, 0.02];
    const each = Math.max(least, Math.min(outcome ? 0.95 : 0.8, (width * height * share) / (count + 1)));
    const most = outcome && count > 4000 ? 0.6 : 1;
    return Float32Array.from({ length: 256 }, (_, n) => most * (1 - (1 - each) ** n));
  });
  for (let at = 0, pixels = width * height; at < pixels; at++) {
    let r = 0, g = 0, b = 0, a = 0;
    for (let outcome = 0; outcome < 3; outcome++) {
      const weight = weights[outcome][at];
      if (weight === 0) continue;
      const alpha = alphas[outcome][weight > 255 ? 255 : weight], under = a * (1 - alpha), sum = alpha + under;
      const colour = colours[outcome];
      r = (colour[0] * alpha + r * under) / sum;
      g = (colour[1] * alpha + g * under) / sum;
      b = (colour[2] * alpha + b * under) / sum;
      a = sum;
    }
    if (a === 0) continue;
    out[at * 4] = r;
    out[at * 4 + 1] = g;
    out[at * 4 + 2] = b;
    out[at * 4 + 3] = a * 255;
  }
  return image;
}

/** The parts of `#rrggbb`. */
function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Bins that are at least so many pixels wide and do not move while the view is panned. */
function binsFor(chart, pixels) {
  const [from, to] = chart.engine.view;
  const width = niceStep(((to - from) * pixels) / (chart.right - chart.left));
  const first = Math.floor(from / width);
  return { from: first * width, width, count: Math.min(4000, Math.ceil(to / width) - first) };
}

function ratePainter(ops, meta, shown) {
  return (chart) => {
    const { context, colours, engine } = chart;
    const { from, width, count } = binsFor(chart, 4);
    const bins = ops.bins(from, width, count, 1, () => 0, shown);
    const top = 8, bottom = chart.height - 6;
    const rate = (bin, outcome) => {
      const lasted = Math.min(width, engine.end - (from + bin * width));
      return lasted > width / 20 ? (bins[bin * 3 + outcome] * 1e9) / lasted : 0;
    };
    let most = 1;
    for (let bin = 0; bin < count; bin++) for (let o = 0; o < 3; o++) most = Math.max(most, rate(bin, o));
    const step = niceStep(most / 3);
    const y = (value) => bottom - ((bottom - top) * value) / (most * 1.05);
    for (let value = 0; value <= most; value += step) {
      chart.line(y(value));
      chart.label(value.toLocaleString("en") + "/s", y(value));
    }
    chart.bands(meta.faults);
    chart.within(() => {
      for (const outcome of [0, 2, 1]) {
        context.beginPath();
        for (let bin = 0; bin < count; bin++) {
          const level = y(rate(bin, outcome));
          const [left, right] = [chart.x(from + bin * width), chart.x(Math.min(engine.end, from + (bin + 1) * width))];
          if (bin === 0) context.moveTo(left, level); else context.lineTo(left, level);
          context.lineTo(right, level);
        }
        context.strokeStyle = colours.outcomes[outcome];
        context.lineWidth = 1.5;
        context.setLineDash(outcome === 0 ? [] : outcome === 1 ? [5, 2] : [1.5, 2]);
        context.stroke();
        if (outcome !== 0) continue;
        context.lineTo(chart.x(Math.min(engine.end, from + count * width)), bottom);
        context.lineTo(chart.x(from), bottom);
        context.globalAlpha = 0.13;
        context.fillStyle = colours.outcomes[0];
        context.fill();
        context.globalAlpha = 1;
      }
      context.setLineDash([]);
    });
  };
}

const NODE_ROW = 22;

/** For each node, how its calls ended, and in grey the time in which its callers waited and it answered nothing. */
function availabilityPainter(ops, meta, shown) {
  return (chart) => {
    const { context, colours } = chart;
    const { from, width, count } = binsFor(chart, 6);
    const rows = meta.nodes.length;
    const bins = ops.bins(from, width, count, rows, (i) => ops.node[i], shown);
    chart.bands(meta.faults);
    meta.nodes.forEach((node, row) => chart.label(node, row * NODE_ROW + NODE_ROW / 2, colours.text));
    chart.within(() => {
      for (let row = 0; row < rows; row++) for (let bin = 0; bin < count; bin++) {
        const at = (row * count + bin) * 3;
        const all = bins[at] + bins[at + 1] + bins[at + 2];
        if (all === 0) continue;
        const left = chart.x(from + bin * width), wide = Math.max(1, chart.x(from + (bin + 1) * width) - left - 0.6);
        let y = row * NODE_ROW + NODE_ROW - 3;
        for (const outcome of [0, 2, 1]) {
          const high = ((NODE_ROW - 6) * bins[at + outcome]) / all;
          y -= high;
          context.globalAlpha = outcome === 0 ? 0.75 : 0.95;
          context.fillStyle = colours.outcomes[outcome];
          context.fillRect(left, y, wide, high);
        }
      }
      context.globalAlpha = 1;
      for (const [row, since, until] of meta.silences) {
        const [left, right] = [chart.x(since), chart.x(until)];
        if (right < chart.left || left > chart.right) continue;
        context.clearRect(left, row * NODE_ROW + 2, Math.max(1, right - left), NODE_ROW - 4);
        context.fillStyle = colours.muted;
        context.globalAlpha = 0.45;
        context.fillRect(left, row * NODE_ROW + 3, Math.max(1, right - left), NODE_ROW - 6);
        context.globalAlpha = 1;
      }
    });
  };
}

/** What each node said of its role: leaders filled and with their term, others thin. */
function rolePainter(meta) {
  const row = new Map(meta.nodes.map((node, i) => [node, i]));
  return (chart) => {
    const { context, colours } = chart;
    chart.bands(meta.faults);
    meta.nodes.forEach((node, i) => {
      chart.line(i * NODE_ROW + NODE_ROW - 1);
      chart.label(node, i * NODE_ROW + NODE_ROW / 2, colours.text);
    });
    chart.within(() => {
      for (const said of meta.roles) {
        const [left, right] = [chart.x(said.from), chart.x(said.to)];
        if (right < chart.left || left > chart.right || !row.has(said.node)) continue;
        const y = row.get(said.node) * NODE_ROW, width = Math.max(2, right - left);
        if (!isLeader(said.role)) {
          context.fillStyle = said.role === "candidate" ? colours.outcomes[2] : colours.muted;
          context.globalAlpha = 0.55;
          context.fillRect(left, y + NODE_ROW / 2 - 1, width, said.role === "candidate" ? 4 : 2);
          context.globalAlpha = 1;
          continue;
        }
        context.fillStyle = colours.leader;
        context.fillRect(left, y + 3, width, NODE_ROW - 6);
        const start = Math.max(left, chart.left) + 5;
        const text = said.term === null ? said.role : "term " + said.term;
        context.fillStyle = colours.page;
        context.fillText(chart.fit(text, Math.min(right, chart.right) - start - 3), start, y + NODE_ROW / 2);
      }
    });
  };
}

function isLeader(role) {
  return ["leader", "primary", "master"].includes(role);
}

/** Readings of clocks as points. A line stands only where a fault is known to have held the clock: between its proofs. */
function clockPainter(meta) {
  const most = Math.max(1, ...meta.clocks.map((reading) => Math.abs(reading[2])));
  return (chart) => {
    const { context, colours } = chart;
    const y = (offset) => chart.height / 2 - (offset / most) * (chart.height / 2 - 10);
    for (const offset of [-most, 0, most]) {
      chart.line(y(offset));
      chart.label(Math.round(offset).toLocaleString("en") + " ms", y(offset));
    }
    chart.bands(meta.faults);
    chart.within(() => {
      for (const [since, until, row, offset] of meta.clock_steps) {
        context.fillStyle = colours.faults[row % 6];
        context.fillRect(chart.x(since), y(offset) - 1, Math.max(2, chart.x(until) - chart.x(since)), 2);
        context.fillStyle = colours.text;
        context.fillText(meta.nodes[row], chart.x(since) + 4, y(offset) + (Math.sign(offset) || 1) * 8);
      }
      for (const [time, node, offset] of meta.clocks) {
        context.fillStyle = colours.faults[Math.max(0, meta.nodes.indexOf(node)) % 6];
        context.beginPath();
        context.arc(chart.x(time), y(offset), 2.2, 0, 7);
        context.fill();
      }
    });
  };
}
