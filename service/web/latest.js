/** Runs the newest task only, and at most one at a time. */
export class Latest {
  /** @param {() => number} clock in milliseconds */
  constructor(clock = () => performance.now()) {
    this.clock = clock;
    /** @type {AbortController | undefined} */
    this.running = undefined;
    /** @type {{task: (signal: AbortSignal) => Promise<void>, patience: number} | undefined} */
    this.next = undefined;
    this.until = 0; // when the patience with the running task ends
    this.took = 0; // milliseconds of the last task that had patience, until its end or until it was cancelled
  }

  /**
   * Run a task at once, or after the one that runs. A newer task takes the place of a waiting one. A running one is
   * cancelled when it takes longer than its patience, and than twice the time of the one before. So a slow service
   * answers too while a slider moves: after a cancelled task the next one has twice the time.
   *
   * @param {(signal: AbortSignal) => Promise<void>} task it must not throw
   * @param {number} patience milliseconds that the task is left in peace when a newer one waits; 0 is none at all
   */
  run(task, patience) {
    this.next = { task, patience };
    const running = this.running;
    if (!running) {
      void this.start();
      return;
    }
    const left = this.until - this.clock();
    if (left <= 0) running.abort();
    else setTimeout(() => this.next && this.running === running && running.abort(), left);
  }

  async start() {
    while (this.next) {
      const { task, patience } = this.next;
      this.next = undefined;
      this.running = new AbortController();
      const began = this.clock();
      this.until = began + (patience && Math.max(patience, 2 * this.took));
      await task(this.running.signal);
      if (patience) this.took = this.clock() - began;
    }
    this.running = undefined;
  }
}
