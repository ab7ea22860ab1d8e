/**
 * The capsules of a place with their votes, and the five strongest capsules of a layer.
 *
 * @typedef {import('./api.js').Model} Model
 * @typedef {import('./parts.js').Part} Part
 */
import { largest } from './credit.js';
import { byId, make, percent } from './dom.js';
import { votesFrom } from './parts.js';
import { reach, smallPose } from './pose.js';

const MOST_ROWS = 8;

/**
 * Show the capsules at a place.
 *
 * @param {Model} model
 * @param {Part[]} parts
 * @param {number} index of the layer
 * @param {number} site
 */
export function showPlace(model, parts, index, site) {
  const part = parts[index];
  const { credit, activations, layer } = part;
  const start = site * layer.types;
  const rank = (credit ?? activations).subarray(start, start + layer.types);
  const rows = largest(rank, MOST_ROWS).map((type) => {
    const share = credit ? percent(credit[start + type]) : '–';
    return make(
      'tr',
      {},
      make('th', { scope: 'row' }, String(type + 1)),
      make('td', {}, meter(activations[start + type])),
      make('td', { class: 'number' }, share),
      make('td', {}, ...votes(model, parts, index, site, type)),
    );
  });
  const head = ['Type', 'Active', 'Credit', parts[index + 1] ? 'Votes for (row, column)' : 'Votes for'].map((text) =>
    make('th', { scope: 'col' }, text),
  );
  const hidden = layer.types - rows.length;
  const [row, column] = placeOf(part, site);
  byId('place', HTMLElement).replaceChildren(
    make('h3', { id: 'place-heading' }, `${part.title}, row ${row}, column ${column}`),
    make('table', { class: 'list' }, make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...rows)),
    make('p', { class: 'note' }, hidden > 0 ? `and ${hidden} more types with less` : ''),
  );
}

/**
 * Show the capsules of a layer with the most credit, or without credit the most active ones.
 *
 * @param {Model} model
 * @param {Part[]} parts
 * @param {number} index of the layer
 */
export function showStrongest(model, parts, index) {
  const part = parts[index];
  const { credit, activations, layer } = part;
  const rows = largest(credit ?? activations, 5).map((capsule) => {
    const [site, type] = [Math.floor(capsule / layer.types), capsule % layer.types];
    const pose = part.poses.subarray(16 * capsule, 16 * capsule + 16);
    const share = credit ? `${percent(credit[capsule])} of the credit` : 'no credit known';
    return make(
      'li',
      { 'data-site': site, 'data-type': type, 'data-credit': credit ? credit[capsule] : '' },
      smallPose(pose, reach(pose)),
      make(
        'div',
        {},
        make('b', {}, share),
        make(
          'span',
          {},
          `place (${placeOf(part, site).join(', ')}), type ${type + 1}, active ${activations[capsule].toFixed(2)}`,
        ),
        make('span', {}, 'votes for ', ...votes(model, parts, index, site, type)),
      ),
    );
  });
  byId('strongest', HTMLElement).replaceChildren(...rows);
}

/**
 * The places of the layer above that get the most votes from a place.
 *
 * @param {Part} part
 * @param {number} site
 * @returns {number[]}
 */
export function targetsOf(part, site) {
  if (!part.window) return [];
  const sums = new Map();
  for (let type = 0; type < part.layer.types; type++) {
    const weight = (part.credit ?? part.activations)[site * part.layer.types + type];
    for (const vote of votesFrom(part, site, type, Number.POSITIVE_INFINITY)) {
      sums.set(vote.site, (sums.get(vote.site) ?? 0) + weight * vote.share);
    }
  }
  const most = Math.max(...sums.values());
  return Array.from(sums.keys()).filter((target) => sums.get(target) > most / 2);
}

/** @param {Part} part @param {number} site @returns {[number, number]} row and column, from 1 */
function placeOf({ layer }, site) {
  return [Math.floor(site / layer.grid[1]) + 1, (site % layer.grid[1]) + 1];
}

/** @param {Model} model @param {Part[]} parts @param {number} index @param {number} site @param {number} type */
function votes(model, parts, index, site, type) {
  const above = parts[index + 1];
  const found = votesFrom(parts[index], site, type, 2).filter(({ share }) => share >= 0.005);
  if (!found.length) return [parts[index].assignments ? 'no parent' : 'not in this file'];
  return found.map((vote) => {
    const target = above ? `(${placeOf(above, vote.site).join(', ')}) type ${vote.type + 1}` : model.classes[vote.type];
    return make('span', { class: 'vote' }, `${target}: ${percent(vote.share)}`);
  });
}

/** @param {number} value */
function meter(value) {
  const bar = make('span', { class: 'meter' }, make('i'), value.toFixed(2));
  bar.style.setProperty('--share', String(value));
  return bar;
}
