/**
 * Shows an answer: classes, pose, pixels and parts.
 *
 * @typedef {import('./api.js').Answer} Answer
 */
import { showPlace, showStrongest, targetsOf } from './capsules.js';
import { showClasses } from './classes.js';
import { bySite, largest } from './credit.js';
import { byId, make, on } from './dom.js';
import { show } from './grey.js';
import { copyPicture, outline, paintOverlays } from './overlay.js';
import { LAYERS, partsOf, TITLES } from './parts.js';
import { reach, showPose } from './pose.js';
import { sampleOf } from './protocol.js';
import { SLIDERS } from './sliders.js';
import { changedOf, used } from './slots.js';
import { chosenClass, chosenLabel, state, tensorOf } from './state.js';
import { showSweep } from './sweeping.js';

const LEAST_ACTIVE = 0.1; // below it a class is not there
const MOST_PIXELATED = 100; // pixels: smaller pictures are shown with sharp pixels

export const canvases = [byId('picture', HTMLCanvasElement), byId('picture-right', HTMLCanvasElement)];

export function showAll() {
  showClassesAndPose();
  const { model, tensors, place } = state;
  if (!model) return;
  const parts = partsOf(model, tensors, chosenClass());
  state.parts = parts;
  copyPicture(canvases[0]); // not while a slider moves: below the credit of a picture lies that picture
  paintOverlays(parts, chosenLabel());
  showStrongest(model, parts, strongestLayer());
  showPlaceAt(place ?? strongestPlace(parts));
  showSweep();
}

export function showClassesAndPose() {
  const { model } = state;
  const activations = tensorOf('activations');
  const poses = tensorOf('poses');
  if (!model || !activations || !poses) return;
  const chosen = chosenClass();
  showClasses(model.classes, activations, chosen, (index) => {
    state.chosen = index;
    showAll();
  });
  for (const element of document.querySelectorAll('.chosen:is(b)')) element.textContent = model.classes[chosen];
  showPose(poses.subarray(16 * chosen, 16 * chosen + 16), reach(poses), model.classes[chosen]);
  showPixels();
  byId('classes-note', HTMLElement).hidden = Math.max(...activations) >= LEAST_ACTIVE;
  const text = `${model.classes[chosen]}, active ${activations[chosen].toFixed(2)}`;
  canvases[0].setAttribute('aria-label', `The picture. The network answers ${text}.`);
}

export function showPictures() {
  const { model, slots, change } = state;
  const pictures = used(slots);
  if (!model || !pictures.length) return;
  pictures.forEach((picture, index) => {
    const canvas = canvases[index];
    const planes = changedOf(picture, change);
    if (planes) show(canvas, planes);
    else Object.assign(canvas, { width: 1, height: 1 });
    canvas.classList.toggle('pixelated', canvas.width <= MOST_PIXELATED);
  });
  canvases[1].setAttribute('aria-label', 'The picture of the right eye');
  const isShown = pictures.every((picture) => picture.grey);
  byId('picture-caption', HTMLElement).textContent = isShown
    ? model.image.channels === 2
      ? 'Left eye'
      : pictures[0].name
    : `${pictures[0].name}: this browser cannot show it, so it cannot be changed here`;
  for (const { id, of } of SLIDERS) {
    const hidesNothing = (of === 'hideX' || of === 'hideY') && !change.hide;
    byId(id, HTMLInputElement).disabled = !isShown || hidesNothing;
  }
}

function showPixels() {
  const pixels = state.tensors.get('pixels');
  const views = [byId('pixels', HTMLCanvasElement), byId('pixels-right', HTMLCanvasElement)];
  const caption = byId('pixels-caption', HTMLElement);
  byId('seen', HTMLElement).classList.toggle('missing-pixels', !pixels);
  if (!pixels) {
    caption.textContent = 'What the network saw: this model’s file (format 1) does not tell';
    return;
  }
  const [, channels, height, width] = pixels.shape;
  const values = sampleOf(pixels);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const planes = Array.from({ length: channels }, (_, channel) => ({
    width,
    height,
    levels: Uint8Array.from(
      values.subarray(channel * height * width, (channel + 1) * height * width),
      (value) => (255 * (value - low)) / (high - low || 1),
    ),
  }));
  views.forEach((view, eye) => {
    view.hidden = eye > 0 && channels !== 2;
    if (view.hidden) return;
    show(view, channels === 3 ? planes : [planes[eye]]);
    view.setAttribute('aria-label', `What the network saw: ${width} by ${height} pixels, with mean 0 and variance 1`);
  });
  const isMiddle = state.model && width < state.model.image.width;
  caption.textContent = `What the network saw: ${isMiddle ? 'the middle ' : ''}${width}×${height}, with mean 0 and variance 1`;
}

/** @param {Answer} answer */
export function showLatency({ took, network }) {
  const inside = network === undefined ? '' : ` (network: ${Math.round(network)} ms)`;
  const activations = tensorOf('activations');
  const first = activations ? largest(activations, 1)[0] : 0;
  const label = `${state.model?.classes[first]}, active ${activations?.[first].toFixed(2)}`;
  byId('status', HTMLElement).textContent = `${label} · answered in ${Math.round(took)} ms${inside}`;
}

/** @param {number} layer @param {number} site */
export function choosePlace(layer, site) {
  state.place = { layer, site };
  showPlaceAt(state.place);
}

/** @param {import('./state.js').Place} place */
function showPlaceAt({ layer, site }) {
  const { model, parts } = state;
  if (!model || !parts) return;
  outline(model, parts[layer].layer, layer, site, targetsOf(parts[layer], site));
  showPlace(model, parts, layer, site);
}

/**
 * Shown until the reader chooses one: the place of ConvCaps1 with the most credit. In a file of format 1, of ConvCaps2.
 *
 * @param {import('./parts.js').Part[]} parts
 */
function strongestPlace(parts) {
  const layer = parts[1].credit ? 1 : 2;
  const {
    credit,
    activations,
    layer: { types },
  } = parts[layer];
  return { layer, site: largest(bySite(credit ?? activations, types), 1)[0] };
}

function strongestLayer() {
  return LAYERS.indexOf(byId('strongest-layer', HTMLSelectElement).value);
}

/** Set up the menu of layers. */
export function setUpStrongest() {
  const menu = byId('strongest-layer', HTMLSelectElement);
  menu.replaceChildren(...LAYERS.map((name) => make('option', { value: name }, TITLES[name])));
  on(menu, 'change', () => state.model && state.parts && showStrongest(state.model, state.parts, strongestLayer()));
}
