/** Asks the service about the pictures, at most one request at a time. */

import { showAll, showClassesAndPose, showLatency, showPictures } from './answer.js';
import { infer } from './api.js';
import { Latest } from './latest.js';
import { hideError, showError } from './notice.js';
import { outputsOfParts } from './parts.js';
import { showSliders } from './sliders.js';
import { filesOf, used } from './slots.js';
import { state } from './state.js';
import { showSweep, showSweepMenu } from './sweeping.js';

const PATIENCE_MS = 100; // at least, before a newer request cancels one of a slider; others are cancelled at once
const PAUSE_MS = 120; // without a move of a slider, before the capsules of all layers are asked for
const LIVE = ['activations', 'poses', 'pixels'];

const requests = new Latest();
let pause = 0;

/** @param {boolean} isLive while a slider moves, only what changes at once is asked for */
export function ask(isLive) {
  clearTimeout(pause);
  showPictures();
  const { model, change, slots } = state;
  if (!model || !used(slots).length) return;
  const wanted = isLive ? LIVE : [...LIVE, ...outputsOfParts(state.outputs)];
  const names = wanted.filter((name) => state.outputs.has(name));
  document.documentElement.dataset.state = 'busy';
  /** @param {AbortSignal} signal */
  const task = async (signal) => {
    try {
      const answer = await infer(model, filesOf(change, slots), names, signal);
      if (model !== state.model) return;
      for (const [name, tensor] of answer.tensors) state.tensors.set(name, tensor);
      if (isLive) {
        showClassesAndPose();
        clearTimeout(pause);
        pause = setTimeout(() => ask(false), PAUSE_MS);
      } else showAll();
      showLatency(answer);
      hideError();
      document.documentElement.dataset.state = isLive ? 'live' : 'ready';
    } catch (error) {
      if (!signal.aborted) showError(error, () => ask(false));
    }
  };
  requests.run(task, isLive ? PATIENCE_MS : 0);
}

export function newPicture() {
  state.sweep = null;
  showSliders(state.change, state.toy === null ? null : state.azimuth);
  showSweep();
  showSweepMenu();
  ask(false);
}
