// The workers: what each does, where its time goes, and which of them is in trouble.

import { workerColour } from "./colours.js";
import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { duration, number, percent, plural, rate, words } from "./format.js";

const SILENT_S = 10;
const SMALLEST_SHOWN = 0.005;
// How much more than the middle one a worker waits, in parts of its time, before it is marked.
const MUCH_MORE = 0.2;

const WORK = { training: "committed", evaluating: "tentative", saving: "worker-4" };
const WAITS = {
  waiting_for_master: "muted", reading: "worker-0", retrying: "quarantined", decoding: "worker-3",
  converting: "worker-2", parsing: "worker-1",
};

export class Workers {
  constructor() {
    const legend = byId("time-legend");
    const put = (name, paint, striped) => legend.append(element("li", {}, swatch(paint, striped ? "striped" : ""), name));
    for (const [name, paint] of Object.entries(WORK)) put(words(name), paint, false);
    for (const [name, paint] of Object.entries(WAITS)) {
      put(name.startsWith("waiting") ? words(name) : `waiting: ${words(name)}`, paint, true);
    }
  }

  draw({ status }) {
    if (!status || status === this.status) return;
    this.status = status;
    const workers = [...status.workers].sort((one, other) => one.worker_id - other.worker_id);
    const { round } = status;
    setText(byId("workers-aside"), round && status.state === "running"
      ? `round ${number(round.number)} is ${round.state}, ${plural(round.members.length, "member")}; ${number(status.workers_wanted)} wanted` : " ");
    const body = byId("workers");
    const rows = workers.length ? workers : [null];
    keepChildren(body, rows, (each) => each?.worker_id ?? "none", makeRow, (row, each) => each && updateRow(row, each, workers, round !== null));
  }
}

function makeRow(worker) {
  if (!worker) return element("tr", {}, element("td", { colspan: "7", class: "empty" }, "No workers now."));
  const who = element("span", { class: "who" }, swatch(workerColour(worker.worker_id)), `${worker.worker_id}`);
  return element("tr", {},
    element("th", { scope: "row" }, who, element("small")),
    element("td"), element("td", { class: "number", "data-name": "step" }), element("td", { class: "number", "data-name": "records/s" }),
    element("td", { class: "time-column" }, element("div", { class: "shares", role: "img" }),
      element("div", { class: "time-words" }), element("div", { class: "troubles" })),
    element("td", { class: "number", "data-name": "retries" }), element("td", { class: "number", "data-name": "heard" }));
}

function updateRow(row, worker, workers, together) {
  const [who, state, step, speed, time, retries, heard] = row.cells;
  setText(who.lastElementChild, worker.description);
  setText(state, [words(worker.phase || "working"), worker.rank === null ? "" : `rank ${worker.rank}`].filter(Boolean).join(", "));
  setText(step, worker.step ? number(worker.step) : "–");
  setText(speed, rate(worker.records_per_s));
  setText(retries, number(worker.num_retries));
  setText(heard, `${worker.silent_s < SILENT_S ? worker.silent_s.toFixed(1) : Math.round(worker.silent_s)} s ago`);
  const recent = worker.recent_time_shares !== null;
  const shares = recent ? worker.recent_time_shares : worker.time_shares;
  const [bar, text, troubles] = time.children;
  drawShares(bar, shares);
  setText(text, shares ? `${recent ? `last ${duration(worker.recent_s)}` : "since its start"}: ${inWords(shares)}` : "not known yet");
  setAttribute(bar, "aria-label", text.textContent);
  const found = troublesOf(worker, workers, together);
  keepChildren(troubles, found, (each) => each.name + each.advice,
    ({ name, advice }) => element("div", { class: "advice" }, element("span", { class: "badge" }, name), advice));
}

function drawShares(bar, shares) {
  const parts = shares
    ? [...parse(shares.working, WORK, ""), ...parse(shares.waiting, WAITS, "striped")] : [];
  keepChildren(bar, parts, (each) => each.name,
    ({ name, paint, kind }) => {
      const made = element("span", { class: `share ${kind}`, title: words(name) });
      made.style.setProperty("--colour", `var(--${paint})`);
      return made;
    },
    (child, { name, part }) => {
      child.style.width = `${part * 100}%`;
      setAttribute(child, "title", `${words(name)} ${percent(part)}`);
    });
}

const parse = (shares, paints, kind) =>
  Object.keys(paints).filter((name) => shares[name] > 0).map((name) => ({ name, part: shares[name], paint: paints[name], kind }));

const waitingOf = (shares) => Object.values(shares.waiting).reduce((sum, each) => sum + each, 0);

function inWords(shares) {
  const shown = (parts) => Object.entries(parts).filter(([, part]) => part >= SMALLEST_SHOWN)
    .sort((one, other) => other[1] - one[1]).map(([name, part]) => `${words(name)} ${percent(part)}`);
  const causes = shown(shares.waiting).join(", ");
  return [...shown(shares.working), `waiting for input ${percent(waitingOf(shares))}${causes ? ` (${causes})` : ""}`].join(", ");
}

/** Returns what is wrong with a worker, compared to the others where it takes them. */
function troublesOf(worker, workers, together) {
  const found = [];
  if (worker.starvation) found.push({ name: "starves", advice: worker.starvation });
  if (worker.silent_s >= SILENT_S) {
    found.push({ name: "silent", advice: "nothing has been heard from it; it is lost if that goes on" });
  }
  const known = workers.filter((each) => each.recent_time_shares);
  if (known.length > 1 && worker.recent_time_shares) {
    const waits = known.map((each) => waitingOf(each.recent_time_shares)).sort((one, other) => one - other);
    const middle = waits[Math.floor((waits.length - 1) / 2)];
    if (waitingOf(worker.recent_time_shares) > middle + MUCH_MORE) {
      const advice = "its input is slower than that of the others";
      found.push({ name: "straggler", advice: together ? `${advice}, who wait for it at each step` : advice });
    }
  }
  return found;
}

function swatch(paint, more = "") {
  const made = element("span", { class: `swatch ${more}`, "aria-hidden": "true" });
  made.style.setProperty("--colour", `var(--${paint})`);
  return made;
}
