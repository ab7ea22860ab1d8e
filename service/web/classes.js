/** The class capsules as bars, the most active one first. */

import { largest } from './credit.js';
import { byId, make, on } from './dom.js';

/**
 * @param {string[]} names
 * @param {Float32Array} activations
 * @param {number} chosen
 * @param {(index: number) => void} choose
 */
export function showClasses(names, activations, chosen, choose) {
  const list = byId('classes', HTMLElement);
  const focused = list.contains(document.activeElement) ? document.activeElement?.getAttribute('data-class') : null;
  const known = new Map(Array.from(list.querySelectorAll('button'), (row) => [row.getAttribute('data-class'), row]));
  const rows = largest(activations, names.length).map((index, rank) => {
    const name = names[index];
    let row = known.get(name);
    if (!row || row.getAttribute('data-index') !== String(index)) {
      row = make('button', { type: 'button', 'data-class': name, 'data-index': index, class: 'bar-row' });
      row.append(make('span', { class: 'name' }, name), make('i'), make('output'));
      on(row, 'click', () => choose(index));
    }
    const value = activations[index];
    row.setAttribute('aria-pressed', String(index === chosen));
    row.setAttribute('data-value', String(value));
    row.classList.toggle('top', rank === 0);
    /** @type {HTMLElement} */ (row.children[1]).style.setProperty('--share', String(value));
    row.children[2].textContent = value.toFixed(3);
    return row;
  });
  const before = Array.from(known.values());
  // Moves those that are there. Without a new order there is nothing to lay out.
  if (before.length !== rows.length || rows.some((row, rank) => row !== before[rank])) list.append(...rows);
  for (const [name, row] of known) if (!names.includes(name ?? '')) row.remove();
  if (focused !== null) rows.find((row) => row.getAttribute('data-class') === focused)?.focus();
}
