// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";

vi.mock("@/state/app", () => ({ transport: {} }));

import type { RunNotice } from "@/state/model";
import type { ConnectionState } from "@/transport/index";
import { runStateOf } from "./run-state";

const CALM: ConnectionState = { phase: "live", attempt: 0, resumes: 0, skipped: 0 };
const VIEW: Parameters<typeof runStateOf>[0] = {
  stopping: false,
  notice: null,
  retryAt: null,
  found: false,
  isCut: false,
  isQuiet: false,
};

const kind = (view: Partial<typeof VIEW>, connection: Partial<ConnectionState>): string =>
  runStateOf({ ...VIEW, ...view }, { ...CALM, ...connection }, 0).kind;
const text = (notice: RunNotice, view: Partial<typeof VIEW> = {}): string =>
  runStateOf({ ...VIEW, notice, ...view }, CALM, 1_000).text;

const LOST = "Continued after a restart. Nothing was lost.";
const GO_ON = "The model was asked to go on where it was cut off.";
const AGAIN = "The answer begins again; the text so far stays until the new one is as long.";

describe("the line below an answer", () => {
  it("is empty without problems", () => {
    expect(runStateOf(VIEW, CALM, 0)).toEqual({ kind: "none", tone: "quiet", text: "" });
  });

  it("shows the cause of missing text first", () => {
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

  it("shows retries, takeovers and resumed streams", () => {
    expect(kind({ notice: { event: "retry" } }, {})).toBe("retrying");
    expect(kind({ notice: { event: "takeover" } }, { resumes: 3 })).toBe("taken-over");
    expect(kind({}, { resumes: 1 })).toBe("resumed");
    expect(kind({ found: true }, {})).toBe("resumed");
  });

  it("describes a takeover by its rung", () => {
    const event = "takeover";
    expect(text({ event, rung: "reattach" })).toBe(LOST);
    expect(text({ event, rung: "prefill" })).toBe(LOST);
    expect(text({ event, rung: "continue" })).toBe(GO_ON);
    expect(text({ event, rung: "restart", repeated: 1005 }, { isCut: true })).toBe(AGAIN);
    expect(text({ event, rung: "restart", repeated: 1005 })).toBe(
      "The answer was cut off and has begun again.",
    );
    expect(text({ event, rung: "restart" })).toBe(LOST); // there was no text
  });

  it("shows a restart within an attempt, but no refused rungs", () => {
    expect(text({ event: "rung", rung: "restart", repeated: 40 }, { isCut: true })).toBe(AGAIN);
    expect(text({ event: "rung", rung: "continue" })).toBe(GO_ON);
    expect(text({ event: "rung", rung: "prefill" })).toBe("");
  });

  it("shows why an attempt failed, the time of the next, then its rung", () => {
    const retry = { event: "retry", attempt: 2, attempts: 5, reason: "The model is overloaded." };
    const soon = { retryAt: 4_500 };
    expect(text(retry, soon)).toBe("The model is overloaded. Trying again in 4 s. Attempt 2 of 5…");
    expect(text(retry, { retryAt: 1_400 })).toBe("The model is overloaded. Attempt 2 of 5…");
    expect(text({ event: "retry" })).toBe("The model did not answer. Attempt 2 of 2…");
    expect(text({ ...retry, rung: "continue" })).toBe(`${GO_ON} Attempt 2 of 5…`);
    expect(text({ ...retry, rung: "restart" }, { isCut: true })).toBe(`${AGAIN} Attempt 2 of 5…`);
  });

  it("shows activity in every wait", () => {
    const awaits = (view: Partial<typeof VIEW>): boolean | undefined =>
      runStateOf({ ...VIEW, ...view }, CALM, 0).awaits;
    expect(runStateOf({ ...VIEW, isQuiet: true }, CALM, 0)).toMatchObject({ kind: "waiting", awaits: true });
    expect(awaits({ notice: { event: "retry" } })).toBe(true);
    expect(awaits({ isCut: true })).toBe(true);
    expect(awaits({ notice: { event: "takeover", rung: "continue" }, isQuiet: true })).toBe(true);
    expect(awaits({ notice: { event: "takeover", rung: "continue" } })).toBe(false);
  });
});
