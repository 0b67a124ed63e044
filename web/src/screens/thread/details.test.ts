// @vitest-environment jsdom
import { expect, it } from "vitest";
import { factsOf, leftOutOf } from "./details";

const facts = (about: Parameters<typeof factsOf>[0]) => Object.fromEntries(factsOf(about));

it("shows tokens, cost and time in readable form", () => {
  expect(
    facts({
      model: "m",
      usage: { inputTokens: 12_345, outputTokens: 20, reasoningTokens: 0 },
      cost: 0.000_012_3,
      timing: { firstTokenMs: 480, totalMs: 12_300 },
      attempts: 1,
    }),
  ).toEqual({
    Model: "m",
    Question: "12,345 tokens",
    Answer: "20 tokens",
    Cost: "$0.0000123",
    "First words after": "0.48 s",
    "Whole answer": "12 s",
  });
});

it("shows attempts if there was more than one, and omits missing values", () => {
  expect(facts({ attempts: 2, cost: 1.5 })).toEqual({ Attempts: "2", Cost: "$1.50" });
  expect(factsOf({})).toEqual([]);
  expect(facts({ cost: 0 })).toEqual({ Cost: "$0.00" });
  expect(facts({ timing: { firstTokenMs: 3 } })).toEqual({ "First words after": "< 0.01 s" });
});

it("shows the rung of each attempt, and the text that was dropped", () => {
  const ladder = [
    { rung: "first" },
    { rung: "continue", held: 120, dropped: 34 },
    { rung: "restart", asked: "continue", repeated: 1005 },
    { rung: "reattach" },
    { rung: "prefill" },
    { rung: "by pigeon" },
  ];
  expect(factsOf({ attempts: 5, totalCost: 0.02, ladder })).toEqual([
    ["… of all attempts", "$0.02"],
    ["Attempts", "5"],
    ["Asked, 1", "from the start"],
    ["Asked, 2", "asked to go on"],
    ["… held back", "120 characters"],
    ["… dropped", "34 characters"],
    ["Asked, 3", "asked to go on"],
    ["… but", "begun again"],
    ["… written again", "1,005 characters"],
    ["Asked, 4", "listened to again"],
    ["Asked, 5", "continued from its text"],
    ["Asked, 6", "by pigeon"],
  ]);
  expect(factsOf({ ladder: [{ rung: "first" }] })).toEqual([]);
});

it("shows why an answer ended early", () => {
  expect(facts({ finishReason: "length" })).toEqual({ "Ended by": "its length limit" });
  expect(facts({ finishReason: "content-filter" })).toEqual({ "Ended by": "the provider's filter" });
  expect(factsOf({ finishReason: "stop" })).toEqual([]);
});

it("says how many messages were not sent to the model, if any", () => {
  expect(leftOutOf({})).toBeNull();
  expect(leftOutOf({ context: { turns: 3, dropped: 0, tokens: 90 } })).toBeNull();
  const many = leftOutOf({ context: { turns: 3, dropped: 1200, tokens: 90 } });
  expect(many).toBe("The first 1,200 messages of this chat were not sent to the model: the chat is too long.");
  expect(leftOutOf({ context: { turns: 1, dropped: 1, tokens: 90 } })).toMatch(/^The first message of this chat was/);
});
