/**
 * All capsules of an answer, and their credit for one class.
 *
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./api.js').Layer} Layer
 * @typedef {import('./credit.js').Vote} Vote
 * @typedef {import('./credit.js').Window} Window
 * @typedef {import('./protocol.js').Tensor} Tensor
 *
 * @typedef {object} Part one layer
 * @property {Layer} layer
 * @property {string} title
 * @property {Float32Array} activations [site, type]
 * @property {Float32Array} poses [site, type, 16]
 * @property {Float64Array | null} credit [site, type]; null where the model's file has no assignments
 * @property {Window | null} window which of its capsules the layer above sees
 * @property {Float32Array | null} assignments to the layer above
 */
import { creditOfChildren, creditOfClass, votesOf } from './credit.js';
import { sampleOf } from './protocol.js';

export const LAYERS = ['primary_caps', 'conv_caps_1', 'conv_caps_2'];

/** @type {Record<string, string>} */
export const TITLES = { primary_caps: 'PrimaryCaps', conv_caps_1: 'ConvCaps1', conv_caps_2: 'ConvCaps2' };

/**
 * The outputs that parts need, of those that a model has.
 *
 * @param {Set<string>} known
 */
export function outputsOfParts(known) {
  const wanted = LAYERS.flatMap((name) => [`${name}_activations`, `${name}_poses`, `${name}_assignments`]);
  return [...wanted, 'class_assignments'].filter((name) => known.has(name));
}

/**
 * The layers from PrimaryCaps to ConvCaps2.
 *
 * @param {Model} model
 * @param {Map<string, Tensor>} tensors
 * @param {number} chosen the class
 * @returns {Part[]}
 */
export function partsOf(model, tensors, chosen) {
  /** @param {string} name */
  const sample = (name) => {
    const tensor = tensors.get(name);
    return tensor ? sampleOf(tensor) : null;
  };
  const layers = LAYERS.map((name) => /** @type {Layer} */ (model.layers.find((layer) => layer.name === name)));
  /** @type {Part[]} */
  const parts = layers.map((layer, index) => ({
    layer,
    title: TITLES[layer.name],
    activations: sample(`${layer.name}_activations`) ?? new Float32Array(),
    poses: sample(`${layer.name}_poses`) ?? new Float32Array(),
    credit: null,
    window: index < 2 ? windowOf(layer, layers[index + 1]) : null,
    assignments: sample(index < 2 ? `${layers[index + 1].name}_assignments` : 'class_assignments'),
  }));
  const last = parts[2];
  if (last.assignments) {
    last.credit = creditOfClass(last.assignments, last.activations, model.classes.length, chosen);
  }
  for (const index of [1, 0]) {
    const { assignments, activations, window } = parts[index];
    const above = parts[index + 1].credit;
    if (above && assignments && window) {
      parts[index].credit = creditOfChildren(above, assignments, activations, window);
    }
  }
  return parts;
}

/**
 * Where a capsule sends its votes, largest share first. Of ConvCaps2, the type of a vote is the class.
 *
 * @param {Part} part
 * @param {number} site
 * @param {number} type
 * @param {number} most
 * @returns {Vote[]}
 */
export function votesFrom({ assignments, window, layer }, site, type, most) {
  if (!assignments) return [];
  if (window) return votesOf(assignments, window, site, type, most);
  const classes = assignments.length / (layer.grid[0] * layer.grid[1] * layer.types);
  const start = (site * layer.types + type) * classes;
  return Array.from({ length: classes }, (_, index) => ({ site: 0, type: index, share: assignments[start + index] }))
    .sort((a, b) => b.share - a.share)
    .slice(0, most);
}

/**
 * @param {Layer} child
 * @param {Layer} parent its metadata name the kernel and the stride from format 2 on
 * @returns {Window | null}
 */
function windowOf(child, parent) {
  const { kernel, stride } = parent;
  if (!kernel || !stride) return null;
  return {
    childGrid: child.grid,
    parentGrid: parent.grid,
    kernel,
    stride,
    childTypes: child.types,
    parentTypes: parent.types,
  };
}
