/** One picture of what the page shows, for a slide. */
import { signed } from './dom.js';

/**
 * @typedef {object} Shown
 * @property {string} title
 * @property {HTMLCanvasElement[]} pictures
 * @property {{name: string, value: number, chosen: boolean}[]} classes most active first
 * @property {number[]} pose
 * @property {number} limit of the colours of the pose
 * @property {{title: string, cells: {box: number[], share: number}[]}[]} layers share is of the strongest place
 */

const WIDTH = 1200;
const HEIGHT = 760;

/**
 * Draw it.
 *
 * @param {Shown} shown
 * @param {Element} styled its colours and fonts are used
 * @returns {HTMLCanvasElement}
 */
export function figureOf({ title, pictures, classes, pose, limit, layers }, styled) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 2 * WIDTH, height: 2 * HEIGHT });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const style = getComputedStyle(styled);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const font = style.fontFamily;
  context.scale(2, 2);
  context.fillStyle = colour('ground');
  context.fillRect(0, 0, WIDTH, HEIGHT);

  /** @param {string} text @param {number} x @param {number} y @param {number} size @param {string} name @param {CanvasTextAlign} align */
  function write(text, x, y, size, name = 'ink', align = 'left') {
    context.font = `${size}px ${font}`;
    context.textAlign = align;
    context.fillStyle = colour(name);
    context.fillText(text, x, y);
  }

  write(title, 40, 52, 24);
  pictures.forEach((picture, index) => {
    const side = 280 / pictures.length;
    context.imageSmoothingEnabled = picture.width > 100;
    context.drawImage(picture, 40 + index * side, 84, side - 4, (side - 4) * (picture.height / picture.width));
  });

  classes.slice(0, 10).forEach(({ name, value, chosen }, index) => {
    const y = 100 + index * 28;
    write(name, 470, y + 5, 15, chosen ? 'accent' : 'ink', 'right');
    context.fillStyle = colour(chosen ? 'accent-fill' : 'bar');
    context.fillRect(484, y - 8, 200 * value, 16);
    write(value.toFixed(3), 760, y + 5, 15, 'soft', 'right');
  });

  pose.forEach((value, index) => {
    const [x, y] = [830 + (index & 3) * 82, 84 + (index >> 2) * 70];
    context.fillStyle = colour('surface');
    context.fillRect(x, y, 80, 68);
    context.globalAlpha = 0.7 * Math.min(1, Math.abs(value) / (limit || 1));
    context.fillStyle = colour(value < 0 ? 'minus' : 'plus');
    context.fillRect(x, y, 80, 68);
    context.globalAlpha = 1;
    write(signed(value), x + 40, y + 40, 17, 'ink', 'center');
  });

  layers.forEach(({ title: name, cells }, index) => {
    const [x, y, side] = [40 + index * 386, 430, 270];
    write(name, x, y - 10, 15, 'soft');
    context.save();
    context.beginPath();
    context.rect(x, y, side, side);
    context.clip();
    context.imageSmoothingEnabled = pictures[0].width > 100;
    context.drawImage(pictures[0], x, y, side, side);
    context.fillStyle = colour('veil');
    context.fillRect(x, y, side, side);
    context.fillStyle = colour('heat');
    for (const { box, share } of cells) {
      context.globalAlpha = 0.85 * share;
      context.fillRect(x + box[0] * side, y + box[1] * side, box[2] * side, box[3] * side);
    }
    context.restore();
  });
  write('matcaps: matrix capsules with EM routing', 40, HEIGHT - 24, 13, 'soft');
  return canvas;
}
