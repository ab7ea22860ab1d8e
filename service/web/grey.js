/**
 * Pictures as arrays: grey, or red, green and blue.
 *
 * @typedef {{width: number, height: number, levels: Uint8Array}} Grey
 */

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
  for (let channel = 0; channel < 3; channel++) {
    const { levels } = planes[Math.min(channel, planes.length - 1)];
    for (let i = 0, j = channel; i < levels.length; i++, j += 4) image.data[j] = levels[i];
  }
  for (let j = 3; j < image.data.length; j += 4) image.data[j] = 255;
  context.putImageData(image, 0, 0);
}
