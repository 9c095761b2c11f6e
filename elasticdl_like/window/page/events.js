// What has happened, newest first, by kind.

import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { eventTime, fullTime, number } from "./format.js";

const MOST_SHOWN = 400;

const GROUPS = [
  { name: "job", kinds: ["job"], paint: "accent" },
  { name: "workers", kinds: ["worker_joined", "worker_left", "worker_lost"], paint: "good" },
  { name: "rounds", kinds: ["round"], paint: "worker-2" },
  { name: "epochs", kinds: ["epoch"], paint: "worker-1" },
  { name: "evaluations", kinds: ["evaluation"], paint: "second" },
  { name: "checkpoints", kinds: ["checkpoint"], paint: "worker-4" },
  { name: "trouble", kinds: ["warning", "quarantine"], paint: "bad" },
];
const BAD = new Set(["worker_lost", "warning", "quarantine"]);
const PAINTS = new Map(GROUPS.flatMap(({ kinds, paint }) => kinds.map((kind) => [kind, paint])));

export class Events {
  constructor() {
    this.chosen = null;
    this.events = null;
    const filters = byId("filters");
    for (const group of [null, ...GROUPS]) {
      const button = element("button", { type: "button", "aria-pressed": String(group === null) }, group?.name ?? "all");
      button.addEventListener("click", () => {
        this.chosen = group;
        for (const each of filters.children) setAttribute(each, "aria-pressed", String(each === button));
        this.show();
      });
      filters.append(button);
    }
  }

  draw({ events }) {
    if (events === this.events) return;
    this.events = events;
    this.show();
  }

  show() {
    const events = this.events ?? [];
    const chosen = this.chosen ? events.filter((each) => this.chosen.kinds.includes(each.kind)) : events;
    const shown = chosen.slice(-MOST_SHOWN).reverse();
    setText(byId("events-aside"), chosen.length > shown.length
      ? `the last ${number(shown.length)} of ${number(chosen.length)}` : number(chosen.length));
    keepChildren(byId("events"), shown.length ? shown : [null], (each) => each?.id ?? "none",
      (each) => makeItem(each, events[events.length - 1]?.time_s));
  }
}

function makeItem(event, latestS) {
  if (!event) return element("li", { class: "empty" }, "Nothing yet.");
  const mark = element("span", { class: "mark", "aria-hidden": "true" });
  mark.style.setProperty("--colour", `var(--${BAD.has(event.kind) ? "bad" : PAINTS.get(event.kind) ?? "muted"})`);
  const when = new Date(event.time_s * 1000).toISOString();
  return element("li", { "data-kind": event.kind, "data-bad": String(BAD.has(event.kind)) },
    element("time", { datetime: when, title: fullTime(event.time_s) }, eventTime(event.time_s, latestS)), mark,
    element("span", { class: "what" }, event.text));
}
