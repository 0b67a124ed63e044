// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";

vi.mock("@/state/app", () => ({ transport: {} }));

import { isForPeople } from "@/state/model";
import type { ConversationView } from "@/state/view";
import { Versions } from "@/state/versions";
import type { ConnectionState } from "@/transport/index";
import { runStateOf } from "./run-state";

const CALM: ConnectionState = { phase: "live", attempt: 0, resumes: 0, skipped: 0 };
const VIEW: ConversationView = {
  loading: "ready",
  messages: [],
  versions: new Versions(),
  status: "streaming",
  problem: null,
  stopping: false,
  notice: null,
  found: false,
  elsewhere: null,
};

const kind = (view: Partial<ConversationView>, connection: Partial<ConnectionState>): string =>
  runStateOf({ ...VIEW, ...view }, { ...CALM, ...connection }, 0).kind;

describe("the line below an answer", () => {
  it("says nothing when all is well", () => {
    expect(runStateOf(VIEW, CALM, 0)).toEqual({ kind: "none", tone: "quiet", text: "" });
  });

  it("says first what keeps words from coming", () => {
    const notice = { event: "takeover" };
    expect(kind({ notice }, { phase: "offline", resumes: 1 })).toBe("offline");
    expect(kind({ notice }, { phase: "reconnecting", resumes: 1 })).toBe("reconnecting");
    expect(kind({ notice }, { phase: "paused" })).toBe("paused");
    expect(kind({ notice, stopping: true }, {})).toBe("stopping");
  });

  it("counts the seconds to the next attempt", () => {
    const at = (retryAt: number | undefined): string =>
      runStateOf(VIEW, { ...CALM, phase: "reconnecting", retryAt }, 1_000).text;
    expect(at(4_500)).toBe("Reconnecting in 4 s");
    expect(at(1_200)).toBe("Reconnecting…");
    expect(at(undefined)).toBe("Reconnecting…");
  });

  it("tells nothing of what only the next worker needs", () => {
    expect(["takeover", "retry", "job", "rung"].filter((event) => isForPeople({ event }))).toEqual([
      "takeover",
      "retry",
    ]);
  });

  it("tells of retries, takeovers and resumed streams", () => {
    const retry = { event: "retry", attempt: 2, attempts: 5 };
    expect(runStateOf({ ...VIEW, notice: retry }, CALM, 0).text).toContain("Attempt 2 of 5");
    expect(kind({ notice: { event: "takeover" } }, { resumes: 3 })).toBe("taken-over");
    expect(kind({}, { resumes: 1 })).toBe("resumed");
    expect(kind({ found: true }, {})).toBe("resumed");
  });
});
