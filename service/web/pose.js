/** A pose as a heat map of its numbers, and as an affine frame. */
import { byId, draw, make, signed } from './dom.js';

/**
 * The largest absolute value.
 *
 * @param {ArrayLike<number>} values
 */
export function reach(values) {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}

/**
 * Colour an element on the diverging scale.
 *
 * @param {HTMLElement} element
 * @param {number} value
 * @param {number} limit the value that gets the full colour
 */
export function tint(element, value, limit) {
  element.classList.toggle('negative', value < 0);
  element.style.setProperty('--tint', `${(100 * Math.min(1, Math.abs(value) / (limit || 1))).toFixed(1)}%`);
}

/**
 * The heat map of the chosen class.
 *
 * @param {Float32Array} pose 16 numbers, row by row
 * @param {number} limit the value that gets the full colour
 * @param {string} label the class
 */
export function showPose(pose, limit, label) {
  const table = byId('pose', HTMLTableElement);
  const body = table.tBodies[0];
  while (body.rows.length < 4) body.append(make('tr', {}, ...Array.from({ length: 4 }, () => make('td'))));
  pose.forEach((value, index) => {
    const cell = body.rows[index >> 2].cells[index & 3];
    cell.textContent = signed(value);
    cell.setAttribute('data-value', String(value));
    tint(cell, value, limit);
  });
  if (table.caption) table.caption.textContent = `Pose matrix of ${label}`;
  byId('scale-low', HTMLElement).textContent = signed(-limit);
  byId('scale-high', HTMLElement).textContent = `+${limit.toFixed(2)}`;
  showFrame(pose, label);
}

/**
 * A small heat map without numbers.
 *
 * @param {ArrayLike<number>} pose
 * @param {number} limit
 * @returns {HTMLElement}
 */
export function smallPose(pose, limit) {
  const numbers = Array.from(pose);
  const rows = [0, 4, 8, 12].map((start) =>
    numbers
      .slice(start, start + 4)
      .map((value) => signed(value))
      .join(' '),
  );
  const map = make('span', { class: 'small-pose', role: 'img', 'aria-label': `pose ${rows.join('; ')}` });
  map.title = rows.join('\n');
  for (const value of numbers) {
    const cell = make('i');
    tint(cell, value, limit);
    map.append(cell);
  }
  return map;
}

/**
 * The upper left 2×2 as two arrows from the right-hand column, in the square of the picture. Rows go down and columns go
 * right: routing adds a place's row and column, as shares of the picture, to the right-hand column's first two numbers.
 *
 * @param {ArrayLike<number>} pose
 * @param {string} label
 */
function showFrame(pose, label) {
  const frame = byId('frame', SVGSVGElement);
  const [a, b, , row, c, d, , column] = Array.from(pose);
  /** @param {number} down @param {number} right @returns {[number, number]} */
  const at = (down, right) => [column + right, row + down];
  const corners = [at(0, 0), at(a, c), at(b, d), at(a + b, c + d)];
  const xs = [0, 1, ...corners.map(([x]) => x)];
  const ys = [0, 1, ...corners.map(([, y]) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const side = Math.max(Math.max(...xs) - left, Math.max(...ys) - top);
  frame.setAttribute('viewBox', [left - 0.06 * side, top - 0.06 * side, 1.12 * side, 1.12 * side].join(' '));
  frame.replaceChildren(
    draw('rect', { class: 'picture-edge', width: 1, height: 1 }),
    draw('text', { class: 'picture-label', x: 0.03, y: 0.97, 'font-size': 0.065 * side }, 'the picture'),
    draw('polygon', { class: 'area', points: [0, 1, 3, 2].map((index) => corners[index].join()).join(' ') }),
    ...arrow('first', corners[0], corners[1], side),
    ...arrow('second', corners[0], corners[2], side),
    draw('circle', { class: 'origin', cx: column, cy: row, r: 0.018 * side }),
  );
  frame.setAttribute(
    'aria-label',
    `Illustration: the pose of ${label} as a frame, shifted down by ${signed(row)} and right by ${signed(column)}. ` +
      `First arrow ${length(a, c)} long, second arrow ${length(b, d)} long, ${angle(a, c, b, d)} degrees between them.`,
  );
}

/** @param {number} x @param {number} y */
function length(x, y) {
  return Math.hypot(x, y).toFixed(2);
}

/** @param {number} a @param {number} c @param {number} b @param {number} d */
function angle(a, c, b, d) {
  const cosine = (a * b + c * d) / Math.max(1e-12, Math.hypot(a, c) * Math.hypot(b, d));
  return ((Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI).toFixed(0);
}

/**
 * @param {string} kind
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {number} side of the drawing
 */
function arrow(kind, [fromX, fromY], [toX, toY], side) {
  const heading = ((Math.atan2(toY - fromY, toX - fromX) * 180) / Math.PI).toFixed(1);
  const size = Math.min(0.07 * side, 0.5 * Math.hypot(toX - fromX, toY - fromY));
  return [
    draw('path', { class: `arrow ${kind}`, d: `M${fromX},${fromY}L${toX},${toY}` }),
    draw('path', {
      class: `head ${kind}`,
      d: 'M.15,0L-1,.42V-.42Z',
      transform: `translate(${toX},${toY}) rotate(${heading}) scale(${size})`,
    }),
  ];
}
