// Where the strips of the coverage picture lie, and what lies under a point: pure geometry.

const ONE_COLUMN_AT_MOST = 24;
const TALLEST = 460;
const NARROWEST = 84;
const GAP_X = 10;

/**
 * Lays out strips.
 *
 * @param count how many strips there are.
 * @param width of the picture, in pixels.
 * @returns columns, rows, and the size of a strip with and without the gap that follows it.
 */
export function layOut(count, width) {
  if (count <= ONE_COLUMN_AT_MOST) {
    const height = count <= 10 ? 18 : 13;
    const label = Math.max(124, Math.min(220, Math.floor(width * 0.2)));
    return { columns: 1, rows: count, label, height, pitchY: height + 5, width: width - label, pitchX: width };
  }
  const most = Math.max(1, Math.floor((width + GAP_X) / (NARROWEST + GAP_X)));
  const wanted = Math.ceil((count * 11) / TALLEST);
  const columns = Math.max(1, Math.min(most, Math.max(wanted, 2)));
  const rows = Math.ceil(count / columns);
  const pitchY = Math.max(7, Math.min(13, Math.floor(TALLEST / rows)));
  const pitchX = (width + GAP_X) / columns;
  return { columns, rows, label: 0, height: pitchY - 2, pitchY, width: pitchX - GAP_X, pitchX };
}

/** Returns the corner of a strip; they follow each other down the columns. */
export function placeOf(layout, index) {
  const column = Math.floor(index / layout.rows);
  return { x: column * layout.pitchX + layout.label, y: (index % layout.rows) * layout.pitchY };
}

/** Returns the strip and cell at a point, or null. */
export function cellAt(layout, strips, x, y) {
  const column = Math.min(Math.floor(x / layout.pitchX), layout.columns - 1);
  const row = Math.floor(y / layout.pitchY);
  const index = column * layout.rows + row;
  if (x < 0 || y < 0 || row >= layout.rows || index >= strips.length) return null;
  const along = (x - column * layout.pitchX - layout.label) / layout.width;
  const { cells } = strips[index];
  return { strip: index, cell: Math.max(0, Math.min(cells.length - 1, Math.floor(along * cells.length))) };
}

/** Returns the positions of a strip that a cell stands for, as [first, end). */
export function rangeOf(strip, cell) {
  const { cells, records } = strip;
  return [Math.floor((cell * records) / cells.length), Math.floor(((cell + 1) * records) / cells.length)];
}
