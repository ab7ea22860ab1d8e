/**
 * The sliders that change the picture.
 *
 * @typedef {import('./transform.js').Change} Change
 *
 * @typedef {object} Slider
 * @property {keyof Change | 'azimuth'} of
 * @property {string} id
 * @property {string} label
 * @property {number} min
 * @property {number} max
 * @property {number} step
 * @property {(value: number) => string} text
 */
import { byId, make, on, signed } from './dom.js';
import { NONE } from './transform.js';

/** @param {number} value */
const degrees = (value) => `${signed(value, 0)}°`;
/** @param {number} value */
const share = (value) => `${signed(100 * value, 0)} %`;
/** @param {number} value */
const level = (value) => (value > 0 ? `+${value}` : signed(value, 0));
/** @param {number} value */
const times = (value) => `×${value.toFixed(2)}`;

export const AZIMUTH = /** @type {Slider} */ ({
  of: 'azimuth',
  id: 'azimuth',
  label: 'Turntable',
  min: 0,
  max: 350,
  step: 10,
  text: degrees,
});

/** @type {Slider[]} */
export const SLIDERS = [
  { of: 'turn', id: 'turn', label: 'Turn', min: -180, max: 180, step: 1, text: degrees },
  { of: 'shiftX', id: 'shift-x', label: 'Shift right', min: -0.4, max: 0.4, step: 0.01, text: share },
  { of: 'shiftY', id: 'shift-y', label: 'Shift down', min: -0.4, max: 0.4, step: 0.01, text: share },
  { of: 'scale', id: 'scale', label: 'Scale', min: 0.5, max: 1.5, step: 0.01, text: times },
  { of: 'brightness', id: 'brightness', label: 'Brighten', min: -120, max: 120, step: 1, text: level },
  { of: 'hide', id: 'hide', label: 'Hide a part', min: 0, max: 0.8, step: 0.01, text: share },
  { of: 'hideX', id: 'hide-x', label: 'Hidden: across', min: 0, max: 1, step: 0.01, text: share },
  { of: 'hideY', id: 'hide-y', label: 'Hidden: down', min: 0, max: 1, step: 0.01, text: share },
];

/**
 * Make the sliders.
 *
 * @param {(slider: Slider, value: number) => void} moved
 */
export function buildSliders(moved) {
  const rows = [AZIMUTH, ...SLIDERS].flatMap((slider) => {
    const { id, label, min, max, step } = slider;
    const input = make('input', { type: 'range', id, min, max, step });
    on(input, 'input', () => {
      showValue(slider, Number(input.value));
      moved(slider, Number(input.value));
    });
    return [make('label', { for: id }, label), input, make('output', { for: id, id: `${id}-value` })];
  });
  byId('sliders', HTMLElement).replaceChildren(...rows);
}

/**
 * Set the sliders to a change.
 *
 * @param {Change} change
 * @param {number | null} azimuth null hides the turntable's slider
 */
export function showSliders(change, azimuth) {
  for (const slider of SLIDERS) setSlider(slider, change[/** @type {keyof Change} */ (slider.of)]);
  setSlider(AZIMUTH, azimuth ?? 0);
  byId('sliders', HTMLElement).classList.toggle('turntable', azimuth !== null);
}

/**
 * The values of a sweep over a slider's range: 31, or all angles of the turntable.
 *
 * @param {Slider} slider
 * @returns {number[]}
 */
export function sweepValues({ of, min, max }) {
  const steps = of === 'azimuth' ? 36 : 31;
  return Array.from({ length: steps }, (_, index) => Number((min + ((max - min) * index) / (steps - 1)).toFixed(6)));
}

/**
 * A change with one of its values replaced. A place to hide needs something hidden there.
 *
 * @param {Change} change
 * @param {Slider} slider
 * @param {number} value
 * @returns {Change}
 */
export function changed(change, { of }, value) {
  if (of === 'azimuth') return change;
  const hide = (of === 'hideX' || of === 'hideY') && !change.hide ? 0.3 : change.hide;
  return { ...change, hide, [of]: value };
}

/** @param {Slider} slider @param {number} value */
function setSlider(slider, value) {
  byId(slider.id, HTMLInputElement).value = String(value);
  showValue(slider, value);
}

/** @param {Slider} slider @param {number} value */
function showValue({ id, text, of }, value) {
  byId(`${id}-value`, HTMLOutputElement).textContent = text(value);
  byId(id, HTMLInputElement).setAttribute('aria-valuetext', text(value));
  const neutral = of === 'azimuth' || value === NONE[of];
  byId(`${id}-value`, HTMLOutputElement).classList.toggle('moved', !neutral);
}
