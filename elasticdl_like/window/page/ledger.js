// What became of the records of each epoch, newest first.

import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { NOTHING, number, plural } from "./format.js";

const FIELDS = [
  "records", "committed", "tentative", "leased", "quarantined", "missing", "leases_granted", "leases_lost",
  "reports_fenced",
];
const BAD = new Set(["quarantined", "missing"]);
const MOST_SHOWN = 300;

export class Ledger {
  draw({ ledger }) {
    if (!ledger || ledger === this.ledger) return;
    this.ledger = ledger;
    const entries = ledger.epochs.slice(-MOST_SHOWN).reverse();
    const missing = ledger.epochs.reduce((sum, each) => sum + (each.missing ?? 0), 0);
    const ended = ledger.epochs.filter((each) => each.missing !== null).length;
    setText(byId("ledger-aside"), ended ? `${plural(ended, "epoch")} ended, ${number(missing)} records missing` : " ");
    keepChildren(byId("ledger"), entries, nameOf,
      (entry) => element("tr", {}, makeName(entry), ...FIELDS.map(() => element("td", { class: "number" }))),
      (row, entry) => {
        setAttribute(row, "data-now", String(entry.missing === null));
        FIELDS.forEach((field, index) => {
          const cell = row.cells[index + 1];
          setText(cell, entry[field] === null ? NOTHING : number(entry[field]));
          setAttribute(cell, "class", BAD.has(field) && entry[field] > 0 ? "number bad" : "number");
        });
      });
    this.drawQuarantined(ledger.quarantined ?? []);
  }

  drawQuarantined(ranges) {
    byId("quarantined").hidden = !ranges.length;
    keepChildren(byId("quarantined-list"), byProblem(ranges).slice(0, MOST_SHOWN), ({ key, where }) => key + where,
      ({ shard, where, epoch, type, problem }) => element("li", {}, element("b", {}, `${shard}: ${where}`),
        ` (${type}, epoch ${number(epoch + 1)}): ${problem}`));
  }
}

/** Returns ranges that are set aside for the same reason as one: there may be many in a broken file. */
function byProblem(ranges) {
  const found = new Map();
  for (const each of ranges) {
    const key = JSON.stringify([each.type, each.epoch, each.shard, each.problem]);
    const where = `${number(each.start)} to ${number(each.end)}`;
    const known = found.get(key);
    if (known) known.where += `, ${where}`;
    else found.set(key, { ...each, key, where });
  }
  return [...found.values()];
}

const nameOf = ({ type, epoch, step }) => `${type}/${epoch}/${step}`;

function makeName({ type, epoch, step }) {
  const made = element("td", {}, `${type} ${number(epoch + 1)}`);
  if (step !== undefined) made.append(element("small", {}, ` at step ${number(step)}`));
  return made;
}
