// One engine for every chart: a shared stretch of time, one canvas for each chart, zoom and pointer. What a chart shows
// is its painter's business.

const GUTTER = 96, EDGE = 14;

/** A chart's canvas and what fits into it; handed to painters. Coordinates are CSS pixels. */
class TimelineChart {
  constructor(engine, canvas, height, paint, tell) {
    Object.assign(this, { engine, canvas, height, paint, tell });
    canvas.style.height = height + "px";
    this.context = canvas.getContext("2d");
  }

  draw(colours) {
    const { canvas, context, height } = this;
    const width = canvas.clientWidth, ratio = Math.min(window.devicePixelRatio || 1, 3);
    if (width === 0) return;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    Object.assign(this, { width, ratio, colours, left: GUTTER, right: width - EDGE });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px " + colours.font;
    context.textBaseline = "middle";
    this.paint(this);
  }

  x(nanos) {
    const [from, to] = this.engine.view;
    return this.left + ((nanos - from) / (to - from)) * (this.right - this.left);
  }

  nanos(x) {
    const [from, to] = this.engine.view;
    return from + ((x - this.left) / (this.right - this.left)) * (to - from);
  }

  /** Runs drawing that must not leave the plot. */
  within(draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(this.left, 0, this.right - this.left, this.height);
    context.clip();
    draw(context);
    context.restore();
  }

  /** Text in the gutter, right-aligned, shortened to fit. */
  label(text, y, colour) {
    const { context } = this;
    context.fillStyle = colour ?? this.colours.muted;
    context.textAlign = "right";
    context.fillText(this.fit(text, GUTTER - 14), this.left - 8, y);
    context.textAlign = "left";
  }

  fit(text, room) {
    const { context } = this;
    if (context.measureText(text).width <= room) return text;
    let low = 0, high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (context.measureText(text.slice(0, middle) + "…").width <= room) low = middle; else high = middle - 1;
    }
    return low > 0 ? text.slice(0, low) + "…" : "";
  }

  line(y, colour) {
    this.context.fillStyle = colour ?? this.colours.line;
    this.context.fillRect(this.left, Math.round(y), this.right - this.left, 1);
  }

  /** Where the faults were in force: pale where they may have been, stronger where it is certain. */
  bands(faults, top = 0, bottom = this.height) {
    this.within((context) => {
      for (const fault of faults) {
        const [left, right] = [this.x(fault.from), this.x(fault.to)];
        if (right < this.left || left > this.right) continue;
        context.fillStyle = this.colours.faults[fault.colour];
        context.globalAlpha = 0.08;
        context.fillRect(left, top, Math.max(1, right - left), bottom - top);
        if (!fault.certain) continue;
        const [sure, until] = [this.x(fault.certain[0]), this.x(fault.certain[1])];
        context.globalAlpha = 0.09;
        context.fillRect(sure, top, Math.max(1, until - sure), bottom - top);
      }
    });
  }
}

/** All charts over one stretch of time. */
class Engine {
  constructor(root, end, onHover, onPick) {
    Object.assign(this, { root, end, onHover, onPick });
    this.full = [0, end];
    this.view = [0, end];
    this.least = Math.max(1000, end / 1e7);
    this.charts = [];
    this.due = false;
    this.scrolled = -1e9;
    this.cross = this.overlay("cross");
    this.chosen = this.overlay("chosen");
    this.listen();
  }

  overlay(name) {
    const element = document.createElement("div");
    element.className = name;
    element.hidden = true;
    this.root.append(element);
    return element;
  }

  add(canvas, height, paint, tell) {
    this.charts.push(new TimelineChart(this, canvas, height, paint, tell));
  }

