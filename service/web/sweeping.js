/**
 * A sweep: one change over its whole range, in one request.
 *
 * @typedef {import('./protocol.js').Tensor} Tensor
 */
import { infer } from './api.js';
import { byId, make, on } from './dom.js';
import { hideError, showError } from './notice.js';
import { activationPlot, moveMarkers, posePlots } from './plot.js';
import { sampleOf } from './protocol.js';
import { AZIMUTH, changed, SLIDERS, sweepValues } from './sliders.js';
import { filesOf, toySlots, used } from './slots.js';
import { chosenClass, chosenLabel, state } from './state.js';
import { findingOf, sentenceOf } from './sweep.js';

let drawnWidth = 0; // of the plot of activations, in pixels

/** Set up the button. */
export function setUpSweep() {
  on(byId('sweep', HTMLButtonElement), 'click', sweep);
  const place = byId('activation-plot', HTMLElement);
  new ResizeObserver(() => place.clientWidth && place.clientWidth !== drawnWidth && showSweep()).observe(place);
}

async function sweep() {
  const { model, change, slots, toy } = state;
  const slider = [AZIMUTH, ...SLIDERS].find((one) => one.of === byId('sweep-of', HTMLSelectElement).value);
  const note = byId('sweep-note', HTMLElement);
  if (!model || !slider || !used(slots).length) return;
  const values = sweepValues(slider);
  note.textContent = 'Asking …';
  const files = [];
  for (const value of values) {
    const pictures = slider === AZIMUTH && toy !== null ? await toySlots(toy, value) : slots;
    files.push(filesOf(changed(change, slider, value), pictures));
  }
  /** @type {Float32Array[]} */
  const activations = [];
  /** @type {Float32Array[]} */
  const poses = [];
  // Two eyes at 36 angles are more pictures than a request may have by default.
  const share = Math.ceil(files.length / (model.image.channels === 2 && slider === AZIMUTH ? 2 : 1));
  const began = performance.now();
  try {
    for (let first = 0; first < files.length; first += share) {
      const some = files.slice(first, first + share);
      const { tensors } = await infer(model, some.flat(), ['activations', 'poses'], new AbortController().signal);
      some.forEach((_, sample) => {
        activations.push(sampleOf(/** @type {import('./protocol.js').Tensor} */ (tensors.get('activations')), sample));
        poses.push(sampleOf(/** @type {import('./protocol.js').Tensor} */ (tensors.get('poses')), sample));
      });
    }
  } catch (error) {
    note.textContent = '';
    showError(error, sweep);
    return;
  }
  hideError();
  note.textContent = `${values.length} pictures in ${((performance.now() - began) / 1000).toFixed(1)} s`;
  state.sweep = { slider, values, activations, poses };
  showSweep();
}

export function showSweep() {
  const { model, sweep: shown } = state;
  byId('plots', HTMLElement).hidden = !shown;
  const finding = byId('finding', HTMLElement);
  finding.hidden = !shown;
  if (!shown || !model) return;
  const { slider, values, activations, poses } = shown;
  const chosen = chosenClass();
  const axis = { values, current: standing(slider), label: slider.label, text: slider.text };
  const ofChosen = poses.map((all) => all.subarray(16 * chosen, 16 * chosen + 16));
  const place = byId('activation-plot', HTMLElement);
  drawnWidth = place.clientWidth;
  place.replaceChildren(activationPlot(axis, model.classes, activations, chosen, drawnWidth));
  byId('pose-plot', HTMLElement).replaceChildren(posePlots(axis, ofChosen, chosenLabel()));
  const sentence = sentenceOf(findingOf(activations, ofChosen, chosen), chosenLabel(), values.length);
  if (finding.textContent !== sentence) finding.textContent = sentence;
}

/** Mark where the sliders stand, while one moves. */
export function markSweep() {
  const { sweep: shown } = state;
  if (shown) moveMarkers(byId('plots', HTMLElement), shown.values, standing(shown.slider));
}

/** @param {import('./sliders.js').Slider} slider */
function standing({ of }) {
  return of === 'azimuth' ? state.azimuth : state.change[of];
}

export function showSweepMenu() {
  const menu = byId('sweep-of', HTMLSelectElement);
  const kept = menu.value;
  const sliders = state.toy === null ? SLIDERS : [AZIMUTH, ...SLIDERS];
  menu.replaceChildren(...sliders.map(({ of, label }) => make('option', { value: of }, label)));
  menu.value = sliders.some(({ of }) => of === kept) && state.toy === null ? kept : sliders[0].of;
}
