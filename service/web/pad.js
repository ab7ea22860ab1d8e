/** A pad to draw digits on, with a pointer or with the keyboard. */
import { asDigit } from './digit.js';
import { byId, on } from './dom.js';
import { greyOf } from './grey.js';

const PEN = 22; // pixels
const STEP = 7; // pixels that an arrow key moves the pen

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {(grey: import('./grey.js').Grey) => void} use gets the digit
 */
export function setUpPad(use) {
  const dialog = byId('pad-dialog', HTMLDialogElement);
  const pad = byId('pad', HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (pad.getContext('2d', { willReadFrequently: true }));
  let [x, y] = [pad.width / 2, pad.height / 4];
  let isDown = false;
  let image = clear();

  function clear() {
    context.fillStyle = 'black';
    context.fillRect(0, 0, pad.width, pad.height);
    return context.getImageData(0, 0, pad.width, pad.height);
  }

  /** The drawing without the cursor, and the cursor upon it. */
  function showCursor() {
    image = context.getImageData(0, 0, pad.width, pad.height);
    context.lineWidth = 2;
    context.strokeStyle = isDown ? '#f08a3c' : '#8a8f98';
    context.beginPath();
    context.arc(x, y, PEN / 2 + 1, 0, 2 * Math.PI);
    context.stroke();
  }

  /** @param {number} toX @param {number} toY */
  function stroke(toX, toY) {
    context.lineWidth = PEN;
    context.lineCap = 'round';
    context.strokeStyle = 'white';
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(toX, toY);
    context.stroke();
    [x, y] = [toX, toY];
  }

  /** @param {Event} event @returns {[number, number]} */
  function placeOf(event) {
    const { clientX, clientY } = /** @type {PointerEvent} */ (event);
    const box = pad.getBoundingClientRect();
    return [((clientX - box.left) * pad.width) / box.width, ((clientY - box.top) * pad.height) / box.height];
  }

  on(pad, 'pointerdown', (event) => {
    event.preventDefault();
    context.putImageData(image, 0, 0);
    pad.setPointerCapture(/** @type {PointerEvent} */ (event).pointerId);
    isDown = true;
    [x, y] = placeOf(event);
    stroke(x, y);
  });
  on(pad, 'pointermove', (event) => isDown && stroke(...placeOf(event)));
  for (const end of ['pointerup', 'pointercancel']) {
    on(pad, end, () => {
      isDown = false;
      image = context.getImageData(0, 0, pad.width, pad.height);
    });
  }
  on(pad, 'keydown', (event) => {
    const { key } = /** @type {KeyboardEvent} */ (event);
    const move = ARROWS[key];
    if (!move && key !== ' ') return;
    event.preventDefault();
    context.putImageData(image, 0, 0);
    if (key === ' ') {
      isDown = !isDown;
      if (isDown) stroke(x, y);
    } else {
      const toX = Math.max(0, Math.min(pad.width, x + STEP * move[0]));
      const toY = Math.max(0, Math.min(pad.height, y + STEP * move[1]));
      if (isDown) stroke(toX, toY);
      [x, y] = [toX, toY];
    }
    showCursor();
  });
  on(pad, 'blur', () => {
    isDown = false;
    context.putImageData(image, 0, 0);
  });
  on(byId('pad-clear', HTMLButtonElement), 'click', () => {
    image = clear();
  });
  on(byId('pad-close', HTMLButtonElement), 'click', () => dialog.close());
  on(byId('pad-use', HTMLButtonElement), 'click', () => {
    const digit = asDigit(greyOf(image));
    byId('pad-note', HTMLElement).textContent = digit ? '' : 'Nothing is drawn yet.';
    if (!digit) return;
    dialog.close();
    use(digit);
  });
  on(byId('draw', HTMLButtonElement), 'click', () => {
    byId('pad-note', HTMLElement).textContent = '';
    dialog.showModal();
    pad.focus();
  });
}
