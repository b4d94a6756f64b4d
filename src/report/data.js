// The operations as columns, and questions about them. Knows nothing of drawing.

const OUTCOMES = ["ok", "fail", "info"];
const OPEN = 65535;

/** Decodes base64 into bytes; the loop is for browsers without Uint8Array.fromBase64. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Columns of all operations, ordered by the time of their call. Times are in nanoseconds outside this class. */
class Operations {
  constructor(meta, base64) {
    const buffer = bytesOf(base64.trim()).buffer;
    const n = meta.count;
    if (buffer.byteLength !== n * 9) throw new Error("the operations in this file are damaged");
    this.count = n;
    this.meta = meta;
    this.unit = meta.unit;
    this.time = new Uint32Array(buffer, 0, n);
    this.latency = new Uint16Array(buffer, n * 4, n);
    this.kind = new Uint8Array(buffer, n * 6, n);
    this.node = new Uint8Array(buffer, n * 7, n);
    this.step = new Uint8Array(buffer, n * 8, n);
    this.calls = null;
  }

  /** First place whose time is not before `nanos`. */
  after(nanos) {
    const wanted = nanos / this.unit;
    let low = 0, high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.time[middle] < wanted) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** Indices of the calls, rebuilt from their steps when first asked for. */
  indices() {
    if (this.calls) return this.calls;
    const calls = new Float64Array(this.count);
    const jumps = this.meta.jumps;
    let last = 0, jump = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.step[i] === 255) {
        last = jump < jumps.length && jumps[jump][0] === i ? jumps[jump++][1] : NaN;
      } else last += this.step[i];
      calls[i] = last;
    }
    return (this.calls = calls);
  }

  /** Where the operation with this call index stands, or -1. */
  place(call) {
    return this.indices().indexOf(call);
  }

  nanos(i) {
    return this.time[i] * this.unit;
  }

  latencyNanos(i) {
    return this.latency[i] === OPEN ? Infinity : 2 ** (this.latency[i] / 1024) - 1;
  }

  nodeName(i) {
    return this.meta.nodes[this.node[i]] ?? "?";
  }

  functionName(i) {
    return this.meta.functions[this.kind[i] >> 3] ?? "other";
  }

  /** Everything known of the operation at a place: its whole record, or what the columns hold. */
  record(i) {
    const call = this.indices()[i];
    const whole = this.meta.details[call];
    if (whole) return whole;
    const took = this.latencyNanos(i);
    return {
      op: call,
      node: this.nodeName(i),
      f: this.functionName(i),
      outcome: OUTCOMES[this.kind[i] & 3],
      called_ns: this.nanos(i),
      // Null, and only null, means that no reply came.
      replied_ns: Number.isFinite(took) ? this.nanos(i) + took : null,
      settle: (this.kind[i] & 4) !== 0,
      note: "The whole record is in history.jsonl, the line whose index is " + call + ".",
    };
  }

  /** Counts operations in bins of equal time: for each row, ok, fail and info. */
  bins(from, width, count, rows, rowOf, shown) {
    const bins = new Uint32Array(count * rows * 3);
    const first = this.after(from), last = this.after(from + width * count);
    const scale = this.unit / width, shift = from / width;
    for (let i = first; i < last; i++) {
      const outcome = this.kind[i] & 3;
      const row = rowOf(i);
      if (row < 0 || row >= rows || !shown(i, outcome)) continue;
      const bin = Math.min(count - 1, Math.floor(this.time[i] * scale - shift));
      if (bin >= 0) bins[(row * count + bin) * 3 + outcome]++;
    }
    return bins;
  }
}

/** A length of time in the unit that suits it. */
function lengthWords(nanos) {
  if (!Number.isFinite(nanos)) return "no reply";
  if (nanos < 1e3) return nanos.toFixed(0) + " ns";
  if (nanos < 1e6) return (nanos / 1e3).toFixed(nanos < 1e4 ? 1 : 0) + " µs";
  if (nanos < 1e9) return (nanos / 1e6).toFixed(nanos < 1e8 ? 1 : 0) + " ms";
  return (nanos / 1e9).toFixed(2) + " s";
}

/** A moment of the run; as many digits as the view can tell apart. */
function momentWords(nanos, span) {
  const digits = span > 2e11 ? 0 : span > 2e10 ? 1 : span > 2e9 ? 2 : span > 2e8 ? 3 : 6;
  return (nanos / 1e9).toFixed(digits) + " s";
}

/** The wall-clock time of a moment of the run, UTC; empty where the record does not know it. */
function wallWords(meta, nanos) {
  return meta.wall_ms === null ? "" : new Date(meta.wall_ms + nanos / 1e6).toISOString().slice(11);
}

/** The nearest of 1, 2, 5 times a power of ten that is not below. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-12)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= least * 0.999999) return factor * power;
  return 10 * power;
}
