/**
 * The credit of a class: the share that each capsule below has in it.
 *
 * A parent's credit goes to its children in proportion to R · a, assignment times activation. So the credit of a class,
 * 1, is spread over ConvCaps2, from there over ConvCaps1, and from there over PrimaryCaps.
 *
 * @typedef {object} Window which children a layer's parents see
 * @property {number[]} childGrid rows and columns of the children
 * @property {number[]} parentGrid rows and columns of the parents
 * @property {number[]} kernel rows and columns of a window
 * @property {number[]} stride step between windows, in child sites
 * @property {number} childTypes
 * @property {number} parentTypes
 *
 * @typedef {{site: number, type: number, share: number}} Vote
 */

/**
 * The credit of ConvCaps2 for one class.
 *
 * @param {Float32Array} assignments [site, type, class]
 * @param {Float32Array} activations [site, type]
 * @param {number} classes
 * @param {number} chosen the class
 * @returns {Float64Array} [site, type]
 */
export function creditOfClass(assignments, activations, classes, chosen) {
  const credit = new Float64Array(activations.length);
  let total = 0;
  for (let child = 0; child < credit.length; child++) {
    credit[child] = assignments[child * classes + chosen] * activations[child];
    total += credit[child];
  }
  return total > 0 ? credit.map((share) => share / total) : credit;
}

/**
 * The credit of a layer's children.
 *
 * @param {Float64Array} credit of the parents, [site, type]
 * @param {Float32Array} assignments [parent site, position, child type, parent type]
 * @param {Float32Array} activations of the children, [site, type]
 * @param {Window} window
 * @returns {Float64Array} [site, type]
 */
export function creditOfChildren(credit, assignments, activations, window) {
  const { childTypes, parentTypes } = window;
  const children = new Float64Array(activations.length);
  const sites = window.parentGrid[0] * window.parentGrid[1];
  const positions = window.kernel[0] * window.kernel[1];
  const factor = new Float64Array(parentTypes);
  for (let parent = 0; parent < sites; parent++) {
    const total = new Float64Array(parentTypes);
    const seen = Array.from({ length: positions }, (_, position) => childSite(window, parent, position));
    for (let position = 0; position < positions; position++) {
      for (let type = 0; type < childTypes; type++) {
        const activation = activations[seen[position] * childTypes + type];
        const start = ((parent * positions + position) * childTypes + type) * parentTypes;
        for (let above = 0; above < parentTypes; above++) total[above] += assignments[start + above] * activation;
      }
    }
    for (let above = 0; above < parentTypes; above++) {
      factor[above] = total[above] > 0 ? credit[parent * parentTypes + above] / total[above] : 0;
    }
    for (let position = 0; position < positions; position++) {
      for (let type = 0; type < childTypes; type++) {
        const child = seen[position] * childTypes + type;
        const start = ((parent * positions + position) * childTypes + type) * parentTypes;
        let share = 0;
        for (let above = 0; above < parentTypes; above++) share += assignments[start + above] * factor[above];
        children[child] += share * activations[child];
      }
    }
  }
  return children;
}

/**
 * The child site at a position of a parent's window.
 *
 * @param {Window} window
 * @param {number} parent
 * @param {number} position
 */
export function childSite({ childGrid, parentGrid, kernel, stride }, parent, position) {
  const row = Math.floor(parent / parentGrid[1]) * stride[0] + Math.floor(position / kernel[1]);
  const column = (parent % parentGrid[1]) * stride[1] + (position % kernel[1]);
  return row * childGrid[1] + column;
}

/**
 * Where a child sends its votes: the parents with the largest assignments, largest first.
 *
 * @param {Float32Array} assignments [parent site, position, child type, parent type]
 * @param {Window} window
 * @param {number} site of the child
 * @param {number} type of the child
 * @param {number} most votes to return
 * @returns {Vote[]}
 */
export function votesOf(assignments, window, site, type, most) {
  const { childTypes, parentTypes } = window;
  const positions = window.kernel[0] * window.kernel[1];
  const sites = window.parentGrid[0] * window.parentGrid[1];
  /** @type {Vote[]} */
  const votes = [];
  for (let parent = 0; parent < sites; parent++) {
    for (let position = 0; position < positions; position++) {
      if (childSite(window, parent, position) !== site) continue;
      const start = ((parent * positions + position) * childTypes + type) * parentTypes;
      for (let above = 0; above < parentTypes; above++) {
        votes.push({ site: parent, type: above, share: assignments[start + above] });
      }
    }
  }
  return votes.sort((a, b) => b.share - a.share).slice(0, most);
}

/**
 * The sum over types at each site.
 *
 * @param {Float64Array | Float32Array} values [site, type]
 * @param {number} types
 * @returns {Float64Array}
 */
export function bySite(values, types) {
  const sums = new Float64Array(values.length / types);
  for (let i = 0; i < values.length; i++) sums[Math.floor(i / types)] += values[i];
  return sums;
}

/**
 * The indices of the largest values, largest first.
 *
 * @param {ArrayLike<number>} values
 * @param {number} most
 * @returns {number[]}
 */
export function largest(values, most) {
  return Array.from(values, (_, index) => index)
    .sort((a, b) => values[b] - values[a])
    .slice(0, most);
}
