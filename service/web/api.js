/**
 * The service, as the page asks it.
 *
 * @typedef {import('./protocol.js').Tensor} Tensor
 *
 * @typedef {object} Layer
 * @property {string} name
 * @property {[number, number]} grid rows and columns
 * @property {number} types
 * @property {{size: [number, number], stride: [number, number], offset: [number, number]}} [receptive_field]
 * @property {[number, number] | null} [kernel] of the layer's windows; from format 2 on
 * @property {[number, number] | null} [stride]
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {number} version
 * @property {boolean} default
 * @property {string[]} classes
 * @property {{channels: number, height: number, width: number}} image
 * @property {Layer[]} layers
 * @property {Record<string, unknown>} training
 *
 * @typedef {object} Answer
 * @property {Map<string, Tensor>} tensors
 * @property {number} took milliseconds until the answer was there
 * @property {number | undefined} network milliseconds of them in the network
 */
import { ServiceError } from './errors.js';
import { decodeResponse, encodeRequest } from './protocol.js';

const KEY = 'matcaps-api-key';

/** The service's address, which ends with a slash. */
export const HOME = new URL('.', document.baseURI);

/** @param {string} key */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** Whether the reader has given a key. */
export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/**
 * The models that are served, the default one first.
 *
 * @returns {Promise<Model[]>}
 */
export async function readModels() {
  const { models } = await (await ask('models')).json();
  return models.sort((/** @type {Model} */ a, /** @type {Model} */ b) => Number(b.default) - Number(a.default));
}

/**
 * The names of a model's outputs.
 *
 * @param {Model} model
 * @returns {Promise<Set<string>>}
 */
export async function readOutputs({ name, version }) {
  const { outputs } = await (await ask(`v2/models/${encodeURIComponent(name)}/versions/${version}`)).json();
  return new Set(outputs.map((/** @type {{name: string}} */ output) => output.name));
}

/**
 * Run a model.
 *
 * @param {Model} model
 * @param {Uint8Array[]} files encoded pictures, for each sample one per channel
 * @param {string[]} outputs
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function infer({ name, version, image }, files, outputs, signal) {
  const { body, headerLength } = encodeRequest(files, image.channels === 2 ? 2 : 1, outputs);
  const began = performance.now();
  const response = await ask(`v2/models/${encodeURIComponent(name)}/versions/${version}/infer`, {
    method: 'POST',
    body: /** @type {BodyInit} */ (body),
    signal,
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(headerLength),
    },
  });
  const length = Number(response.headers.get('inference-header-content-length'));
  const tensors = decodeResponse(await response.arrayBuffer(), length);
  const timing = /inference;dur=([\d.]+)/.exec(response.headers.get('server-timing') ?? '');
  return { tensors, took: performance.now() - began, network: timing ? Number(timing[1]) : undefined };
}

/**
 * One of the page's own pictures.
 *
 * @param {string} name
 * @returns {Promise<Blob>}
 */
export async function readFile(name) {
  return (await ask(new URL(`./${name}`, import.meta.url).href)).blob();
}

/**
 * @param {string} path below the service's address
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem(KEY);
  if (key) headers.set('authorization', `Bearer ${key}`);
  let response;
  try {
    response = await fetch(new URL(path, HOME), { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ServiceError(0, '');
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** @param {Response} response */
async function errorOf(response) {
  let detail = '';
  try {
    const content = await response.json();
    detail = content.detail ?? content.error ?? '';
  } catch {
    // A proxy's page, which is not JSON: the status says enough.
  }
  return new ServiceError(response.status, String(detail), Number(response.headers.get('retry-after')) || undefined);
}
