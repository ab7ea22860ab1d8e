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
  const half = change.hide / 2;
  const hidden = {
    left: (change.hideX - half) * width,
    right: (change.hideX + half) * width,
    top: (change.hideY - half) * height,
    bottom: (change.hideY + half) * height,
  };
  for (let y = 0; y < height; y++) {
    const down = (y - fromY) / change.scale;
    const inRows = change.hide > 0 && y + 0.5 > hidden.top && y + 0.5 < hidden.bottom;
    for (let x = 0; x < width; x++) {
      if (inRows && x + 0.5 > hidden.left && x + 0.5 < hidden.right) {
        levels[y * width + x] = Math.round(background);
        continue;
      }
      const across = (x - fromX) / change.scale;
      const level = sampled(grey, cos * across + sin * down + centreX, cos * down - sin * across + centreY, background);
      levels[y * width + x] = Math.max(0, Math.min(255, Math.round(level + change.brightness)));
    }
  }
  return { width, height, levels };
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
  const hasLeft = left >= 0;
  const hasRight = left + 1 < width;
  const hasTop = top >= 0;
  const hasBottom = top + 1 < height;
  const a = hasTop && hasLeft ? levels[start] : background;
  if (rightShare === 0 && lowerShare === 0) return a;
  const b = hasTop && hasRight ? levels[start + 1] : background;
  const c = hasBottom && hasLeft ? levels[start + width] : background;
  const d = hasBottom && hasRight ? levels[start + width + 1] : background;
  return (a + (b - a) * rightShare) * (1 - lowerShare) + (c + (d - c) * rightShare) * lowerShare;
}
