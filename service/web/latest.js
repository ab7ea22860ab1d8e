/** Runs the newest task only, and at most one at a time. */
export class Latest {
  /** @param {number} patience milliseconds that a running task is left in peace when a newer one waits */
  constructor(patience) {
    this.patience = patience;
    /** @type {AbortController | undefined} */
    this.running = undefined;
    /** @type {((signal: AbortSignal) => Promise<void>) | undefined} */
    this.next = undefined;
    this.began = 0;
  }

  /**
   * Run a task at once, or after the one that runs. A newer task takes the place of a waiting one. A running one is
   * cancelled when it takes longer than the patience: without any, quick drags would never show an answer.
   *
   * @param {(signal: AbortSignal) => Promise<void>} task it must not throw
   */
  run(task) {
    this.next = task;
    const running = this.running;
    if (!running) {
      void this.start();
      return;
    }
    const left = this.patience - (performance.now() - this.began);
    setTimeout(() => this.next && this.running === running && running.abort(), Math.max(0, left));
  }

  async start() {
    while (this.next) {
      const task = this.next;
      this.next = undefined;
      this.running = new AbortController();
      this.began = performance.now();
      await task(this.running.signal);
    }
    this.running = undefined;
  }
}
