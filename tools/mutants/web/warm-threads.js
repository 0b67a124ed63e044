/**
 * A vitest pool whose threads outlive a run: a mutant costs milliseconds, not a new thread and a
 * new jsdom. `fresh-page.js` gives each test file its own modules and an empty page.
 */
import { ThreadsPoolWorker } from "vitest/node";

/** After so many runs a thread is replaced, with whatever has leaked into it. */
const MAX_RUNS = 100;
const idle = [];

class WarmThread {
  name = "warm-threads";
  #options;
  #thread;
  #listeners = [];

  constructor(options) {
    this.#options = options;
    const { name } = options.environment;
    const at = idle.findIndex(({ environment }) => environment === name);
    this.#thread =
      at === -1
        ? { worker: new ThreadsPoolWorker(options), environment: name, runs: 0 }
        : idle.splice(at, 1)[0];
  }

  on(event, listener) {
    this.#thread.worker.on(event, listener);
    this.#listeners.push([event, listener]);
  }

  off(event, listener) {
    this.#thread.worker.off(event, listener);
  }

  send(message) {
    if (message.type === "stop") return this.#answer("stopped");
    if (message.type === "start" && this.#thread.runs > 1) return this.#answer("started");
    // The thread would keep the configuration of its start, and with it the first mutant's tests.
    if (message.type === "run") message.context.config = this.#options.project.serializedConfig;
    this.#thread.worker.send(message);
  }

  deserialize(data) {
    return data;
  }

  async start() {
    if (this.#thread.runs++ === 0) await this.#thread.worker.start();
  }

  async stop() {
    for (const [event, listener] of this.#listeners) this.off(event, listener);
    if (this.#thread.runs < MAX_RUNS) idle.push(this.#thread);
    else await this.#thread.worker.stop();
  }

  #answer(type) {
    queueMicrotask(() => {
      const listeners = this.#listeners.filter(([event]) => event === "message");
      for (const [, listener] of listeners) listener({ type, __vitest_worker_response__: true });
    });
  }
}

/** A plugin, because Stryker names the pool itself. */
export const warmThreads = {
  name: "warm-threads",
  configureVitest({ vitest, project }) {
    project.config.pool = "warm-threads";
    project.config.poolRunner = {
      name: "warm-threads",
      createPoolWorker: (options) => new WarmThread(options),
    };
    vitest.onClose(async () => {
      await Promise.all(idle.splice(0).map(({ worker }) => worker.stop()));
    });
  },
};
