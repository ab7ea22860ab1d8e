/** Lines in a plot: the activations, and the 16 elements of a pose. */
import { draw, make, signed } from './dom.js';

/**
 * @typedef {object} Axis
 * @property {number[]} values of the change, along the horizontal axis
 * @property {number} current where the sliders stand
 * @property {string} label
 * @property {(value: number) => string} text
 */

/**
 * All activations, the chosen class in the accent colour.
 *
 * @param {Axis} axis
 * @param {string[]} names
 * @param {Float32Array[]} activations one per value
 * @param {number} chosen
 * @param {number} width pixels of the plot: text keeps its size on every screen
 * @returns {SVGElement}
 */
export function activationPlot(axis, names, activations, chosen, width) {
  const [left, right, top, bottom] = [34, 86, 10, 34];
  const height = Math.round(Math.max(210, Math.min(300, 0.54 * width)));
  const x = scaleOf(axis, left, width - right);
  /** @param {number} value */
  const y = (value) => height - bottom - value * (height - bottom - top);
  const parts = [0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
    draw('path', { class: 'rule', d: `M${left},${y(value)}H${width - right}` }),
    draw('text', { x: left - 6, y: y(value) + 4, class: 'tick end' }, String(value)),
  ]);
  const [first, last] = [axis.values[0], axis.values[axis.values.length - 1]];
  for (const value of [first, (first + last) / 2, last]) {
    parts.push(draw('text', { x: x(value), y: height - bottom + 16, class: 'tick middle' }, axis.text(value)));
  }
  parts.push(draw('text', { x: (left + width - right) / 2, y: height - 3, class: 'tick middle' }, axis.label));
  parts.push(marker(axis, left, width - right, top, height - bottom));
  const order = names.map((_, index) => index).sort((a, b) => Number(a === chosen) - Number(b === chosen));
  for (const index of order) {
    const line = path(axis.values.map((value, step) => [x(value), y(activations[step][index])]));
    parts.push(draw('path', { class: index === chosen ? 'line chosen' : 'line', d: line }));
  }
  for (const { index, at } of labelled(activations[activations.length - 1], chosen, y)) {
    const kind = index === chosen ? 'label chosen' : 'label';
    parts.push(draw('text', { x: width - right + 6, y: at + 4, class: kind }, names[index]));
  }
  const values = activations.map((row) => row[chosen]);
  const text = `Activation of ${names[chosen]} over ${axis.label}: ${range(values)}.`;
  return draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': text }, ...parts);
}

/**
 * Sixteen small plots with one scale, in the places of the matrix.
 *
 * @param {Axis} axis
 * @param {Float32Array[]} poses one per value, of the chosen class
 * @param {string} label the class
 * @returns {HTMLElement}
 */
export function posePlots(axis, poses, label) {
  const [width, height] = [100, 62];
  const all = poses.flatMap((pose) => Array.from(pose));
  const low = Math.min(0, ...all);
  const high = Math.max(0, ...all);
  const x = scaleOf(axis, 3, width - 3);
  /** @param {number} value */
  const y = (value) => 4 + ((high - value) / (high - low || 1)) * (height - 8);
  const plots = Array.from({ length: 16 }, (_, element) => {
    const values = poses.map((pose) => pose[element]);
    const name = `row ${(element >> 2) + 1}, column ${(element & 3) + 1}`;
    const plot = draw(
      'svg',
      { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Element ${name}: ${range(values)}.` },
      draw('path', { class: 'rule', d: `M0,${y(0)}H${width}` }),
      marker(axis, 3, width - 3, 0, height),
      draw('path', { class: 'line chosen', d: path(values.map((value, step) => [x(axis.values[step]), y(value)])) }),
    );
    plot.append(draw('title', {}, `${name}: ${range(values)}`));
    return plot;
  });
  const grid = make('div', { class: 'pose-plots', role: 'group', 'aria-label': `Pose of ${label} over ${axis.label}` });
  grid.append(...plots);
  const scale = make(
    'p',
    { class: 'note' },
    `All sixteen share one scale, from ${signed(low)} to ${signed(high)}; the rule is 0.`,
  );
  return make('div', {}, grid, scale);
}

/** @param {Axis} axis @param {number} from @param {number} to */
function scaleOf({ values }, from, to) {
  const [first, last] = [values[0], values[values.length - 1]];
  return (/** @type {number} */ value) => from + ((value - first) / (last - first)) * (to - from);
}

/** @param {Axis} axis @param {number} from @param {number} to @param {number} top @param {number} bottom */
function marker(axis, from, to, top, bottom) {
  const line = draw('path', { class: 'marker', d: `M${from},${top}V${bottom}`, 'data-width': to - from });
  move(line, axis.values, axis.current);
  return line;
}

/**
 * Move the markers of all plots, which costs far less than to draw the plots again.
 *
 * @param {Element} plots
 * @param {number[]} values of the change
 * @param {number} current
 */
export function moveMarkers(plots, values, current) {
  for (const line of plots.querySelectorAll('.marker')) move(line, values, current);
}

/** @param {Element} line @param {number[]} values @param {number} current */
function move(line, values, current) {
  const [first, last] = [values[0], values[values.length - 1]];
  const share = (current - first) / (last - first);
  line.setAttribute('transform', `translate(${(share * Number(line.getAttribute('data-width'))).toFixed(1)})`);
}

/** @param {number[][]} points */
function path(points) {
  return points.map(([x, y], index) => `${index ? 'L' : 'M'}${x.toFixed(1)},${y.toFixed(1)}`).join('');
}

/** @param {number[]} values */
function range(values) {
  return `between ${signed(Math.min(...values))} and ${signed(Math.max(...values))}`;
}

/**
 * Labels at the end of the lines, moved apart. The chosen one always has its place.
 *
 * @param {Float32Array} ends
 * @param {number} chosen
 * @param {(value: number) => number} y
 */
function labelled(ends, chosen, y) {
  const found = [{ index: chosen, at: y(ends[chosen]) }];
  for (const index of Array.from(ends.keys()).sort((a, b) => ends[b] - ends[a])) {
    const at = y(ends[index]);
    if (index !== chosen && found.every((other) => Math.abs(other.at - at) > 14)) found.push({ index, at });
  }
  return found;
}
