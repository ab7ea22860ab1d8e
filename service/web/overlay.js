/**
 * The layers over the picture: one cell per place, the more credit the stronger its colour.
 *
 * @typedef {import('./api.js').Layer} Layer
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./parts.js').Part} Part
 */
import { bySite } from './credit.js';
import { byId, make, on, percent } from './dom.js';
import { TITLES } from './parts.js';

const HEAT = 0.76; // opacity of the strongest place

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * Make the overlays of a model.
 *
 * @param {Model} model
 * @param {(layer: number, site: number) => void} choose is called when a place is pointed at or gets the focus
 */
export function buildOverlays(model, choose) {
  const layers = Object.keys(TITLES).map(
    (name) => /** @type {Layer} */ (model.layers.find((one) => one.name === name)),
  );
  const figures = layers.map((layer, index) => {
    const [rows, columns] = layer.grid;
    const grid = make('div', { class: 'sites', role: 'grid', 'aria-label': `Places of ${TITLES[layer.name]}` });
    for (let row = 0; row < rows; row++) {
      const line = make('div', { role: 'row' });
      for (let column = 0; column < columns; column++) {
        const cell = make('div', { role: 'gridcell', tabindex: row || column ? -1 : 0 });
        setBox(cell, boxOf(model, layer, row, column, false));
        line.append(cell);
      }
      grid.append(line);
    }
    const cells = cellsOf(grid);
    /** @param {Event} event */
    const chosen = (event) => {
      const site = cells.indexOf(/** @type {HTMLElement} */ (event.target));
      if (site >= 0) choose(index, site);
    };
    on(grid, 'pointerover', chosen);
    on(grid, 'focusin', chosen);
    on(grid, 'keydown', (event) => move(/** @type {KeyboardEvent} */ (event), cells, columns));
    // One pixel per place: cells of their own would leave seams between them.
    const heat = make('canvas', { class: 'heat', 'aria-hidden': 'true', width: columns, height: rows });
    setBox(heat, wholeBox(model, layer));
    const frame = make(
      'div',
      { class: 'frame' },
      make('canvas', { class: 'under', 'aria-hidden': 'true' }),
      heat,
      grid,
      make('i', { class: 'field' }),
    );
    frame.style.aspectRatio = `${model.image.width} / ${model.image.height}`;
    const size = `${rows}×${columns} places, ${layer.types} types`;
    const caption = make(
      'figcaption',
      {},
      make('b', {}, TITLES[layer.name]),
      ` ${size}`,
      make('span', { class: 'strongest-place' }),
    );
    return make('figure', { class: 'overlay', 'data-layer': layer.name }, frame, caption);
  });
  byId('overlays', HTMLElement).replaceChildren(...figures);
}

/**
 * Colour the cells.
 *
 * @param {Part[]} parts
 * @param {string} label the class
 */
export function paintOverlays(parts, label) {
  figures().forEach((figure, index) => {
    const { credit, layer } = parts[index];
    figure.classList.toggle('without', credit === null);
    const shares = credit ? bySite(credit, layer.types) : null;
    const most = shares ? Math.max(...shares, 1e-9) : 1;
    paintHeat(/** @type {HTMLCanvasElement} */ (figure.querySelector('.heat')), shares, most);
    cellsOf(figure).forEach((cell, site) => {
      const share = shares ? shares[site] : 0;
      if (shares) cell.setAttribute('data-credit', String(share));
      else cell.removeAttribute('data-credit');
      const where = `row ${Math.floor(site / layer.grid[1]) + 1}, column ${(site % layer.grid[1]) + 1}`;
      cell.setAttribute('aria-label', shares ? `${where}: ${percent(share)} of the credit of ${label}` : where);
    });
    const note = figure.querySelector('.strongest-place');
    if (note) note.textContent = shares ? `strongest place ${percent(most)}` : 'no assignments in this file';
  });
}

/** @param {HTMLCanvasElement} heat @param {Float64Array | null} shares @param {number} most */
function paintHeat(heat, shares, most) {
  const context = /** @type {CanvasRenderingContext2D} */ (heat.getContext('2d'));
  context.clearRect(0, 0, heat.width, heat.height);
  context.fillStyle = getComputedStyle(heat).color;
  shares?.forEach((share, site) => {
    context.globalAlpha = (HEAT * share) / most;
    context.fillRect(site % heat.width, Math.floor(site / heat.width), 1, 1);
  });
}

