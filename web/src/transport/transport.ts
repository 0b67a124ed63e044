/** The AI SDK's chat transport over resumable streams. */

import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import type { Backoff } from "./backoff.js";
import { DEFAULT_BACKOFF } from "./backoff.js";
import type { Settings, Subject } from "./connection.js";
import { Connection } from "./connection.js";
import type { EndpointOptions, Resolvable } from "./endpoint.js";
import { Endpoint, resolved } from "./endpoint.js";
import type { Clock, Environment } from "./environment.js";
import { hostEnvironment, systemClock } from "./environment.js";
import { TransportError } from "./errors.js";
import { newKey, sendBody } from "./sending.js";
import type { ConnectionState } from "./state.js";
import { IDLE } from "./state.js";
import { stopRun } from "./stopping.js";

export interface ResumableChatTransportOptions extends EndpointOptions {
  /** More members of the body of each message that is sent, such as `model`. */
  readonly body?: Resolvable<object | undefined>;
  /** The delays between attempts: 250 ms to 15 s, doubling, by default. */
  readonly backoff?: Partial<Backoff>;
  /** The idle timeout: a connection without a byte for so long is dead; 40 000 ms. */
  readonly silenceMs?: number;
  /** A page hidden for so long disconnects; 30 000 ms. `Infinity`: never. */
  readonly hiddenMs?: number;
  /** The timeout of `stop`; 20 000 ms. */
  readonly stopMs?: number;
  /** Replaces `Math.random`. */
  readonly random?: () => number;
  readonly clock?: Clock;
  readonly environment?: Environment;
}

type SendOptions<M extends UIMessage> = Parameters<ChatTransport<M>["sendMessages"]>[0];
type ReconnectOptions<M extends UIMessage> = Parameters<ChatTransport<M>["reconnectToStream"]>[0];

/** The connections of a chat, and the one whose state is shown. */
interface Chat {
  readonly open: Set<Connection>;
  shown: { readonly state: ConnectionState };
}

/**
 * A `ChatTransport` whose streams survive lost connections, server restarts and sleep.
 *
 * One `sendMessages` or `reconnectToStream` gives one stream of chunks. Aborting or cancelling it
 * only detaches: the run continues on the server. `stop` ends the run.
 */
