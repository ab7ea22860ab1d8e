/** Errors in words, with what the reader can do about them. */
import { useKey } from './api.js';
import { byId, on } from './dom.js';
import { inWords, mayPass, ServiceError } from './errors.js';
import { state } from './state.js';

/** @type {() => unknown} */
let again = () => {};

/** @param {unknown} error @param {() => void} retry */
export function showError(error, retry) {
  document.documentElement.dataset.state = 'error';
  again = retry;
  byId('error-text', HTMLElement).textContent = inWords(error);
  const needsKey = error instanceof ServiceError && error.status === 401;
  byId('key-form', HTMLFormElement).hidden = !needsKey;
  byId('retry', HTMLButtonElement).hidden = needsKey || !mayPass(error);
  byId('error-note', HTMLElement).hidden = state.tensors.size === 0;
  byId('error', HTMLElement).hidden = false;
}

export function hideError() {
  byId('error', HTMLElement).hidden = true;
}

/**
 * Do something that may fail, such as reading an example; then say so, and let the reader try again.
 *
 * @param {() => Promise<unknown>} action
 */
export async function attempt(action) {
  try {
    await action();
  } catch (error) {
    showError(error, () => attempt(action));
  }
}

/** Set up the buttons of the notice. */
export function setUpNotice() {
  on(byId('retry', HTMLButtonElement), 'click', () => again());
  on(byId('key-form', HTMLFormElement), 'submit', (event) => {
    event.preventDefault();
    useKey(byId('key', HTMLInputElement).value.trim());
    again();
  });
}