/**
 * The colours of a layer's places, one pixel each, and where they lie in the picture.
 *
 * @param {Model} model
 * @param {number} index of the layer
 * @returns {{heat: HTMLCanvasElement, box: number[]}}
 */
export function heatOf(model, index) {
  const figure = figures()[index];
  const layer = /** @type {Layer} */ (model.layers.find(({ name }) => name === figure.getAttribute('data-layer')));
  const heat = /** @type {HTMLCanvasElement} */ (figure.querySelector('.heat'));
  return { heat, box: wholeBox(model, layer) };
}

/**
 * Show the picture under the cells.
 *
 * @param {HTMLCanvasElement} picture
 */
export function copyPicture(picture) {
  for (const figure of figures()) {
    const canvas = /** @type {HTMLCanvasElement} */ (figure.querySelector('.under'));
    const { width, height } = picture;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext('2d')?.drawImage(picture, 0, 0);
  }
}

/**
 * Outline a place, the part of the picture that it sees, and the places above that it votes for.
 *
 * @param {Model} model
 * @param {Layer} layer
 * @param {number} index of the layer
 * @param {number} site
 * @param {number[]} targets sites of the layer above
 */
export function outline(model, layer, index, site, targets) {
  figures().forEach((figure, number) => {
    const cells = cellsOf(figure);
    cells.forEach((cell, place) => {
      cell.classList.toggle('chosen', number === index && place === site);
      cell.classList.toggle('target', number === index + 1 && targets.includes(place));
      if (number === index) cell.tabIndex = place === site ? 0 : -1;
    });
    const field = /** @type {HTMLElement} */ (figure.querySelector('.field'));
    field.hidden = number !== index;
    if (number === index) {
      setBox(field, boxOf(model, layer, Math.floor(site / layer.grid[1]), site % layer.grid[1], true));
    }
  });
}

/**
 * Where a place lies in the picture, as shares of its size.
 *
 * @param {Model} model
 * @param {Layer} layer
 * @param {number} row
 * @param {number} column
 * @param {boolean} whole all that the place sees, or the square around its centre that no other place covers
 * @returns {[number, number, number, number]} left, top, width, height
 */
export function boxOf({ image }, { receptive_field: field, grid }, row, column, whole) {
  if (!field) return [column / grid[1], row / grid[0], 1 / grid[1], 1 / grid[0]];
  const extent = whole ? field.size : field.stride;
  const top = field.offset[0] + row * field.stride[0] + (field.size[0] - extent[0]) / 2;
  const left = field.offset[1] + column * field.stride[1] + (field.size[1] - extent[1]) / 2;
  return [left / image.width, top / image.height, extent[1] / image.width, extent[0] / image.height];
}

/** @param {Model} model @param {Layer} layer @returns {number[]} the box of all places together */
function wholeBox(model, layer) {
  const [left, top, width, height] = boxOf(model, layer, 0, 0, false);
  return [left, top, width * layer.grid[1], height * layer.grid[0]];
}

/** @param {HTMLElement} element @param {number[]} box */
function setBox(element, box) {
  ['left', 'top', 'width', 'height'].forEach((name, index) => {
    element.style.setProperty(name, `${(100 * box[index]).toFixed(2)}%`);
  });
}

/** @param {KeyboardEvent} event @param {HTMLElement[]} cells @param {number} columns */
function move(event, cells, columns) {
  const step = ARROWS[event.key];
  const site = cells.indexOf(/** @type {HTMLElement} */ (event.target));
  if (!step || site < 0) return;
  event.preventDefault();
  const row = Math.floor(site / columns) + step[0];
  const column = (site % columns) + step[1];
  if (column >= 0 && column < columns) cells[row * columns + column]?.focus();
}

/** @returns {HTMLElement[]} */
function figures() {
  return Array.from(byId('overlays', HTMLElement).querySelectorAll('figure'));
}

/** @param {Element} element @returns {HTMLElement[]} */
function cellsOf(element) {
  return Array.from(element.querySelectorAll('[role=gridcell]'));
}