export class ResumableChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  /** `reconnectToStream` begins with the run's first chunk. */
  readonly resumeStreamIsReplay = true;

  readonly #endpoint: Endpoint;
  readonly #settings: Settings;
  readonly #body: ResumableChatTransportOptions["body"];
  readonly #stopMs: number;
  readonly #chats = new Map<string, Chat>();
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(options: ResumableChatTransportOptions = {}) {
    this.#endpoint = new Endpoint(options);
    this.#body = options.body;
    this.#stopMs = options.stopMs ?? 20_000;
    this.#settings = {
      clock: options.clock ?? systemClock,
      environment: options.environment ?? hostEnvironment,
      random: options.random ?? Math.random,
      backoff: { ...DEFAULT_BACKOFF, ...options.backoff },
      silenceMs: options.silenceMs ?? 40_000,
      hiddenMs: options.hiddenMs ?? 30_000,
    };
  }

  /**
   * Sends the last message, or asks for another answer, and follows the run.
   *
   * The stream fails with a `TransportError` when the server refuses. Other failures are retried
   * with the same bytes and the same `Idempotency-Key`, so the server starts one run only.
   * `options.headers` are sent with every request of this stream; an `Idempotency-Key` among them
   * replaces the generated one.
   */
  async sendMessages(options: SendOptions<M>): Promise<ReadableStream<UIMessageChunk>> {
    const { chatId, headers: more, abortSignal } = options;
    const headers = new Headers(more);
    if (!headers.has("idempotency-key")) headers.set("idempotency-key", newKey());
    headers.set("content-type", "application/json");
    headers.set("accept", "text/event-stream");
    const sending = { ...options, messages: options.messages.slice(-2) };
    let body: Promise<string> | undefined = resolved(this.#body).then((ours) =>
      sendBody(sending, ours),
    );
    body.catch(() => {}); // the first attempt reports the error
    const subject: Subject = {
      carriesMessage: true,
      request: async (cursor, signal) => {
        if (cursor === undefined) {
          return this.#endpoint.call({ method: "POST", headers, body: await body }, signal);
        }
        body = undefined; // the server has the message
        return this.#follow(chatId, more, cursor, signal);
      },
    };
    return this.#connect(chatId, subject, abortSignal).stream;
  }

  /**
   * Follows the active run of a chat from its beginning.
   *
   * @returns null when no run is active.
   * @throws {TransportError} when the server refuses. Other failures are retried until the
   *   signal is aborted.
   */
  async reconnectToStream(
    options: ReconnectOptions<M>,
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const { chatId, headers, abortSignal } = options;
    const subject: Subject = {
      carriesMessage: false,
      request: (cursor, signal) => this.#follow(chatId, headers, cursor, signal),
    };
    const connection = this.#connect(chatId, subject, abortSignal);
    return (await connection.opened) ? connection.stream : null;
  }

  /**
   * Stops the run on the server. A stream that follows it ends with the server's `abort` chunk.
   *
   * @param runId the run; by default the one that is followed, else the chat's active one.
   * @returns whether this call ended it; false if it had ended.
   * @throws {TransportError} when the server refuses, or could not be reached within `stopMs`.
   */
  async stop(chatId: string, runId?: string): Promise<boolean> {
    const deadline = this.#settings.clock.now() + this.#stopMs;
    const run = runId ?? (await this.#followedRun(chatId));
    return stopRun(this.#endpoint, this.#settings, { chatId, runId: run, deadline });
  }

  /** The state of the chat's newest stream: the same object until it changes. */
  getState(chatId: string): ConnectionState {
    return this.#chats.get(chatId)?.shown.state ?? IDLE;
  }

  /**
   * Notifies the listener when more than the cursor of the chat's state changes.
   *
   * @returns a function that unsubscribes.
   */
  subscribe(chatId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(chatId) ?? new Set();
    this.#listeners.set(chatId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(chatId) === listeners) {
        this.#listeners.delete(chatId);
      }
    };
  }

  /** Ends the delay before the next attempt. */
  retryNow(chatId: string): void {
    for (const connection of this.#chats.get(chatId)?.open ?? []) connection.retryNow();
  }

  /**
   * Disconnects every stream now if the page is hidden, instead of after `hiddenMs`. They resume
   * when it is visible. For pages that need the few connections that a browser allows.
   */
  pauseIfHidden(): void {
    for (const { open } of this.#chats.values()) for (const connection of open) connection.pauseIfHidden();
  }

  /** Detaches from the chat's streams and drops its state. */
  forget(chatId: string): void {
    const chat = this.#chats.get(chatId);
    if (!chat) return;
    this.#chats.delete(chatId);
    for (const connection of chat.open) connection.detach();
    this.#notify(chatId);
  }

  /** Detaches from every stream. The transport can be used again. */
  close(): void {
    for (const { open } of this.#chats.values()) for (const one of open) one.detach();
  }

  #follow(
    chatId: string,
    more: HeadersInit | undefined,
    cursor: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers = new Headers(more);
    headers.set("accept", "text/event-stream");
    if (cursor !== undefined) headers.set("last-event-id", cursor);
    const path = `/${encodeURIComponent(chatId)}/stream`;
    return this.#endpoint.call({ method: "GET", path, headers }, signal);
  }

  #connect(chatId: string, subject: Subject, abortSignal: AbortSignal | undefined): Connection {
    abortSignal?.throwIfAborted();
    const chat: Chat = this.#chats.get(chatId) ?? { open: new Set(), shown: { state: IDLE } };
    this.#chats.set(chatId, chat);
    const connection = new Connection(subject, this.#settings, () => {
      if (connection.isOver) abortSignal?.removeEventListener("abort", onAbort);
      this.#changed(chatId, chat, connection);
    });
    const onAbort = () => connection.detach(abortSignal?.reason);
    abortSignal?.addEventListener("abort", onAbort);
    chat.open.add(connection);
    chat.shown = connection;
    this.#notify(chatId);
    return connection;
  }

  /** Shows the state of the newest stream, also its end, unless it was detached or had no run. */
  #changed(chatId: string, chat: Chat, connection: Connection): void {
    if (connection.isOver) chat.open.delete(connection);
    if (chat.shown !== connection) return;
    const { state, isOver } = connection;
    if (isOver) chat.shown = (state.phase === "idle" && [...chat.open].at(-1)) || { state };
    if (this.#chats.get(chatId) === chat) this.#notify(chatId);
  }

  #notify(chatId: string): void {
    for (const listener of this.#listeners.get(chatId) ?? []) {
      try {
        listener();
      } catch (error) {
        // An error in a listener must not end the stream; it is reported as an uncaught error.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** The run that is followed. While a message is being sent, waits for its run id. */
  async #followedRun(chatId: string): Promise<string | undefined> {
    const isOnItsWay = () => {
      const { phase, runId } = this.getState(chatId);
      return runId === undefined && !["idle", "live", "ended"].includes(phase);
    };
    if (isOnItsWay()) {
      const end: (() => void)[] = [];
      await new Promise<void>((resolve) => {
        end.push(
          this.#settings.clock.after(this.#stopMs, resolve),
          this.subscribe(chatId, () => !isOnItsWay() && resolve()),
        );
      });
      for (const one of end) one();
    }
    if (isOnItsWay()) throw new TransportError("network");
    return this.getState(chatId).runId;
  }
}
