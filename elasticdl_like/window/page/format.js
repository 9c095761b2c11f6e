// Numbers, times and names in words.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const NOTHING = "–";

export const number = (value) => (value === null || value === undefined ? NOTHING : whole.format(value));

/** Returns a rate: with a decimal where there is little of it. */
export function rate(value) {
  if (value === null || value === undefined) return NOTHING;
  return value > 0 && value < 10 ? value.toFixed(1) : whole.format(value);
}

/** Returns a measure such as a loss, with four significant digits and of steady width. */
export function measure(value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
  return size >= 1000 ? whole.format(value) : value.toFixed(size >= 100 ? 2 : 4);
}

/** Returns a number for the axis of a chart. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toFixed(2)}G`;
  if (size >= 1e6) return `${+(value / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  return String(+value.toPrecision(4));
}

/** Returns a part of 1 in percent; never 0 or 100 for what is not. */
export function percent(part, digits = 0) {
  if (!Number.isFinite(part)) return NOTHING;
  const least = 10 ** -(digits + 2);
  if (part > 0 && part < least) return `<${(least * 100).toFixed(digits)} %`;
  const shown = part < 1 ? Math.min(part, 1 - least) : part;
  return `${(shown * 100).toFixed(digits)} %`;
}

/** Returns a time in its two largest units. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  const all = Math.max(0, Math.round(seconds));
  const [days, hours, minutes] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60];
  if (days) return `${whole.format(days)} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${all % 60} s`;
  return `${all} s`;
}

const MINUTE_S = 60;
const DAY_S = 86400;
const shortClock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayAndShortClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** Returns the times of an axis, as short as tells them apart. */
export function axisTimes(times) {
  const step = times.length > 1 ? times[1] - times[0] : MINUTE_S;
  const span = times.length ? times[times.length - 1] - times[0] : 0;
  const format = step < MINUTE_S ? clock : span < DAY_S ? shortClock : dayAndShortClock;
  return times.map((time) => format.format(new Date(time * 1000)));
}

/** Returns a time of day, with the day where that is far from the time `latest`. */
export function eventTime(seconds, latest) {
  const format = latest - seconds < DAY_S / 2 ? clock : dayAndShortClock;
  return format.format(new Date(seconds * 1000));
}

export const timeOfDay = (seconds) => clock.format(new Date(seconds * 1000));
export const fullTime = (seconds) => dayAndClock.format(new Date(seconds * 1000));

/** Returns the name of an activity, a kind or a field in words. */
export const words = (name) => name.replaceAll("_", " ");

export const plural = (count, noun) => `${whole.format(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Returns a word for a POSIX shell. */
export const shellWord = (text) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
