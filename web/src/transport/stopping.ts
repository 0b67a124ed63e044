/** Stops a run: one request, with retries. */

import { pauseMs } from "./backoff.js";
import type { Settings } from "./connection.js";
import type { Endpoint } from "./endpoint.js";
import { refusal, TransportError } from "./errors.js";
import { Exchange } from "./exchange.js";

export interface Stop {
  readonly chatId: string;
  /** The run to stop; the chat's active one if undefined. */
  readonly runId: string | undefined;
  /** When to give up, in milliseconds since the epoch. */
  readonly deadline: number;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_ATTEMPT_MS = 10_000;

/**
 * Retries until there is an answer. The request is idempotent: a run ends once.
 *
 * @returns whether the answered request ended a run.
 * @throws {TransportError} the refusal, or the last failure before the deadline.
 */
export async function stopRun(
  endpoint: Endpoint,
  settings: Settings,
  stop: Stop,
): Promise<boolean> {
  const { backoff, clock, random } = settings;
  for (let failures = 1; ; failures += 1) {
    const boundMs = Math.min(stop.deadline - clock.now(), MAX_ATTEMPT_MS);
    try {
      return await ask(endpoint, stop, new Exchange(clock, boundMs), () => clock.now());
    } catch (error) {
      if (!(error instanceof TransportError) || !error.retryable) throw error;
      const delayMs = Math.max(error.retryAfterMs ?? 0, pauseMs(backoff, failures, 0, random));
      if (clock.now() + delayMs >= stop.deadline) throw error;
      await pause(settings, delayMs);
    }
  }
}

async function ask(
  endpoint: Endpoint,
  stop: Stop,
  exchange: Exchange,
  now: () => number,
): Promise<boolean> {
  const path = `/${encodeURIComponent(stop.chatId)}/stop`;
  const query: Record<string, string> = stop.runId === undefined ? {} : { run: stop.runId };
  const headers = new Headers({ accept: "application/json" });
  try {
    const call = { method: "POST", path, query, headers } as const;
    const response = await exchange.open((signal) => endpoint.call(call, signal));
    const body = await exchange.text(MAX_BODY_BYTES);
    if (!response.ok) throw refusal(response, body, now());
    return readStopped(body);
  } finally {
    exchange.close();
  }
}

function readStopped(body: string): boolean {
  try {
    const { stopped } = JSON.parse(body) as { stopped?: unknown };
    return typeof stopped === "string";
  } catch (cause) {
    throw new TransportError("not-a-stream", { cause });
  }
}

async function pause({ clock, environment }: Settings, ms: number): Promise<void> {
  const end: (() => void)[] = [];
  await new Promise<void>((resolve) => {
    end.push(clock.after(ms, resolve), environment.on("online", resolve));
  });
  for (const one of end) one();
}
