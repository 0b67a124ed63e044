import { expect, it } from "vitest";
import { endingOf } from "./ending";

it("says how an answer ended that did not end by its own last word", () => {
  expect(endingOf({ status: "finished", finishReason: "stop" })).toBeNull();
  expect(endingOf({ status: "finished" })).toBeNull();
  const length = "The answer was cut at its length limit.";
  expect(endingOf({ status: "finished", finishReason: "length" })).toBe(length);
  expect(endingOf({ finishReason: "content-filter" })).toBe("The provider's filter ended this answer.");
});

it("says a failure or a stop rather than why the model ended", () => {
  const about = { finishReason: "length", error: "The model is overloaded." };
  expect(endingOf({ ...about, status: "failed" })).toBe("The model is overloaded.");
  expect(endingOf({ status: "failed" })).toBe("The answer failed.");
  expect(endingOf({ ...about, status: "stopped" })).toBe("Stopped.");
});
