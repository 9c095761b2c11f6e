// Curves over time, drawn by uPlot: throughput with what happened to workers, loss, metrics.

import uPlot from "uplot";

import { byId, colour, element, keepChildren, onTheme, setAttribute, setText } from "./dom.js";
import { axisTimes, fullTime, measure, rate, short, timeOfDay } from "./format.js";

const FONT = "11px system-ui, sans-serif";
const SHORTEST_SPAN_S = 5;
const [HOUR_S, DAY_S] = [3600, 86400];
// Of the times on an axis; whole seconds at least, since they are told in these.
const INCREMENTS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S,
  DAY_S, 2 * DAY_S, 7 * DAY_S, 30 * DAY_S,
];
const MARKS = {
  worker_joined: { glyph: "joined", colour: "good" },
  worker_left: { glyph: "left", colour: "muted" },
  worker_lost: { glyph: "lost", colour: "bad" },
};

/** One chart of some curves over the same times. */
class Chart {
  constructor(holder, series, { fromZero = false, format = short, marks = false, words, empty }) {
    Object.assign(this, { holder, series, fromZero, format, marks, words, empty });
    this.data = null;
    this.events = [];
    this.plot = null;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(holder);
    onTheme(() => this.remake());
  }

  size() {
    return { width: Math.max(this.holder.clientWidth, 80), height: this.holder.clientHeight };
  }

  /** Shows other values: the times, then one list for each curve. */
  set(data, events = []) {
    this.events = events;
    this.data = data;
    const some = data.slice(1).some((values) => values.some((each) => each !== null));
    setAttribute(this.holder, "data-empty", some ? null : this.empty);
    if (!some) {
      this.plot?.destroy();
      this.plot = null;
    } else if (this.plot) {
      this.plot.setData(data);
    } else {
      this.plot = new uPlot(this.options(), data, this.holder);
    }
    this.say(some ? this.plot.cursor.idx ?? data[0].length - 1 : -1);
  }

  remake() {
    if (!this.plot) return;
    this.plot.destroy();
    this.plot = new uPlot(this.options(), this.data, this.holder);
  }

  say(index) {
    setText(this.words, index < 0 ? "\u00a0" : this.describe(Math.min(index, this.data[0].length - 1)));
  }

  describe(index) {
    const values = this.series
      .map(({ label, value }, row) => [label, lastOf(this.data[row + 1], index), value])
      .filter(([, each]) => each !== null)
      .map(([label, each, value]) => `${label} ${value(each)}`);
    const near = this.plot ? this.near(index) : [];
    return [timeOfDay(this.data[0][index]), ...values, ...near.map((each) => each.text)].join(" · ");
  }

  /** Returns the events that are about where the cursor is. */
  near(index) {
    const at = this.plot.valToPos(this.data[0][index], "x");
    return this.events.filter((each) => Math.abs(this.plot.valToPos(each.time_s, "x") - at) < 5).slice(-2);
  }

  options() {
    const axis = {
      stroke: colour("muted"), font: FONT,
      grid: { stroke: colour("faint"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 4 },
    };
    return {
      ...this.size(),
      padding: [this.marks ? 16 : 8, 26, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "time" }, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: true, range: () => this.span() },
        y: { range: (_, least, most) => this.range(least, most) },
      },
      axes: [
        { ...axis, incrs: INCREMENTS_S, space: 74, size: 26, values: (_, splits) => axisTimes(splits) },
        { ...axis, size: 52, space: 34, values: (_, splits) => splits.map(this.format) },
      ],
      series: [{}, ...this.series.map((each) => ({
        label: each.label, stroke: colour(each.colour), width: each.width ?? 1.75, spanGaps: true,
        fill: each.fill ? `${colour(each.colour)}1f` : undefined,
        points: { ...(each.points && { show: true }), size: 6, fill: colour(each.colour) },
      }))],
      hooks: {
        draw: this.marks ? [(plot) => this.drawMarks(plot)] : [],
        setCursor: [(plot) => this.say(plot.cursor.idx ?? this.data[0].length - 1)],
      },
    };
  }

  /** Returns the first and the last time; never so near each other that nothing can be told apart. */
  span() {
    const [times] = this.data;
    return [times[0], Math.max(times[times.length - 1], times[0] + SHORTEST_SPAN_S)];
  }

  range(least, most) {
    if (least === null || most === null) return [0, 1];
    if (this.fromZero) return [0, most > 0 ? most * 1.08 : 1];
    const room = (most - least) * 0.06 || Math.abs(most) * 0.1 || 0.1;
    return [least >= 0 ? Math.max(least - room, 0) : least - room, most + room];
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    const pixel = devicePixelRatio;
    ctx.save();
    for (const event of this.events) {
      const x = Math.round(plot.valToPos(event.time_s, "x", true));
      if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
      const mark = MARKS[event.kind];
      ctx.strokeStyle = ctx.fillStyle = colour(mark.colour);
      ctx.lineWidth = pixel;
      ctx.globalAlpha = 0.55;
      ctx.setLineDash([3 * pixel, 3 * pixel]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      drawGlyph(ctx, mark.glyph, x, bbox.top - 7 * pixel, 4.5 * pixel);
    }
    ctx.restore();
  }
}

