import { expect, it } from "vitest";
import { endingOf } from "./ending";

it("shows why an answer ended early", () => {
  expect(endingOf({ status: "finished", finishReason: "stop" })).toBeNull();
  expect(endingOf({ status: "finished" })).toBeNull();
  const length = "The answer was cut at its length limit.";
  expect(endingOf({ status: "finished", finishReason: "length" })).toBe(length);
  expect(endingOf({ finishReason: "content-filter" })).toBe("The provider's filter ended this answer.");
});

it("shows a failure or a stop rather than the model's finish reason", () => {
  const about = { finishReason: "length", error: "The model is overloaded." };
  expect(endingOf({ ...about, status: "failed" })).toBe("The model is overloaded.");
  expect(endingOf({ status: "failed" })).toBe("The answer failed.");
  expect(endingOf({ ...about, status: "stopped" })).toBe("Stopped.");
});
