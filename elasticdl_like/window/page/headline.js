// How the job stands, in one look; and whether what is shown is still true.

import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { lastTime } from "./documents.js";
import { NOTHING, duration, fullTime, measure, number, percent, rate } from "./format.js";

const MOST_TICKS = 100;

const LINKS = {
  connecting: "connecting",
  live: "live",
  lost: "connection lost",
  refused: "refused",
};

export class Headline {
  constructor() {
    this.numEpochs = 0;
  }

  draw(job) {
    this.drawLink(job);
    const { status } = job;
    if (!status) return;
    const ended = status.state !== "running";
    const part = status.total_records ? Math.min(status.records / status.total_records, 1) : 0;
    setText(byId("job-name"), status.job);
    setText(byId("state-text"), status.state);
    setAttribute(byId("state"), "data-state", status.state);
    document.title = `${ended ? status.state : percent(part)} · ${status.job}`;

    const reason = byId("reason");
    reason.hidden = !status.reason || status.reason === status.state;
    setText(reason, status.reason);
    setAttribute(reason, "data-bad", status.state === "failed" || status.state === "cut off");

    byId("progress-fill").style.transform = `scaleX(${part})`;
    setAttribute(byId("progress"), "aria-valuenow", Math.floor(part * 100));
    this.drawTicks(status.num_epochs);
    setText(byId("percent"), percent(part, 1));
    setText(byId("records"), `${number(status.records)} of ${number(status.total_records)} records`);
    setText(byId("epochs"), inWords(status));
    for (const name of ["step", "loss"]) byId(name).parentElement.hidden = status.kind !== "training";

    setText(byId("footer"), status.started_s ? `elasticdl · the job began ${fullTime(status.started_s)}` : "elasticdl");

    this.drawResults(status);
    setText(byId("remaining"), ended ? NOTHING : duration(status.remaining_s));
    setText(byId("elapsed-name"), ended ? "Ran for" : "Running for");
    setText(byId("elapsed"), duration(elapsed(job)));
    setText(byId("rate"), ended ? NOTHING : rate(status.records_per_s));
    setText(byId("step"), number(status.step));
    setText(byId("loss"), measure(status.loss));
    setText(byId("num-workers"), ended ? NOTHING : `${status.workers.length} of ${status.workers_wanted}`);
  }

  /** Shows the metrics of a job that does nothing but evaluate. */
  drawResults({ kind, evaluations }) {
    const results = byId("results");
    const last = kind === "evaluation" ? evaluations[evaluations.length - 1] : undefined;
    results.hidden = last === undefined;
    keepChildren(results, Object.entries(last?.metrics ?? {}), ([name]) => name,
      ([name]) => element("div", {}, element("dt", {}, name), element("dd")),
      (child, [, value]) => setText(child.lastElementChild, measure(value)));
  }

  drawTicks(numEpochs) {
    if (numEpochs === this.numEpochs) return;
    this.numEpochs = numEpochs;
    const ticks = byId("progress-ticks");
    ticks.replaceChildren();
    for (let epoch = 1; epoch < numEpochs && numEpochs <= MOST_TICKS; epoch += 1) {
      const tick = element("i");
      tick.style.left = `${(epoch / numEpochs) * 100}%`;
      ticks.append(tick);
    }
  }

  drawLink(job) {
    const { link, status } = job;
    const ended = status !== null && status.state !== "running";
    const closed = ended && link === "lost";
    const last = lastTime(job);
    const known = link === "report"
      ? `report${last ? `, as of ${fullTime(last)}` : ""}`
      : closed ? "its master has stopped" : LINKS[link];
    setText(byId("link-text"), known);
    setAttribute(byId("link"), "data-link", closed ? "closed" : link);

    setAttribute(document.body, "data-old", link === "lost" && !ended);

    const banner = byId("banner");
    banner.hidden = !(link === "lost" || link === "refused");
    if (banner.hidden) return;
    setAttribute(banner, "data-quiet", closed);
    setText(banner, warning(job, closed));
  }
}

function warning(job, closed) {
  if (job.link === "refused") {
    return "The master wants the job's token: open this page with the link that it has logged.";
  }
  if (closed) {
    return `The job has ended (${job.status.state}) and its master has stopped: this is the last that was heard.`;
  }
  const seconds = Math.round((Date.now() - job.linkSinceMs) / 1000);
  const since = `${seconds < 1 ? "just now" : `${duration(seconds)} ago`}`;
  return job.status
    ? `The connection to the master was lost ${since}; what is shown is old. Trying again…`
    : "The master does not answer. Trying again…";
}

function inWords({ kind, epoch, num_epochs: numEpochs }) {
  return numEpochs > 1 || kind === "training" ? `epoch ${number(epoch + 1)} of ${number(numEpochs)}` : kind;
}

function elapsed(job) {
  const { started_s: startedS, state } = job.status;
  if (!startedS) return null;
  const live = state === "running" && job.link !== "report";
  const nowS = live ? Date.now() / 1000 : lastTime(job);
  return nowS === null ? null : nowS - startedS;
}
