/**
 * What the page knows: the model, the pictures, how they are changed, and the last answer.
 *
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./parts.js').Part} Part
 * @typedef {import('./protocol.js').Tensor} Tensor
 * @typedef {import('./sliders.js').Slider} Slider
 * @typedef {import('./sources.js').Picture} Picture
 * @typedef {import('./transform.js').Change} Change
 *
 * @typedef {{layer: number, site: number}} Place
 */
import { largest } from './credit.js';
import { sampleOf } from './protocol.js';
import { NONE } from './transform.js';

export const state = {
  /** @type {Model[]} */
  models: [],
  /** @type {Model | null} */
  model: null,
  /** @type {Set<string>} of the model */
  outputs: new Set(),
  /** @type {(Picture | null)[]} left and right; a model of one picture takes the left one */
  slots: [null, null],
  slot: 0, // that new pictures go to
  /** @type {number | null} first row of the toy on the turntable */
  toy: null,
  azimuth: 0,
  /** @type {Change} */
  change: NONE,
  /** @type {number | null} null follows the most active class */
  chosen: null,
  /** @type {Map<string, Tensor>} the newest answer to each output */
  tensors: new Map(),
  /** @type {Part[] | null} */
  parts: null,
  /** @type {Place | null} that the reader chose */
  place: null,
  /** @type {{slider: Slider, values: number[], activations: Float32Array[], poses: Float32Array[]} | null} */
  sweep: null,
};

export function chosenClass() {
  const activations = state.tensors.get('activations');
  return state.chosen ?? (activations ? largest(sampleOf(activations), 1)[0] : 0);
}

export function chosenLabel() {
  return state.model?.classes[chosenClass()] ?? '–';
}

/** @param {string} name */
export function tensorOf(name) {
  const tensor = state.tensors.get(name);
  return tensor ? sampleOf(tensor) : null;
}