/** Returns the last value that is there, up to an index; null for none. */
function lastOf(values, index) {
  let at = index;
  while (at > 0 && values[at] === null) at -= 1;
  return values[at] ?? null;
}

function drawGlyph(ctx, glyph, x, y, half) {
  ctx.beginPath();
  if (glyph === "lost") {
    ctx.lineWidth = half / 2;
    ctx.moveTo(x - half, y - half);
    ctx.lineTo(x + half, y + half);
    ctx.moveTo(x + half, y - half);
    ctx.lineTo(x - half, y + half);
    ctx.stroke();
    return;
  }
  const up = glyph === "joined" ? -1 : 1;
  ctx.moveTo(x, y + up * half);
  ctx.lineTo(x - half, y - up * half);
  ctx.lineTo(x + half, y - up * half);
  ctx.fill();
}

/** All charts of the page. */
export class Charts {
  constructor() {
    this.throughput = new Chart(
      byId("throughput-chart"),
      [{ label: "records/s", colour: "accent", fill: true, value: rate }],
      { fromZero: true, marks: true, words: byId("throughput-words"), empty: "No samples yet" },
    );
    this.loss = new Chart(
      byId("loss-chart"),
      [
        { label: "training", colour: "accent", value: measure },
        { label: "validation", colour: "second", points: true, value: measure },
      ],
      { words: byId("loss-words"), empty: "No loss yet" },
    );
    this.metrics = new Map();
    this.marks = [];
  }

  draw({ history, events, status }) {
    byId("loss-card").hidden = status !== null && status.kind !== "training";
    if (status && (events !== this.events || history !== this.history)) {
      if (events !== this.events) this.drawMarkList(events);
      this.events = events;
      this.history = history;
      const { time_s: times, records_per_s: rates = [] } = history.samples;
      this.throughput.set([times, rates], this.marks);
      this.drawLoss(history);
      // An evaluation has one result, which is no curve: `Headline` shows it.
      if (status?.kind !== "evaluation") this.drawMetrics(history.evaluations);
    }
  }

  drawMarkList(events) {
    this.marks = events.filter((each) => each.kind in MARKS);
    setAttribute(byId("throughput-chart"), "data-marks", this.marks.length);
    keepChildren(byId("throughput-marks"), this.marks, (each) => each.id,
      (each) => element("li", { "data-kind": each.kind }, `${fullTime(each.time_s)}: ${each.text}`));
  }

  drawLoss({ samples, evaluations }) {
    const training = new Map(samples.time_s.map((time, index) => [time, samples.loss?.[index] ?? null]));
    const validated = evaluations.filter((each) => Number.isFinite(each.metrics.loss));
    const validation = new Map(validated.map((each) => [each.time_s, each.metrics.loss]));
    const times = [...new Set([...training.keys(), ...validation.keys()])].sort((one, other) => one - other);
    const along = (values) => times.map((time) => values.get(time) ?? null);
    this.loss.set([times, along(training), along(validation)]);
  }

  drawMetrics(evaluations) {
    const names = [...new Set(evaluations.flatMap((each) => Object.keys(each.metrics)))].filter((name) => name !== "loss");
    for (const name of names) {
      if (!this.metrics.has(name)) this.metrics.set(name, this.addMetric(name));
      const finite = evaluations.filter((each) => Number.isFinite(each.metrics[name]));
      this.metrics.get(name).set([finite.map((each) => each.time_s), finite.map((each) => each.metrics[name])]);
    }
  }

  addMetric(name) {
    const holder = element("div", { class: "chart", role: "img", "aria-label": `${name} of validation over time` });
    const words = element("p", { class: "chart-words" });
    byId("charts").append(element(
      "section", { class: "card", "aria-label": name },
      element("div", { class: "card-head" }, element("h2", {}, name), element("p", { class: "aside" }, "validation")),
      holder, words,
    ));
    return new Chart(holder, [{ label: name, colour: "second", points: true, value: measure }],
      { words, empty: `No ${name} yet` });
  }
}
