// An image file → the numbers that a capability takes. Pure: no DOM, so that it can be tested alone.
//
// `picture` is {data, width, height} with four bytes a pixel (red, green, blue, opacity), as a canvas gives it.
// Each cell of the tensor is the mean of the area that it covers, whatever the two sizes are.

const WEIGHTS = [0.299, 0.587, 0.114]; // brightness as people see it (ITU-R BT.601)
const DIGITS = 4;
const INK = 0.25; // so much brighter or darker than the ground
const MARGIN = 0.06; // of the ink's longer side

/** The part of a picture that is looked at: all of it, with room around, or its middle in the tensor's proportions. */
export function frameOf(picture, rows, columns, whole) {
  const scales = [picture.width / columns, picture.height / rows];
  const scale = whole ? Math.max(...scales) : Math.min(...scales);
  const width = columns * scale, height = rows * scale;
  return { left: (picture.width - width) / 2, top: (picture.height - height) / 2, width, height };
}

/** How much of each pixel from `from` to `to` lies in between, as [[place, share], …]; places may lie outside. */
function spans(from, to) {
  const found = [];
  for (let at = Math.floor(from); at < Math.ceil(to); at += 1) {
    found.push([at, Math.min(at + 1, to) - Math.max(at, from)]);
  }
  return found;
}

/** Red, green and blue from 0 to 1; on white paper, where the picture is transparent. */
function colourAt({ data, width }, x, y) {
  const at = (y * width + x) * 4, opacity = data[at + 3] / 255;
  return [0, 1, 2].map((part) => (data[at + part] / 255) * opacity + 1 - opacity);
}

/** The mean colour of a picture's outermost pixels. */
export function borderOf(picture) {
  const { width, height } = picture, sum = [0, 0, 0];
  let count = 0;
  const add = (x, y) => {
    colourAt(picture, x, y).forEach((value, part) => { sum[part] += value; });
    count += 1;
  };
  for (let x = 0; x < width; x += 1) { add(x, 0); add(x, height - 1); }
  for (let y = 0; y < height; y += 1) { add(0, y); add(width - 1, y); }
  return sum.map((value) => value / count);
}

export function brightness(colour) {
  return colour.reduce((sum, value, part) => sum + value * WEIGHTS[part], 0);
}

/** The part of a picture where ink stands on its ground, with a margin; all of it where there is none. */
export function inkOf(picture) {
  const { data, width, height } = picture, ground = brightness(borderOf(picture));
  let left = width, top = height, right = -1, bottom = -1;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (Math.abs(brightness(colourAt(picture, x, y)) - ground) < INK) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < left) return picture;
  const margin = Math.ceil(Math.max(right - left + 1, bottom - top + 1) * MARGIN);
  left = Math.max(0, left - margin);
  top = Math.max(0, top - margin);
  right = Math.min(width - 1, right + margin);
  bottom = Math.min(height - 1, bottom + margin);
  const cut = new Uint8ClampedArray((right - left + 1) * (bottom - top + 1) * 4);
  for (let y = top; y <= bottom; y += 1) {
    for (let at = 0; at < (right - left + 1) * 4; at += 1) {
      cut[(y - top) * (right - left + 1) * 4 + at] = data[(y * width + left) * 4 + at];
    }
  }
  return { data: cut, width: right - left + 1, height: bottom - top + 1 };
}

/** The mean colour of an area. A photo has a million pixels: no list is made for any of them. */
function meanOf({ data, width, height }, down, across, ground, area) {
  let red = 0, green = 0, blue = 0;
  for (const [y, high] of down) {
    for (const [x, wide] of across) {
      const share = high * wide;
      if (x < 0 || y < 0 || x >= width || y >= height) {
        red += ground[0] * share;
        green += ground[1] * share;
        blue += ground[2] * share;
        continue;
      }
      const at = (y * width + x) * 4, opacity = data[at + 3] / 255, paper = 1 - opacity;
      red += ((data[at] / 255) * opacity + paper) * share;
      green += ((data[at + 1] / 255) * opacity + paper) * share;
      blue += ((data[at + 2] / 255) * opacity + paper) * share;
    }
  }
  return [red / area, green / area, blue / area];
}

/** Each cell's mean colour, row by row. */
export function scaled(picture, rows, columns, whole) {
  const frame = frameOf(picture, rows, columns, whole), ground = borderOf(picture);
  const cell = { width: frame.width / columns, height: frame.height / rows };
  const across = Array.from({ length: columns }, (_, column) =>
    spans(frame.left + column * cell.width, frame.left + (column + 1) * cell.width));
  const cells = [];
  for (let row = 0; row < rows; row += 1) {
    const down = spans(frame.top + row * cell.height, frame.top + (row + 1) * cell.height);
    for (let column = 0; column < columns; column += 1) {
      cells.push(meanOf(picture, down, across[column], ground, cell.width * cell.height));
    }
  }
  return cells;
}

/**
 * The tensor's numbers, row-major. `want`: {rows, columns, channels (1, 3 or 4), first (channels before rows),
 * minimum, maximum, integers, whole (nothing is cut off), inverted}.
 */
export function numbersOf(picture, want) {
  const { channels, minimum, maximum } = want;
  const number = (value) => {
    const found = minimum + Math.min(1, Math.max(0, want.inverted ? 1 - value : value)) * (maximum - minimum);
    return want.integers ? Math.round(found) : Number(found.toFixed(DIGITS));
  };
  const cells = scaled(picture, want.rows, want.columns, want.whole).map((colour) => (
    channels === 1 ? [number(brightness(colour))] : [...colour.map(number), ...(channels === 4 ? [maximum] : [])]
  ));
  if (!want.first) return cells.flat();
  return Array.from({ length: channels }, (_, channel) => cells.map((cell) => cell[channel])).flat();
}

/** The tensor's numbers → four bytes a pixel, to show what the model sees. */
export function pixelsOf(numbers, want) {
  const { rows, columns, channels, first, minimum, maximum } = want, size = rows * columns;
  const pixels = new Uint8ClampedArray(size * 4).fill(255);
  const at = (cell, channel) => numbers[first ? channel * size + cell : cell * channels + channel];
  for (let cell = 0; cell < size; cell += 1) {
    for (let part = 0; part < 3; part += 1) {
      const value = at(cell, channels === 1 ? 0 : part);
      pixels[cell * 4 + part] = ((value - minimum) / (maximum - minimum || 1)) * 255;
    }
  }
  return pixels;
}
