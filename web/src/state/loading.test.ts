import { describe, expect, it } from "vitest";
import { type ErrorKind, TransportError } from "@/transport/index";
import { Loading } from "./loading";
import type { Snapshot } from "./model";

const SNAPSHOT = { id: "c1" } as Snapshot;
const failure = (kind: ErrorKind, retryAfterMs?: number) => new TransportError(kind, { retryAfterMs });

/** A server with these answers, and the delays between them. */
function answering(...answers: (Snapshot | Error)[]) {
  const pauses: [number, number | undefined][] = [];
  const get = async (): Promise<Snapshot> => {
    const answer = answers.shift();
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error("No more.");
    return answer;
  };
  const loading = new Loading(get, async (attempt, least) => void pauses.push([attempt, least]));
  return { loading, pauses, left: answers };
}

describe("loading a chat", () => {
  it("is retried with backoff, at least as long as the server asks", async () => {
    const failures = [failure("network"), failure("unavailable", 5_000), failure("server")];
    const { loading, pauses } = answering(...failures, SNAPSHOT);
    const told: unknown[] = [];
    expect(await loading.load(null, (problem) => told.push(problem))).toBe(SNAPSHOT);
    expect(pauses).toEqual([
      [1, undefined],
      [2, 5_000],
      [3, undefined],
    ]);
    expect(told).toEqual(failures);
  });

  it("ends at a permanent refusal", async () => {
    const { loading, pauses, left } = answering(failure("not-found"), SNAPSHOT);
    const told: unknown[] = [];
    expect(await loading.load(null, (problem) => told.push(problem))).toBeNull();
    expect([told.length, pauses, left]).toEqual([1, [], [SNAPSHOT]]);
  });

  it("returns and reports nothing once it is outdated", async () => {
    for (const answer of [SNAPSHOT, failure("network")]) {
      const { loading, pauses } = answering(answer, SNAPSHOT);
      const told: unknown[] = [];
      const loaded = loading.load(null, (problem) => told.push(problem));
      loading.overtake();
      const newer = loading.load(null, () => undefined);
      expect([await loaded, told, pauses]).toEqual([null, [], []]);
      loading.overtake();
      await newer;
    }
  });

  it("is cancelled by a newer load", async () => {
    const { loading } = answering(SNAPSHOT, SNAPSHOT);
    const both = [loading.load(null, () => undefined), loading.load("m1", () => undefined)];
    expect(await Promise.all(both)).toEqual([null, SNAPSHOT]);
  });
});
