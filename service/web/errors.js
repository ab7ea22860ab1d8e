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

/** @type {Record<number, string>} */
const SENTENCES = {
  0: 'No connection to the service.',
  400: 'The service did not understand the request.',
  401: 'The service needs an API key.',
  404: 'The service does not have this.',
  408: 'The picture took too long to arrive.',
  413: 'The picture is too large.',
  415: 'This kind of file is not supported.',
  422: 'The picture cannot be read.',
  429: 'The service is busy.',
  503: 'The service is starting or stopping.',
  504: 'The service took too long.',
};

/**
 * A sentence for the reader.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function inWords(error) {
  if (!(error instanceof ServiceError)) return error instanceof Error ? error.message : String(error);
  const sentence = SENTENCES[error.status] ?? `The service answered with status ${error.status}.`;
  if (error.status === 429 && error.retryAfter) return `${sentence} Try again in ${error.retryAfter} s.`;
  return error.message ? `${sentence} ${capital(error.message)}.` : sentence;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, '');
}
