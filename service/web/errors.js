/** What went wrong, in words. */

/** A request that the service refused, or that did not reach it (status 0). */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {string} detail what the service says
   * @param {number} [retryAfter] seconds
   */
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** @type {Record<number, [string, string]>} what went wrong, and what to do next */
const SENTENCES = {
  0: ['No connection to the service.', 'See whether it runs, then try again.'],
  400: ['The service did not understand the request.', 'Reload the page: it may be older than the service.'],
  401: ['The service needs an API key.', 'Enter one, or ask whoever runs the service.'],
  404: ['The service does not have this.', 'Reload the page: the models may be other ones now.'],
  408: ['The picture took too long to arrive.', 'Try again, or choose a smaller file.'],
  413: ['The picture is too large.', 'Choose a smaller one.'],
  415: ['This kind of file is not supported.', 'Choose a PNG or JPEG file.'],
  422: ['The picture cannot be read.', 'Choose another file.'],
  429: ['The service is busy.', 'Try again in a few seconds.'],
  503: ['The service is starting or stopping.', 'Try again in a few seconds.'],
  504: ['The service took too long.', 'Try again.'],
};

/** Statuses that a second try with the same picture gets again. */
const FINAL = new Set([400, 404, 413, 415, 422]);

/**
 * What went wrong, with the service's own reason, and what to do next.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function inWords(error) {
  if (!(error instanceof ServiceError)) {
    return `The page failed: ${error instanceof Error ? error.message : error}. Reload it.`;
  }
  const { status, message, retryAfter } = error;
  const unknown = [`The service answered with status ${status}.`, 'Try again; its log says more.'];
  const [sentence, next] = SENTENCES[status] ?? unknown;
  if (status === 429) return `${sentence} ${retryAfter ? `Try again in ${retryAfter} s.` : next}`;
  return message ? `${sentence} ${capital(message)}. ${next}` : `${sentence} ${next}`;
}

/**
 * Whether the same request may have another answer later.
 *
 * @param {unknown} error
 */
export function mayPass(error) {
  return error instanceof ServiceError && !FINAL.has(error.status);
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, '');
}
