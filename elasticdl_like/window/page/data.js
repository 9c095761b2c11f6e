// Where the page has its data from: a report carries it, a running master sends it.

import { MOST_SAMPLES, NO_HISTORY, withEvents, withHistory } from "./documents.js";

const API = "api/v1/";
const QUIET_MS = 5000;
const PATIENCE_MS = 5000;
const AGAIN_MS = 2000;
const RARELY_MS = 15000;
const LEDGER_MS = 3000;

/**
 * Opens the job of this page.
 *
 * @param onChange called with nothing after each change of the returned job.
 * @returns the job: its documents, and `link`, which is "connecting", "live", "lost", "refused"
 *   or "report", with `linkSinceMs`.
 */
export function openJob(onChange) {
  const job = {
    status: null, ledger: null, events: [], history: NO_HISTORY, coverage: null, config: null,
    link: "connecting", linkSinceMs: Date.now(),
  };
  const embedded = document.getElementById("report-data");
  if (embedded) {
    Object.assign(job, JSON.parse(embedded.textContent), { link: "report" });
    onChange();
  } else {
    new Live(job, onChange).connect();
  }
  return job;
}

/** Keeps a job up to date from its master, as long as the page is open. */
class Live {
  constructor(job, onChange) {
    this.job = job;
    this.onChange = onChange;
    this.heardMs = 0;
    this.again = null;
    this.asking = false;
    this.isFirst = true;
    if (new URLSearchParams(location.search).has("token")) {
      // The cookie has it now; the address bar is copied and shown around.
      history.replaceState(null, "", location.pathname);
    }
    setInterval(() => this.watch(), 1000);
    setInterval(() => this.job.link === "live" && this.load("ledger"), LEDGER_MS);
  }

  connect() {
    this.again = null;
    const source = new EventSource(`${API}stream`);
    source.addEventListener("open", () => this.begin());
    source.addEventListener("update", (message) => this.take(JSON.parse(message.data)));
    source.addEventListener("error", () => {
      // The browser's own way of trying again gives up on an answer that is no stream.
      source.close();
      this.lose();
      this.again ??= setTimeout(() => this.connect(), this.patient() ? RARELY_MS : AGAIN_MS);
    });
  }

  /** Asks for what the stream does not send. */
  begin() {
    this.hear();
    this.isFirst = true;
    this.load("config");
    this.load("ledger");
  }

  /** Takes an update of the stream. The first has all there is, and another master may have sent it. */
  take(update) {
    if (this.isFirst) Object.assign(this.job, { events: [], history: NO_HISTORY });
    this.isFirst = false;
    this.update(update);
  }

  update({ status, history, events, coverage }) {
    this.hear();
    const { job } = this;
    const ended = job.status?.state === "running" && status && status.state !== "running";
    const undone = status && job.status && status.step < job.status.step;
    if (status) job.status = status;
    if (coverage) job.coverage = coverage;
    job.events = withEvents(job.events, events);
    job.history = withHistory(job.history, history);
    if (job.history.samples.time_s.length > MOST_SAMPLES || undone) this.load("history");
    if (ended) this.load("ledger");
    this.onChange();
  }

  async load(name) {
    const document = await this.ask(name);
    if (document !== null) {
      this.job[name] = document;
      this.onChange();
    }
  }

  /** Returns a document, or null where none came. */
  async ask(name) {
    try {
      const reply = await fetch(API + name, { signal: AbortSignal.timeout(PATIENCE_MS) });
      if (reply.status === 401 || reply.status === 403) this.setLink("refused");
      if (!reply.ok) return null;
      const document = await reply.json();
      this.hear();
      return document;
    } catch {
      return null; // what is lost shows in `watch` and in the stream
    }
  }

  hear() {
    this.heardMs = Date.now();
    this.setLink("live");
  }

  /** Asks a master that has been quiet: nothing may have happened, or it may hang. */
  async watch() {
    if (this.job.link !== "live" || this.asking || Date.now() - this.heardMs < QUIET_MS) return;
    this.asking = true;
    const status = await this.ask("status");
    this.asking = false;
    if (status === null) this.lose();
    else this.update({ status });
  }

  async lose() {
    if (this.job.link === "live" || this.job.link === "connecting") this.setLink("lost");
    // It may be the stream alone that is refused, and then it matters how.
    const status = await this.ask("status");
    if (status) this.update({ status });
  }

  /** Returns whether there is no hurry to try again: nothing is expected to change. */
  patient() {
    const { status, link } = this.job;
    return link === "refused" || (status !== null && status.state !== "running");
  }

  setLink(link) {
    if (this.job.link === link) return;
    this.job.link = link;
    this.job.linkSinceMs = Date.now();
    this.onChange();
  }
}
