/** Runs the newest task only, and at most one at a time. */
export class Latest {
  constructor() {
    /** @type {AbortController | undefined} */
    this.running = undefined;
    /** @type {{task: (signal: AbortSignal) => Promise<void>, patience: number} | undefined} */
    this.next = undefined;
    this.until = 0; // when the patience with the running task ends
  }

  /**
   * Run a task at once, or after the one that runs. A newer task takes the place of a waiting one. A running one is
   * cancelled when it takes longer than its patience: without any, quick drags would never show an answer.
   *
   * @param {(signal: AbortSignal) => Promise<void>} task it must not throw
   * @param {number} patience milliseconds that the task is left in peace when a newer one waits
   */
  run(task, patience) {
    this.next = { task, patience };
    const running = this.running;
    if (!running) {
      void this.start();
      return;
    }
    const left = this.until - performance.now();
    if (left <= 0) running.abort();
    else setTimeout(() => this.next && this.running === running && running.abort(), left);
  }

  async start() {
    while (this.next) {
      const { task, patience } = this.next;
      this.next = undefined;
      this.running = new AbortController();
      this.until = performance.now() + patience;
      await task(this.running.signal);
    }
    this.running = undefined;
  }
}
