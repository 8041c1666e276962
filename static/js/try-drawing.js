// Strokes of a pen → the small image that a capability takes. Pure: no DOM, so that it can be tested alone.
//
// The digits data was made from 32×32 bitmaps of size-normalised handwriting, of which each 4×4 block was counted
// (0-16). The same is done here with the strokes as lines: fit them to the frame, draw them with the pen's width of
// that data, centre their mass, count. So neither where nor how large somebody draws makes a difference.

const FINE = 8; // points per pixel in each direction
const PEN = 0.18; // the pen's width, as a part of the frame's height: gives the ink of the digits data
const MARGIN = 0.02;
const WIDEST = 0.85; // that data leaves its outer columns almost empty

/** Bounds of all points, as {left, top, width, height}. */
export function boundsOf(strokes) {
  const points = strokes.flat();
  const left = Math.min(...points.map((p) => p.x));
  const top = Math.min(...points.map((p) => p.y));
  return {
    left,
    top,
    width: Math.max(...points.map((p) => p.x)) - left,
    height: Math.max(...points.map((p) => p.y)) - top,
  };
}

/** Scale and move strokes into a frame of `columns`×`rows`, keeping their proportions. */
export function fit(strokes, rows, columns) {
  const bounds = boundsOf(strokes);
  const pen = PEN * rows;
  const room = (size) => size * (1 - 2 * MARGIN) - pen;
  const scale = Math.min(room(rows) / Math.max(bounds.height, 1e-6), room(columns * WIDEST) / Math.max(bounds.width, 1e-6));
  const limited = Number.isFinite(scale) && Math.max(bounds.width, bounds.height) > 1e-3 ? scale : 1;
  const middle = { x: bounds.left + bounds.width / 2, y: bounds.top + bounds.height / 2 };
  return strokes.map((stroke) => stroke.map((point) => ({
    x: (point.x - middle.x) * limited + columns / 2,
    y: (point.y - middle.y) * limited + rows / 2,
  })));
}

function distance(x, y, a, b) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = dx * dx + dy * dy;
  const along = length ? Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / length)) : 0;
  return Math.hypot(x - a.x - along * dx, y - a.y - along * dy);
}

function ink(strokes, rows, columns, pen) {
  const fine = new Uint8Array(rows * columns * FINE * FINE);
  const width = columns * FINE;
  const paint = (a, b) => {
    const from = (low) => Math.max(0, Math.floor((low - pen) * FINE));
    const to = (high, most) => Math.min(most * FINE - 1, Math.ceil((high + pen) * FINE));
    for (let row = from(Math.min(a.y, b.y)); row <= to(Math.max(a.y, b.y), rows); row += 1) {
      for (let column = from(Math.min(a.x, b.x)); column <= to(Math.max(a.x, b.x), columns); column += 1) {
        if (distance((column + 0.5) / FINE, (row + 0.5) / FINE, a, b) <= pen / 2) fine[row * width + column] = 1;
      }
    }
  };
  for (const stroke of strokes) {
    stroke.forEach((point, at) => paint(stroke[Math.max(0, at - 1)], point));
  }
  return fine;
}

function centreOfMass(fine, width) {
  let sum = 0;
  let x = 0;
  fine.forEach((value, at) => {
    if (!value) return;
    sum += 1;
    x += (at % width) + 0.5;
  });
  return sum ? x / sum : width / 2;
}

/** Strokes → rows×columns numbers from 0 to `maximum`, row by row. Empty strokes give zeros. */
export function rasterise(strokes, rows, columns, maximum) {
  const drawn = strokes.filter((stroke) => stroke.length);
  const image = new Array(rows * columns).fill(0);
  if (!drawn.length) return image;
  const pen = PEN * rows;
  let fitted = fit(drawn, rows, columns);
  const mass = centreOfMass(ink(fitted, rows, columns, pen), columns * FINE) / FINE;
  const bounds = boundsOf(fitted);
  const wish = columns / 2 - mass;
  const shift = Math.max(pen / 2 - bounds.left, Math.min(columns - pen / 2 - bounds.left - bounds.width, wish));
  fitted = fitted.map((stroke) => stroke.map((point) => ({ x: point.x + shift, y: point.y })));
  ink(fitted, rows, columns, pen).forEach((value, at) => {
    const row = Math.floor(at / (columns * FINE * FINE));
    const column = Math.floor((at % (columns * FINE)) / FINE);
    image[row * columns + column] += value;
  });
  return image.map((count) => Math.round((count / (FINE * FINE)) * maximum));
}
