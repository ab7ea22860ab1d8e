/**
 * The drawn toys at 36 angles, for a left and a right eye, from one file.
 *
 * @typedef {import('./grey.js').Grey} Grey
 */
import { readFile } from './api.js';
import { greyOf } from './grey.js';

const SIDE = 64;
const ANGLES = 36;

/** Name of each toy, and its first row in the file. */
export const TOYS = [
  ['turntable-truck', 'The truck on a turntable', 0],
  ['turntable-airplane', 'The airplane on a turntable', 2],
];

/** @type {Promise<ImageData> | undefined} */
let sheet;

/**
 * Left and right picture of a toy at an angle.
 *
 * @param {number} firstRow of the toy
 * @param {number} azimuth degrees
 * @returns {Promise<[Grey, Grey]>}
 */
export async function toyAt(firstRow, azimuth) {
  sheet ??= readSheet();
  let image;
  try {
    image = await sheet;
  } catch (error) {
    sheet = undefined; // the next one reads it again
    throw error;
  }
  const column = Math.round((azimuth * ANGLES) / 360) % ANGLES;
  return [tile(image, firstRow, column), tile(image, firstRow + 1, column)];
}

async function readSheet() {
  const bitmap = await createImageBitmap(await readFile('turntable.webp'));
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
  );
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** @param {ImageData} image @param {number} row @param {number} column */
function tile(image, row, column) {
  const data = new Uint8ClampedArray(4 * SIDE * SIDE);
  for (let y = 0; y < SIDE; y++) {
    const start = 4 * ((row * SIDE + y) * image.width + column * SIDE);
    data.set(image.data.subarray(start, start + 4 * SIDE), 4 * y * SIDE);
  }
  return greyOf({ width: SIDE, height: SIDE, data });
}
