/**
 * Pictures from files, from the examples, and from what is dropped or pasted.
 *
 * @typedef {import('./grey.js').Grey} Grey
 *
 * @typedef {object} Picture
 * @property {string} name of its file
 * @property {string} type media type
 * @property {Uint8Array} bytes the file
 * @property {Grey | null} grey null if the browser cannot read the file
 * @property {Grey[] | null} colours red, green and blue; null if it is grey
 */
import { readFile } from './api.js';
import { coloursOf, fileOf, greyOf } from './grey.js';

const LONGEST = 512; // pixels of the shorter side of a picture that is changed; the file itself is sent as it is

/** The examples: name and text. */
export const EXAMPLES = [
  ['digit', 'A drawn digit 3'],
  ['airplane', 'A drawn airplane'],
  ['truck', 'A drawn truck'],
];

/**
 * A picture from a file.
 *
 * @param {Blob} blob
 * @param {string} name
 * @returns {Promise<Picture>}
 */
export async function readPicture(blob, name) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const pixels = await pixelsOf(blob);
  return {
    name,
    type: blob.type || 'application/octet-stream',
    bytes,
    grey: pixels && greyOf(pixels),
    colours: pixels && coloursOf(pixels),
  };
}

/**
 * A picture from pixels.
 *
 * @param {Grey} grey
 * @param {string} name
 * @returns {Picture}
 */
export function pictureOf(grey, name) {
  return { name, type: 'image/x-portable-graymap', bytes: fileOf([grey]), grey, colours: null };
}

/**
 * One of the page's own pictures.
 *
 * @param {string} name
 * @returns {Promise<Picture>}
 */
export async function readExample(name) {
  return readPicture(await readFile(`${name}.png`), `${name}.png`);
}

/**
 * The first picture among files that were dropped or pasted.
 *
 * @param {DataTransfer | null} data
 * @returns {File | undefined}
 */
export function droppedIn(data) {
  return Array.from(data?.files ?? [])[0];
}

/**
 * The pixels of a file, upright, on white as the service does it; null if the browser cannot read it.
 *
 * @param {Blob} blob
 * @returns {Promise<ImageData | null>}
 */
async function pixelsOf(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return null;
  }
  const scale = Math.min(1, LONGEST / Math.min(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  );
  context.imageSmoothingQuality = 'high';
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
