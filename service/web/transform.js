/**
 * Changes of a picture: turn, shift, scale, brighten, hide a part.
 *
 * @typedef {import('./grey.js').Grey} Grey
 * @typedef {object} Change
 * @property {number} turn degrees, clockwise
 * @property {number} shiftX share of the width, to the right
 * @property {number} shiftY share of the height, down
 * @property {number} scale factor
 * @property {number} brightness levels to add
 * @property {number} hide share of the side that a square covers
 * @property {number} hideX its centre, as a share of the width
 * @property {number} hideY its centre, as a share of the height
 */
import { edgeLevel } from './grey.js';

/** @type {Readonly<Change>} */
export const NONE = Object.freeze({
  turn: 0,
  shiftX: 0,
  shiftY: 0,
  scale: 1,
  brightness: 0,
  hide: 0,
  hideX: 0.5,
  hideY: 0.5,
});

/**
 * Whether a change leaves the picture as it is.
 *
 * @param {Change} change
 */
export function isNone({ turn, shiftX, shiftY, scale, brightness, hide }) {
  return turn % 360 === 0 && !shiftX && !shiftY && scale === 1 && !brightness && !hide;
}

/**
 * The changed picture. Quarter turns of a square move pixels and mix none of them.
 *
 * @param {Grey} grey
 * @param {Change} change
 * @returns {Grey}
 */
export function apply(grey, change) {
  const { width, height } = grey;
  const background = edgeLevel(grey);
  const levels = new Uint8Array(width * height);
  const [cos, sin] = turned(change.turn);
  const centreX = (width - 1) / 2;
  const centreY = (height - 1) / 2;
  const fromX = centreX + change.shiftX * width;
  const fromY = centreY + change.shiftY * height;
  for (let y = 0; y < height; y++) {
    const down = (y - fromY) / change.scale;
    for (let x = 0; x < width; x++) {
      const across = (x - fromX) / change.scale;
      const level = sampled(grey, cos * across + sin * down + centreX, cos * down - sin * across + centreY, background);
      const sum = level + change.brightness + 0.5; // whose whole part is the rounded level
      levels[y * width + x] = sum < 0 ? 0 : sum >= 256 ? 255 : sum;
    }
  }
  if (change.hide > 0) hide(levels, width, height, change, Math.round(background));
  return { width, height, levels };
}

/**
 * Cover a square with a level.
 *
 * @param {Uint8Array} levels
 * @param {number} width
 * @param {number} height
 * @param {Change} change
 * @param {number} level
 */
function hide(levels, width, height, { hide: share, hideX, hideY }, level) {
  /** @param {number} place @param {number} size @returns {[number, number]} first pixel, and the one after the last */
  const pixels = (place, size) => [
    Math.max(0, Math.floor(place * size + 0.5)),
    Math.max(0, Math.ceil(place * size - 0.5)),
  ];
  const [left] = pixels(hideX - share / 2, width);
  const [, right] = pixels(hideX + share / 2, width);
  const [top] = pixels(hideY - share / 2, height);
  const [, bottom] = pixels(hideY + share / 2, height);
  for (let y = top; y < Math.min(bottom, height); y++) {
    levels.fill(level, y * width + left, y * width + Math.min(right, width));
  }
}

/**
 * Cosine and sine of degrees, exact at quarter turns.
 *
 * @param {number} degrees
 * @returns {[number, number]}
 */
function turned(degrees) {
  const angle = (degrees * Math.PI) / 180;
  return degrees % 90 === 0
    ? [Math.round(Math.cos(angle)), Math.round(Math.sin(angle))]
    : [Math.cos(angle), Math.sin(angle)];
}

/**
 * The level between pixels, mixed bilinearly; outside of the picture the background's.
 *
 * @param {Grey} grey
 * @param {number} x
 * @param {number} y
 * @param {number} background
 */
function sampled({ width, height, levels }, x, y, background) {
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < -1 || top < -1 || left >= width || top >= height) return background;
  const rightShare = x - left;
  const lowerShare = y - top;
  const start = top * width + left;
  let a = background;
  let b = background;
  let c = background;
  let d = background;
  if (left >= 0 && top >= 0 && left + 1 < width && top + 1 < height) {
    a = levels[start];
    b = levels[start + 1];
    c = levels[start + width];
    d = levels[start + width + 1];
  } else {
    if (top >= 0 && left >= 0) a = levels[start];
    if (rightShare === 0 && lowerShare === 0) return a;
    if (top >= 0 && left + 1 < width) b = levels[start + 1];
    if (top + 1 < height && left >= 0) c = levels[start + width];
    if (top + 1 < height && left + 1 < width) d = levels[start + width + 1];
  }
  return (a + (b - a) * rightShare) * (1 - lowerShare) + (c + (d - c) * rightShare) * lowerShare;
}
