/**
 * Where pictures come from: files, examples, the pad, the camera, what is dropped or pasted.
 *
 * @typedef {import('./sources.js').Picture} Picture
 */
import { newPicture } from './asking.js';
import { setUpCamera } from './camera.js';
import { byId, make, on } from './dom.js';
import { show } from './grey.js';
import { attempt } from './notice.js';
import { setUpPad } from './pad.js';
import { droppedIn, EXAMPLES, pictureOf, readExample, readPicture } from './sources.js';
import { state } from './state.js';
import { NONE } from './transform.js';
import { TOYS, toyAt } from './turntable.js';

export function setUpSources() {
  const file = byId('file', HTMLInputElement);
  on(byId('choose', HTMLButtonElement), 'click', () => file.click());
  on(file, 'change', () => {
    const [chosen] = Array.from(file.files ?? []);
    if (chosen) void usePicture(chosen, chosen.name);
    file.value = '';
  });
  on(document, 'dragover', (event) => event.preventDefault());
  on(document, 'drop', (event) => {
    event.preventDefault();
    const { dataTransfer, target } = /** @type {DragEvent} */ (event);
    const dropped = droppedIn(dataTransfer);
    if (!dropped) return;
    if (target instanceof Node && byId('slot-right', HTMLElement).contains(target)) chooseSlot(1);
    void usePicture(dropped, dropped.name);
  });
  on(document, 'paste', (event) => {
    const pasted = droppedIn(/** @type {ClipboardEvent} */ (event).clipboardData);
    if (pasted) void usePicture(pasted, pasted.name);
  });
  setUpPad((grey) => setPicture(state.slot, pictureOf(grey, 'drawing.png')));
  setUpCamera((blob) => void usePicture(blob, 'camera.png'));

  const examples = EXAMPLES.map(([name, text]) => {
    const image = make('img', {
      src: new URL(`./${name}.png`, import.meta.url).href,
      alt: text,
      width: 52,
      height: 52,
    });
    const button = make('button', { type: 'button', 'data-example': name, title: text }, image);
    on(button, 'click', () => attempt(async () => setPicture(state.slot, await readExample(name))));
    return button;
  });
  const toys = TOYS.map(([name, text, row]) => {
    const canvas = make('canvas', { width: 64, height: 64, 'aria-hidden': 'true' });
    void attempt(async () => show(canvas, [(await toyAt(Number(row), 320))[0]]));
    const button = make(
      'button',
      { type: 'button', 'data-example': name, 'aria-label': String(text), title: text, class: 'toy' },
      canvas,
    );
    const use = async () => {
      await useToy(Number(row));
      Object.assign(state, { change: NONE, chosen: null });
      newPicture();
    };
    on(button, 'click', () => attempt(use));
    return button;
  });
  byId('examples', HTMLElement).append(...examples, ...toys);

  for (const radio of document.querySelectorAll('input[name=slot]')) {
    on(radio, 'change', () => chooseSlot(Number(/** @type {HTMLInputElement} */ (radio).value)));
  }
  on(byId('use-one', HTMLButtonElement), 'click', () => {
    const picture = state.slots[state.slot] ?? state.slots[0] ?? state.slots[1];
    state.slots = [picture, picture];
    state.toy = null;
    newPicture();
  });
}

/** @param {number} slot @param {Picture} picture */
function setPicture(slot, picture) {
  state.slots[slot] = picture;
  state.toy = null;
  state.change = NONE;
  state.chosen = null;
  newPicture();
}

/** @param {Blob} blob @param {string} name */
async function usePicture(blob, name) {
  setPicture(state.slot, await readPicture(blob, name));
}

/** @param {number} toy */
export async function useToy(toy) {
  state.toy = toy;
  const [left, right] = await toyAt(toy, state.azimuth);
  state.slots = [pictureOf(left, 'toy-left.png'), pictureOf(right, 'toy-right.png')];
}

/** @param {number} slot */
function chooseSlot(slot) {
  state.slot = slot;
  for (const radio of document.querySelectorAll('input[name=slot]')) {
    const input = /** @type {HTMLInputElement} */ (radio);
    input.checked = Number(input.value) === slot;
  }
}
