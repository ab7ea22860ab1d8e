/** One picture of what the page shows, for a slide. */
import { signed } from './dom.js';

/**
 * @typedef {object} Shown
 * @property {string} title
 * @property {HTMLCanvasElement[]} pictures
 * @property {{name: string, value: number, chosen: boolean}[]} classes most active first
 * @property {number[]} pose
 * @property {number} limit of the colours of the pose
 * @property {string} label the class that pose and layers are about
 * @property {{title: string, heat: HTMLCanvasElement, box: number[]}[]} layers one pixel per place, and where they lie
 */

const WIDTH = 1200;
const HEIGHT = 850;
const LAYER = 340; // side of a layer's picture

/**
 * Draw it.
 *
 * @param {Shown} shown
 * @param {Element} styled its colours and fonts are used
 * @returns {HTMLCanvasElement}
 */
export function figureOf({ title, pictures, classes, pose, limit, label, layers }, styled) {
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

  write('Activations', 484, 84, 15, 'soft');
  classes.slice(0, 10).forEach(({ name, value, chosen }, index) => {
    const y = 112 + index * 27;
    write(name, 470, y + 5, 15, chosen ? 'accent' : 'ink', 'right');
    context.fillStyle = colour(chosen ? 'accent-fill' : 'bar');
    context.fillRect(484, y - 8, 200 * value, 16);
    write(value.toFixed(3), 760, y + 5, 15, 'soft', 'right');
  });

  write(`Pose of ${label}`, 832, 84, 15, 'soft');
  pose.forEach((value, index) => {
    const [x, y] = [832 + (index & 3) * 82, 98 + (index >> 2) * 66];
    context.fillStyle = colour('surface');
    context.fillRect(x, y, 80, 64);
    context.globalAlpha = 0.7 * Math.min(1, Math.abs(value) / (limit || 1));
    context.fillStyle = colour(value < 0 ? 'minus' : 'plus');
    context.fillRect(x, y, 80, 64);
    context.globalAlpha = 1;
    write(signed(value), x + 40, y + 38, 17, 'ink', 'center');
  });

  layers.forEach(({ title: name, heat, box: [left, top, width, height] }, index) => {
    const [x, y] = [40 + index * (LAYER + 50), 440];
    write(name, x, y - 12, 15, 'soft');
    context.imageSmoothingEnabled = pictures[0].width > 100;
    context.filter = 'grayscale(1) contrast(0.85)';
    context.drawImage(pictures[0], x, y, LAYER, LAYER);
    context.filter = 'none';
    context.fillStyle = colour('veil');
    context.fillRect(x, y, LAYER, LAYER);
    context.imageSmoothingEnabled = false;
    context.drawImage(heat, x + left * LAYER, y + top * LAYER, width * LAYER, height * LAYER);
  });
  write('matcaps: matrix capsules with EM routing', 40, HEIGHT - 24, 13, 'soft');
  return canvas;
}