  /** Asks for one drawing of everything in the next frame. */
  redraw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.drawNow();
    });
  }

  drawNow() {
    const colours = readColours(this.root);
    for (const chart of this.charts) chart.draw(colours);
    this.root.dataset.from = Math.round(this.view[0]);
    this.root.dataset.to = Math.round(this.view[1]);
    this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
  }

  /** Shows a stretch, kept within the run. */
  show(from, to) {
    let width = Math.min(Math.max(to - from, this.least), this.end);
    let left = Math.min(Math.max(from + (to - from - width) / 2, 0), this.end - width);
    this.view = [left, left + width];
    this.cross.hidden = true;
    this.redraw();
  }

  zoom(factor, around) {
    const [from, to] = this.view;
    const centre = around ?? (from + to) / 2;
    this.show(centre - (centre - from) * factor, centre + (to - centre) * factor);
  }

  pan(share) {
    const [from, to] = this.view;
    const step = Math.min(Math.max((to - from) * share, -from), this.end - to);
    this.show(from + step, to + step);
  }

  reset() {
    this.show(...this.full);
  }

  listen() {
    const { root } = this;
    window.addEventListener("scroll", () => (this.scrolled = performance.now()), { passive: true });
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    root.addEventListener("pointerup", (event) => this.release(event));
    root.addEventListener("pointercancel", () => this.cancel());
    root.addEventListener("pointerleave", () => {
      if (!this.drag) this.cross.hidden = true;
    });
    root.addEventListener("dblclick", () => this.reset());
    root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(root);
    for (const query of ["(prefers-color-scheme: dark)", "print"]) {
      window.matchMedia(query).addEventListener("change", () => this.redraw());
    }
  }

  chartOf(event) {
    return this.charts.find((chart) => chart.canvas === event.target);
  }

  /** The wheel zooms; it goes on scrolling the page while the page is being scrolled, and when all is in view. */
  wheel(event) {
    const chart = this.chartOf(event);
    const whole = this.view[1] - this.view[0] >= this.end * 0.999;
    const scrolling = performance.now() - this.scrolled < 250 && !event.ctrlKey;
    if (!chart || scrolling || (whole && event.deltaY > 0 && !event.ctrlKey)) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.pan(event.deltaX / 1000);
    const x = event.clientX - chart.canvas.getBoundingClientRect().left;
    this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), chart.nanos(x));
  }

  press(event) {
    const chart = this.chartOf(event);
    if (!chart || event.button !== 0) return;
    const x = event.clientX - chart.canvas.getBoundingClientRect().left;
    this.drag = { chart, from: x, pans: event.shiftKey, view: this.view, moved: false };
    chart.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const chart = this.drag?.chart ?? this.chartOf(event);
    if (!chart || !chart.width) return;
    const box = chart.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (this.drag) return this.dragTo(x);
    const inside = x >= chart.left && x <= chart.right;
    this.cross.hidden = !inside;
    if (!inside) return;
    this.cross.style.left = x + "px";
    this.onHover(chart, x, y);
  }

  dragTo(x) {
    const { chart, from, pans, view } = this.drag;
    if (Math.abs(x - from) > 5) this.drag.moved = true;
    if (!this.drag.moved) return;
    this.cross.hidden = true;
    if (pans) {
      const shift = ((from - x) / (chart.right - chart.left)) * (view[1] - view[0]);
      const step = Math.min(Math.max(shift, -view[0]), this.end - view[1]);
      return this.show(view[0] + step, view[1] + step);
    }
    const [left, right] = [Math.max(Math.min(from, x), chart.left), Math.min(Math.max(from, x), chart.right)];
    this.chosen.hidden = false;
    this.chosen.style.left = left + "px";
    this.chosen.style.width = Math.max(0, right - left) + "px";
  }

  release(event) {
    const drag = this.drag;
    this.cancel();
    if (!drag) return;
    const box = drag.chart.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    if (!drag.moved) return this.onPick(drag.chart, x, event.clientY - box.top);
    if (drag.pans) return;
    const ends = [drag.chart.nanos(drag.from), drag.chart.nanos(x)].sort((a, b) => a - b);
    this.show(Math.max(0, ends[0]), Math.min(this.end, ends[1]));
  }

  cancel() {
    this.drag = null;
    this.chosen.hidden = true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowLeft: () => this.pan(-0.2),
      ArrowRight: () => this.pan(0.2),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.reset(),
      Home: () => this.reset(),
      Escape: () => this.reset(),
    };
    const act = acts[event.key];
    if (!act || event.target !== this.root) return;
    event.preventDefault();
    act();
  }
}

function readColours(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue("--" + name).trim();
  return {
    text: read("text"), muted: read("muted"), line: read("line"), page: read("page"), soft: read("soft"),
    outcomes: [read("ok"), read("fail"), read("info")],
    faults: [0, 1, 2, 3, 4, 5].map((number) => read("fault-" + number)),
    leader: read("leader"), mark: read("mark"), font: style.fontFamily,
  };
}
