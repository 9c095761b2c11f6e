// How the job's documents grow: pure functions of what is known and what is new.

// The master keeps about a thousand samples; past this the page asks for the thinned ones again.
export const MOST_SAMPLES = 2500;
const MOST_EVENTS = 5000;

export const NO_HISTORY = { samples: { time_s: [] }, evaluations: [] };

/** Returns the events with new ones, in order, each once. */
export function withEvents(events, added) {
  if (!added?.length) return events;
  const last = events.length ? events[events.length - 1].id : -Infinity;
  const fresh = added.filter((each) => each.id > last);
  return fresh.length ? [...events, ...fresh].slice(-MOST_EVENTS) : events;
}

/** Returns the history with newer samples and evaluations. */
export function withHistory(history, added) {
  if (!added) return history;
  const times = added.samples?.time_s ?? [];
  const known = history.samples.time_s;
  const after = known.length ? known[known.length - 1] : -Infinity;
  const first = times.findIndex((time) => time > after);
  const evaluations = withEvaluations(history.evaluations, added.evaluations ?? []);
  if (first < 0) return evaluations === history.evaluations ? history : { ...history, evaluations };
  const samples = {};
  for (const [name, values] of Object.entries(added.samples)) {
    samples[name] = [...(history.samples[name] ?? []), ...values.slice(first)];
  }
  return { samples, evaluations };
}

/** Returns evaluations with newer ones; a second result of the same step takes the first one's place. */
function withEvaluations(known, added) {
  if (!added.length) return known;
  const key = (each) => `${each.epoch}/${each.step}`;
  const replaced = new Set(added.map(key));
  return [...known.filter((each) => !replaced.has(key(each))), ...added];
}

/** Returns the last time that anything is known of, in Unix seconds, or null. */
export function lastTime(job) {
  const times = job.history.samples.time_s;
  const latest = Math.max(
    times.length ? times[times.length - 1] : 0,
    job.events.length ? job.events[job.events.length - 1].time_s : 0,
  );
  return latest || null;
}
