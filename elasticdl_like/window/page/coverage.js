// The coverage picture: what has become of every record of the epoch.

import { workerColour } from "./colours.js";
import { byId, colour, element, keepChildren, onTheme, setAttribute, setText } from "./dom.js";
import { number, percent, plural } from "./format.js";
import { fit, shortNames } from "./names.js";
import { cellAt, layOut, placeOf, rangeOf } from "./strips.js";

const LABEL_FONT = "12px system-ui, sans-serif";
// What a cell holds little of is shown all the same, in pixels.
const LEAST_LEASED = 2;
const LEAST_QUARANTINED = 3;

export class Coverage {
  constructor() {
    this.canvas = byId("coverage-canvas");
    this.tip = byId("coverage-tip");
    this.coverage = null;
    this.at = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.pointAt(null));
    this.canvas.addEventListener("blur", () => this.pointAt(null));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.paint()).observe(byId("coverage"));
    onTheme(() => this.paint());
  }

  draw({ coverage }) {
    if (!coverage || coverage === this.coverage) return;
    this.coverage = coverage;
    const shards = plural(coverage.num_shards, "shard");
    const grouped = coverage.shards.length < coverage.num_shards
      ? `, ${number(Math.ceil(coverage.num_shards / coverage.shards.length))} to a strip` : "";
    setText(byId("coverage-aside"),
      `${coverage.type}, epoch ${number(coverage.epoch + 1)}: ${number(coverage.records)} records in ${shards}${grouped}`);
    this.drawLegend();
    this.paint();
    if (this.at) this.pointAt(this.at);
  }

  drawLegend() {
    const { coverage } = this;
    const held = [...new Set(coverage.shards.flatMap((strip) =>
      strip.workers.filter((worker, cell) => worker >= 0 && strip.cells[cell][2] > 0)))].sort((a, b) => a - b);
    const item = (name, label, count, more = "") => ({ name, label, count, more });
    const items = [
      item("committed", "committed", coverage.committed),
      item("tentative", "tentative", coverage.tentative, "striped"),
      item("leased", "leased", coverage.leased, "mixed"),
      item("quarantined", "quarantined", coverage.quarantined),
      item("waiting", "waiting", coverage.waiting, "bordered"),
      ...held.slice(0, 12).map((worker) => item(workerColour(worker), `by worker ${worker}`, null)),
    ];
    keepChildren(byId("coverage-legend"), items, (each) => each.label, ({ name, label, more }) => {
      const swatch = element("span", { class: `swatch ${more}`, "aria-hidden": "true" });
      swatch.style.setProperty("--colour", `var(--${name})`);
      return element("li", {}, swatch, element("span", {}, label), element("b"));
    }, (child, { count }) => setText(child.lastElementChild, count === null ? "" : number(count)));
  }

  paint() {
    const strips = this.coverage?.shards;
    const width = byId("coverage").clientWidth;
    if (!strips || !width) return;
    const layout = (this.layout = layOut(strips.length, width));
    const height = layout.rows * layout.pitchY;
    const pixel = devicePixelRatio || 1;
    const { canvas } = this;
    const [wide, tall] = [Math.round(width * pixel), Math.round(height * pixel)];
    if (canvas.width !== wide || canvas.height !== tall) {
      canvas.width = wide;
      canvas.height = tall;
      canvas.style.height = `${height}px`;
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(pixel, 0, 0, pixel, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const paints = this.paints(ctx);
    const names = layout.label ? shortNames(strips.map((strip) => strip.name)) : [];
    strips.forEach((strip, index) => {
      const place = placeOf(layout, index);
      if (layout.label) this.paintLabel(ctx, strip, names[index], place, layout, paints);
      this.paintStrip(ctx, strip, place, layout, paints);
    });
    if (this.at) this.paintCursor(ctx, paints);
    setAttribute(canvas, "aria-label",
      `${percent(this.coverage.committed / this.coverage.records)} committed; arrow keys tell what is in a place`);
  }

  paints(ctx) {
    const names = ["committed", "tentative", "quarantined", "waiting", "text", "muted", "card"];
    const paints = Object.fromEntries(names.map((name) => [name, colour(name)]));

    paints.tentative = stripes(ctx, paints.tentative);
    const workers = new Map();
    paints.worker = (worker) => {
      const name = workerColour(Math.max(worker, 0));
      if (!workers.has(name)) workers.set(name, colour(name));
      return workers.get(name);
    };
    return paints;
  }

  paintLabel(ctx, strip, name, { y }, layout, paints) {
    const done = strip.cells.reduce((sum, cell) => sum + cell[0], 0) / strip.cells.length;
    const middle = y + layout.height / 2;
    ctx.font = LABEL_FONT;
    ctx.textBaseline = "middle";
    const words = percent(done);
    ctx.fillStyle = paints.muted;
    ctx.textAlign = "right";
    ctx.fillText(words, layout.label - 10, middle);
    ctx.fillStyle = paints.text;
    ctx.textAlign = "left";
    ctx.fillText(fit(ctx, name, layout.label - 50), 0, middle);
  }

  paintStrip(ctx, strip, { x, y }, layout, paints) {
    const { height, width } = layout;
    const count = strip.cells.length;
    // On whole pixels, or there would be seams between neighbours.
    const pixel = devicePixelRatio || 1;
    const edge = (cell) => Math.round((x + (cell * width) / count) * pixel) / pixel;
    ctx.fillStyle = paints.waiting;
    ctx.fillRect(x, y, width, height);
    for (let cell = 0; cell < count; cell += 1) {
      const [committed, tentative, leased, quarantined] = strip.cells[cell];
      if (!(committed || tentative || leased || quarantined)) continue;
      const left = edge(cell);
      const wide = Math.max(edge(cell + 1) - left, 1 / pixel);
      const set = quarantined ? Math.max(quarantined * height, LEAST_QUARANTINED) : 0;
      const held = leased ? Math.max(leased * height, LEAST_LEASED) : 0;
      let bottom = y + height;
      const put = (paint, tall) => {
        if (tall <= 0) return;
        const top = Math.max(bottom - tall, y);
        ctx.fillStyle = paint;
        ctx.fillRect(left, top, wide, bottom - top);
        bottom = top;
      };
      put(paints.committed, Math.min(committed * height, height - set - held));
      put(paints.tentative, Math.min(tentative * height, bottom - y - set - held));
      if (held) put(paints.worker(strip.workers[cell]), held);
      put(paints.quarantined, set);
    }
  }

  paintCursor(ctx, paints) {
    const { layout } = this;
    const place = placeOf(layout, this.at.strip);
    const count = this.coverage.shards[this.at.strip].cells.length;
    const wide = Math.max(layout.width / count, 3);
    ctx.strokeStyle = paints.text;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(place.x + (this.at.cell * layout.width) / count - 0.75, place.y - 0.75, wide + 1.5, layout.height + 1.5);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    if (this.coverage && this.layout) {
      this.pointAt(cellAt(this.layout, this.coverage.shards, event.clientX - box.left, event.clientY - box.top));
    }
  }

  press(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (event.key === "Escape") this.pointAt(null);
    if (!move || !this.coverage?.shards.length) return;
    event.preventDefault();
    const { shards } = this.coverage;
    const from = this.at ?? { strip: 0, cell: 0 };
    const strip = clamp(from.strip + move[0], shards.length);
    this.pointAt({ strip, cell: clamp(from.cell + move[1], shards[strip].cells.length) });
  }

  pointAt(at) {
    const there = at && at.strip < this.coverage.shards.length ? at : null;
    this.at = there && { ...there, cell: clamp(there.cell, this.coverage.shards[there.strip].cells.length) };
    this.tip.hidden = !this.at;
    if (this.at) this.drawTip();
    this.paint();
  }

  drawTip() {
    const { layout, tip } = this;
    const strip = this.coverage.shards[this.at.strip];
    const [committed, tentative, leased, quarantined] = strip.cells[this.at.cell];
    const [first, end] = rangeOf(strip, this.at.cell);
    const worker = strip.workers[this.at.cell];
    const parts = [
      ["committed", committed], ["tentative", tentative],
      [worker >= 0 ? `leased by worker ${worker}` : "leased", leased],
      ["quarantined", quarantined], ["waiting", 1 - committed - tentative - leased - quarantined],
    ].filter(([, part]) => part > 1e-9);
    tip.replaceChildren(
      element("strong", {}, strip.name),
      element("div", {}, `${strip.num_shards > 1 ? `${plural(strip.num_shards, "shard")}, ` : ""}records ${number(first)} to ${number(end)} of ${number(strip.records)}`),
      ...parts.map(([name, part]) => element("div", {}, `${name}: ${percent(part)}`)),
    );
    const place = placeOf(layout, this.at.strip);
    const room = byId("coverage").clientWidth - tip.offsetWidth;
    const x = place.x + (this.at.cell * layout.width) / strip.cells.length + 12;
    tip.style.left = `${Math.max(0, Math.min(x, room))}px`;
    tip.style.top = `${place.y + layout.height + 8}px`;
  }
}

const clamp = (index, length) => Math.max(0, Math.min(index, length - 1));

function stripes(ctx, paint) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const on = tile.getContext("2d");
  on.fillStyle = paint;
  on.fillRect(0, 0, 6, 6);
  on.strokeStyle = "rgb(255 255 255 / 55%)";
  on.lineWidth = 1.5;
  on.beginPath();
  for (const from of [-6, 0, 6]) {
    on.moveTo(from, 6);
    on.lineTo(from + 6, 0);
  }
  on.stroke();
  return ctx.createPattern(tile, "repeat");
}
