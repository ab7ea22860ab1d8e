/**
 * The page: it reads the models, and shows the first one with an example.
 *
 * @typedef {import('./api.js').Model} Model
 */
import { canvases, choosePlace, setUpStrongest, showAll } from './answer.js';
import { readModels, readOutputs } from './api.js';
import { newPicture } from './asking.js';
import { setUpSliders } from './changes.js';
import { byId, make, on } from './dom.js';
import { setUpSources } from './inputs.js';
import { attempt, hideError, setUpNotice, showError } from './notice.js';
import { buildOverlays } from './overlay.js';
import { LAYERS } from './parts.js';
import { used } from './slots.js';
import { EXAMPLES, readExample } from './sources.js';
import { state } from './state.js';
import { setUpSweep } from './sweeping.js';
import { setUpTake } from './take.js';
import { isNone } from './transform.js';

/** @type {import('./sources.js').Picture | null} the example that the page chose itself: another model gets its own */
let offered = null;

async function start() {
  const menu = byId('model', HTMLSelectElement);
  try {
    state.models = await readModels();
  } catch (error) {
    showError(error, start);
    return;
  }
  hideError();
  menu.replaceChildren(...state.models.map(({ name }) => make('option', { value: name }, name)));
  menu.disabled = false;
  if (state.models.length) await chooseModel(state.models[0].name);
}

/** @param {string} name */
async function chooseModel(name) {
  const model = state.models.find((one) => one.name === name);
  if (!model) return;
  try {
    state.outputs = await readOutputs(model);
  } catch (error) {
    showError(error, () => chooseModel(name));
    return;
  }
  Object.assign(state, { model, chosen: null, parts: null, place: null, sweep: null, tensors: new Map() });
  const isStereo = model.image.channels === 2;
  byId('slot-right', HTMLElement).hidden = !isStereo;
  byId('stereo', HTMLElement).hidden = !isStereo;
  byId('slots', HTMLElement).classList.toggle('two', isStereo);
  const { width, height } = model.image;
  for (const canvas of canvases) canvas.style.aspectRatio = `${width} / ${height}`;
  byId('model-note', HTMLElement).textContent =
    `${model.name} version ${model.version}: ${model.classes.length} classes, ` +
    `${['grey pictures', 'stereo pairs', 'colour pictures'][model.image.channels - 1]} of ${width}×${height} pixels.`;
  const missing = byId('parts-missing', HTMLElement);
  missing.hidden = state.outputs.has('conv_caps_1_assignments');
  missing.textContent =
    'This model’s file has format 1: it tells how ConvCaps2 votes for the classes, but not how the layers below vote. ' +
    'A model that is released anew tells all.';
  buildOverlays(model, choosePlace);
  byId('strongest-layer', HTMLSelectElement).value = missing.hidden ? LAYERS[0] : LAYERS[2];
  const pictures = used(state.slots);
  const isOffered = !pictures.length || (pictures.every((one) => one === offered) && isNone(state.change));
  if (!isOffered) newPicture();
  else {
    await attempt(async () => {
      offered = await readExample(exampleFor(model));
      state.slots = [offered, null];
      newPicture();
    });
  }
}

/** @param {Model} model */
function exampleFor({ classes }) {
  if (classes.includes('3')) return 'digit';
  return EXAMPLES.find(([name]) => classes.includes(name))?.[0] ?? 'airplane';
}

setUpSources();
setUpSliders();
setUpStrongest();
setUpSweep();
setUpTake();
setUpNotice();
on(byId('model', HTMLSelectElement), 'change', () => void chooseModel(byId('model', HTMLSelectElement).value));
on(matchMedia('(prefers-color-scheme: dark)'), 'change', () => state.parts && showAll()); // canvases keep theirs
void start();
