import { describe, expect, it } from "vitest";
import { Replay } from "./replay";

describe("a replay", () => {
  it("is shown when transport and messages have reached the snapshot", () => {
    const replay = new Replay("run.05", "one two");
    expect(replay.hasCaughtUp(undefined, "", 0)).toBe(false);
    expect(replay.hasCaughtUp("run.04", "one two", 0)).toBe(false);
    expect(replay.hasCaughtUp("run.05", "one", 0)).toBe(false);
    expect(replay.hasCaughtUp("run.05", "one two", 1)).toBe(true);
    expect(replay.hasCaughtUp("run.06", "one two three", 1)).toBe(true);
  });

  it("is shown after a timeout when a restarted step has another text", () => {
    const replay = new Replay("run.05", "one two");
    expect(replay.hasCaughtUp("run.07", "other", 1_000)).toBe(false);
    expect(replay.hasCaughtUp("run.08", "other word", 1_500)).toBe(false);
    expect(replay.hasCaughtUp("run.09", "other words", 1_501)).toBe(true);
  });
});
