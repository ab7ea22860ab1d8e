/** The sliders at work. */
import { canvases } from './answer.js';
import { ask } from './asking.js';
import { byId, on } from './dom.js';
import { useToy } from './inputs.js';
import { buildSliders, showSliders } from './sliders.js';
import { state } from './state.js';
import { markSweep } from './sweeping.js';
import { NONE } from './transform.js';

export function setUpSliders() {
  buildSliders(async (slider, value) => {
    if (slider.of === 'azimuth') {
      state.azimuth = value;
      if (state.toy !== null) await useToy(state.toy);
    } else {
      state.change = { ...state.change, [slider.of]: value };
    }
    ask(true);
    markSweep();
  });
  on(byId('reset', HTMLButtonElement), 'click', () => {
    state.change = NONE;
    showSliders(state.change, state.toy === null ? null : state.azimuth);
    ask(false);
  });
  for (const canvas of canvases) {
    on(canvas, 'click', (event) => {
      const { offsetX, offsetY } = /** @type {MouseEvent} */ (event);
      const [hideX, hideY] = [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight];
      state.change = { ...state.change, hide: state.change.hide || 0.25, hideX, hideY };
      showSliders(state.change, state.toy === null ? null : state.azimuth);
      ask(false);
    });
  }
  if (window.innerWidth < 620) byId('change', HTMLDetailsElement).open = false;
}
