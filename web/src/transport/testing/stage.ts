/** A test rig: a transport with a fake server and host, and a record of its states. */

import type { UIMessage, UIMessageChunk } from "ai";
import { onTestFailed } from "vitest";
import type { ConnectionState, ResumableChatTransportOptions } from "../index.js";
import { ResumableChatTransport } from "../index.js";
import { FakeServer } from "./server.js";
import { drive, FakeClock, FakeEnvironment } from "./world.js";

export const CHAT = "c1";

export const QUESTION: UIMessage = {
  id: "u1",
  role: "user",
  parts: [{ type: "text", text: "Say hello." }],
};

export const SEND = {
  chatId: CHAT,
  trigger: "submit-message" as const,
  messageId: undefined,
  messages: [QUESTION],
  abortSignal: undefined,
};

export class Stage {
  static #last: Stage;
  readonly server = new FakeServer();
  readonly clock = new FakeClock();
  readonly environment = new FakeEnvironment();
  readonly transport: ResumableChatTransport;
  readonly states: ConnectionState[] = [];

  constructor(options: ResumableChatTransportOptions = {}) {
    const { clock, environment } = this;
    this.transport = new ResumableChatTransport({
      fetch: (input, init) => this.server.fetch(input, init),
      random: () => 1,
      clock,
      environment,
      ...options,
    });
    this.transport.subscribe(CHAT, () => this.states.push(this.state));
    Stage.#last = this;
    onTestFailed(() => {
      if (Stage.#last === this) console.error("When the test failed:", this.report);
    });
  }

  get state(): ConnectionState {
    return this.transport.getState(CHAT);
  }

  /** The phases, without repetitions. */
  get phases(): string[] {
    return this.states
      .map(({ phase }) => phase)
      .filter((phase, i, all) => phase !== all[i - 1]);
  }

  send(more: Partial<Parameters<ResumableChatTransport["sendMessages"]>[0]> = {}) {
    return this.transport.sendMessages({ ...SEND, ...more });
  }

  /** Sends and reads to the end; the clock advances whenever everything is idle. */
  async sendAndRead(): Promise<UIMessageChunk[]> {
    return drive(this.clock, read(await this.send()));
  }

  /** A report of what has happened so far, for a test that fails. */
  private get report(): object {
    const { requests, cursors } = this.server;
    return { phases: this.phases, state: this.state, requests, cursors, left: this.left };
  }

  /** The timers and listeners that are left after a stream. */
  get left(): { timers: number; listeners: number } {
    return { timers: this.clock.pending, listeners: this.environment.listening };
  }
}

export async function read(stream: ReadableStream<UIMessageChunk>): Promise<UIMessageChunk[]> {
  const chunks: UIMessageChunk[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    chunks.push(value);
  }
}

/** The chunks in normal form: neighbouring deltas of a part are one. */
export function folded(chunks: readonly UIMessageChunk[]): UIMessageChunk[] {
  const result: UIMessageChunk[] = [];
  for (const chunk of chunks) {
    const last = result.at(-1);
    if (chunk.type === "text-delta" && last?.type === "text-delta" && last.id === chunk.id) {
      result[result.length - 1] = { ...last, delta: last.delta + chunk.delta };
    } else result.push(chunk);
  }
  return result;
}

export function textOf(chunks: readonly UIMessageChunk[]): string {
  return chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");
}
