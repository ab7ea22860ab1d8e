/**
 * Pictures as arrays: grey, or red, green and blue.
 *
 * @typedef {{width: number, height: number, levels: Uint8Array}} Grey
 */

const OPAQUE = 0xff000000; // the byte of alpha: all systems that browsers run on store the lowest byte first

/**
 * Luma as the service computes it (ITU-R 601, in 16-bit integers).
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image opaque RGBA
 * @returns {Grey}
 */
export function greyOf({ width, height, data }) {
  const levels = new Uint8Array(width * height);
  for (let i = 0, j = 0; i < levels.length; i++, j += 4) {
    levels[i] = (19595 * data[j] + 38470 * data[j + 1] + 7471 * data[j + 2] + 0x8000) >> 16;
  }
  return { width, height, levels };
}

/**
 * The largest part around the centre with this shape, as the service cuts it.
 *
 * @param {Grey} grey
 * @param {number} width of the shape
 * @param {number} height of the shape
 * @returns {Grey}
 */
export function centreOf(grey, width, height) {
  const scale = Math.min(grey.width / width, grey.height / height);
  const across = Math.max(1, Math.round(width * scale));
  const down = Math.max(1, Math.round(height * scale));
  const left = (grey.width - across) >> 1;
  const top = (grey.height - down) >> 1;
  const levels = new Uint8Array(across * down);
  for (let y = 0; y < down; y++) {
    const start = (top + y) * grey.width + left;
    levels.set(grey.levels.subarray(start, start + across), y * across);
  }
  return { width: across, height: down, levels };
}

/**
 * A picture shrunk to a size as the service shrinks it: each pixel is the mean of those that it covers. One that is
 * smaller stays as it is.
 *
 * @param {Grey} grey with the shape of the size
 * @param {number} width
 * @param {number} height
 * @returns {Grey}
 */
export function shrunk(grey, width, height) {
  if (grey.width <= width || grey.height <= height) return grey;
  const columns = spans(grey.width, width);
  const levels = new Uint8Array(width * height);
  spans(grey.height, height).forEach(([top, bottom], row) => {
    const sums = new Uint32Array(grey.width);
    for (let y = top; y < bottom; y++) {
      const start = y * grey.width;
      for (let x = 0; x < grey.width; x++) sums[x] += grey.levels[start + x];
    }
    columns.forEach(([left, right], column) => {
      let sum = 0;
      for (let x = left; x < right; x++) sum += sums[x];
      levels[row * width + column] = halfToEven(sum / ((right - left) * (bottom - top)));
    });
  });
  return { width, height, levels };
}

/**
 * The first pixel and the one after the last that each pixel of a smaller row covers: those whose centre lies in it.
 *
 * @param {number} from pixels of the row
 * @param {number} to pixels of the smaller one
 */
function spans(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, index) => [
    Math.floor(index * scale + 0.5),
    Math.floor((index + 1) * scale + 0.5),
  ]);
}

/** @param {number} value */
function halfToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/**
 * The red, green and blue parts of a picture; null if it is grey.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image opaque RGBA
 * @returns {Grey[] | null}
 */
export function coloursOf({ width, height, data }) {
  const planes = [0, 1, 2].map(() => ({ width, height, levels: new Uint8Array(width * height) }));
  let isGrey = true;
  for (let i = 0, j = 0; j < data.length; i++, j += 4) {
    planes.forEach(({ levels }, channel) => {
      levels[i] = data[j + channel];
    });
    isGrey &&= data[j] === data[j + 1] && data[j] === data[j + 2];
  }
  return isGrey ? null : planes;
}

/**
 * A picture as a file that needs no compression: PGM of one plane, PPM of red, green and blue.
 *
 * @param {Grey[]} planes
 * @returns {Uint8Array}
 */
export function fileOf(planes) {
  const [{ width, height }] = planes;
  const head = new TextEncoder().encode(`P${planes.length === 1 ? 5 : 6}\n${width} ${height}\n255\n`);
  const file = new Uint8Array(head.length + planes.length * width * height);
  file.set(head);
  if (planes.length === 1) {
    file.set(planes[0].levels, head.length);
    return file;
  }
  planes.forEach(({ levels }, channel) => {
    for (let i = 0, j = head.length + channel; i < levels.length; i++, j += planes.length) file[j] = levels[i];
  });
  return file;
}

/**
 * The mean level along the edge: what lies outside of the picture is shown in it.
 *
 * @param {Grey} grey
 * @returns {number}
 */
export function edgeLevel({ width, height, levels }) {
  let sum = 0;
  for (let x = 0; x < width; x++) sum += levels[x] + levels[(height - 1) * width + x];
  for (let y = 0; y < height; y++) sum += levels[y * width] + levels[y * width + width - 1];
  return sum / (2 * (width + height));
}

/**
 * Show a picture in a canvas, which takes its size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Grey[]} planes one, or red, green and blue
 */
export function show(canvas, planes) {
  const [{ width, height }] = planes;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer); // one number for red, green, blue and alpha is written faster
  if (planes.length === 1) {
    const { levels } = planes[0];
    for (let i = 0; i < pixels.length; i++) pixels[i] = OPAQUE | (levels[i] * 0x010101);
  } else {
    const [red, green, blue] = planes.map(({ levels }) => levels);
    for (let i = 0; i < pixels.length; i++) pixels[i] = OPAQUE | (blue[i] << 16) | (green[i] << 8) | red[i];
  }
  context.putImageData(image, 0, 0);
}
