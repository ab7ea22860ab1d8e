/**
 * The pictures that are sent: as they came, or changed.
 *
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./grey.js').Grey} Grey
 * @typedef {import('./sources.js').Picture} Picture
 * @typedef {import('./transform.js').Change} Change
 */
import { centreOf, pgmOf } from './grey.js';
import { pictureOf } from './sources.js';
import { state } from './state.js';
import { apply, isNone } from './transform.js';
import { toyAt } from './turntable.js';

/** @param {(Picture | null)[]} slots @returns {Picture[]} */
export function used(slots) {
  const [left, right] = slots;
  if (!left && !right) return [];
  const first = /** @type {Picture} */ (left ?? right);
  return state.model?.image.channels === 2 ? [first, right ?? first] : [first];
}

/**
 * The files of one sample: as they came while nothing is changed, so that the answer is that of POST /predict.
 *
 * @param {Change} change
 * @param {(Picture | null)[]} slots
 * @returns {Uint8Array[]}
 */
export function filesOf(change, slots) {
  return used(slots).map((picture) => {
    const grey = picture.grey && !isNone(change) ? changedOf(picture.grey, change) : null;
    return grey ? pgmOf(grey) : picture.bytes;
  });
}

/** @param {Grey} grey @param {Change} change */
export function changedOf(grey, change) {
  const { width, height } = /** @type {Model} */ (state.model).image;
  const centre = centreOf(grey, width, height);
  return isNone(change) ? centre : apply(centre, change);
}

/** @param {number} toy @param {number} azimuth */
export async function toySlots(toy, azimuth) {
  return (await toyAt(toy, azimuth)).map((grey) => pictureOf(grey, 'toy.png'));
}
