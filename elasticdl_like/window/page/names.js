// Names of shards in little room: what all have in common tells the least.

/** Returns names without the folder and the ending that all of them have. */
export function shortNames(names) {
  const [first = "", ...others] = names;
  let start = first.lastIndexOf("/") + 1;
  let end = others.length ? first.length - Math.max(first.lastIndexOf("."), 0) : 0;
  if (end === first.length) end = 0;
  for (const name of others) {
    while (start && !name.startsWith(first.slice(0, start))) start = first.lastIndexOf("/", start - 2) + 1;
    if (!name.endsWith(first.slice(first.length - end))) end = 0;
  }
  return names.map((name) => name.slice(start, name.length - end));
}

/** Returns a text that is cut from its start until it is no wider than so many pixels. */
export function fit(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let shown = text;
  while (shown.length > 1 && ctx.measureText(`…${shown}`).width > width) shown = shown.slice(1);
  return `…${shown}`;
}
