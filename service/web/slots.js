/**
 * The pictures that are sent: as they came, or changed.
 *
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./grey.js').Grey} Grey
 * @typedef {import('./sources.js').Picture} Picture
 * @typedef {import('./transform.js').Change} Change
 */
import { centreOf, fileOf, shrunk } from './grey.js';
import { pictureOf } from './sources.js';
import { state } from './state.js';
import { apply, isNone } from './transform.js';
import { toyAt } from './turntable.js';

/** @type {WeakMap<Picture, {change: Change, model: Model, centre: Grey[], planes: Grey[]}>} what is shown is also sent */
const newest = new WeakMap();

/** @param {(Picture | null)[]} slots @returns {Picture[]} */
export function used(slots) {
  const [left, right] = slots;
  if (!left && !right) return [];
  const first = /** @type {Picture} */ (left ?? right);
  return state.model?.image.channels === 2 ? [first, right ?? first] : [first];
}

/**
 * The files of one sample: as they came while nothing is changed, so that the answer is that of POST /predict. Changed
 * ones are shrunk as the service would do it: a 60th of the bytes has the same answer.
 *
 * @param {Change} change
 * @param {(Picture | null)[]} slots
 * @returns {Uint8Array[]}
 */
export function filesOf(change, slots) {
  return used(slots).map((picture) => {
    const planes = isNone(change) ? null : changedOf(picture, change);
    if (!planes) return picture.bytes;
    const { width, height } = /** @type {Model} */ (state.model).image;
    return fileOf(planes.map((plane) => shrunk(plane, width, height)));
  });
}

/**
 * The part of a picture that the model takes, changed: one plane, or three for a model of colours; null if unknown.
 *
 * @param {Picture} picture
 * @param {Change} change
 * @returns {Grey[] | null}
 */
export function changedOf(picture, change) {
  const { grey, colours } = picture;
  if (!grey) return null;
  const model = /** @type {Model} */ (state.model);
  const known = newest.get(picture);
  if (known && known.change === change && known.model === model) return known.planes;
  const { channels, width, height } = model.image;
  const centre =
    known?.model === model
      ? known.centre
      : (channels === 3 && colours ? colours : [grey]).map((plane) => centreOf(plane, width, height));
  const planes = isNone(change) ? centre : centre.map((plane) => apply(plane, change));
  newest.set(picture, { change, model, centre, planes });
  return planes;
}

/** @param {number} toy @param {number} azimuth */
export async function toySlots(toy, azimuth) {
  return (await toyAt(toy, azimuth)).map((grey) => pictureOf(grey, 'toy.png'));
}
