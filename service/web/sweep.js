/**
 * What a sweep shows, in numbers and in a sentence.
 *
 * @typedef {object} Finding
 * @property {number} low lowest activation of the chosen class
 * @property {number} high
 * @property {number} steps at which the chosen class is the most active one
 * @property {number} moved mean distance of the poses from their mean, over the mean's length
 */

/**
 * @param {Float32Array[]} activations one per step
 * @param {Float32Array[]} poses of the chosen class, one per step
 * @param {number} chosen
 * @returns {Finding}
 */
export function findingOf(activations, poses, chosen) {
  const values = activations.map((row) => row[chosen]);
  const mean = Array.from({ length: 16 }, (_, element) => average(poses.map((pose) => pose[element])));
  const distances = poses.map((pose) => Math.hypot(...mean.map((value, element) => pose[element] - value)));
  return {
    low: Math.min(...values),
    high: Math.max(...values),
    steps: activations.filter((row) => row.every((value) => value <= row[chosen])).length,
    moved: average(distances) / Math.max(Math.hypot(...mean), 1e-9),
  };
}

/**
 * @param {Finding} finding
 * @param {string} label the class
 * @param {number} steps of the sweep
 */
export function sentenceOf({ low, high, steps: most, moved }, label, steps) {
  return (
    `${label} is the most active class at ${most} of ${steps} steps; its activation stays between ${low.toFixed(2)} and ` +
    `${high.toFixed(2)}. Its pose moves by ${(100 * moved).toFixed(0)} % of its length around its mean.`
  );
}

/** @param {number[]} values */
function average(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
