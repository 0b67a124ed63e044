import { describe, expect, it } from "vitest";
import { TransportError } from "@/transport/index";
import { Api } from "./api";
import { hasNoCookies } from "./visitor";

/** A server that gives these answers, one after the other. */
function answering(...answers: (boolean | Error)[]) {
  const left = [...answers];
  return {
    left,
    isKnown: async () => {
      const answer = left.shift();
      if (typeof answer !== "boolean") throw answer;
      return answer;
    },
  };
}

describe("a browser has no cookies", () => {
  it("when the server does not know it twice", async () => {
    expect(await hasNoCookies(answering(false, false))).toBe(true);
  });

  it("not when the first answer brought the cookie, and asks once where it is known", async () => {
    expect(await hasNoCookies(answering(false, true))).toBe(false);
    const known = answering(true, false);
    expect(await hasNoCookies(known)).toBe(false);
    expect(known.left).toEqual([false]);
  });

  it("not when an older server does not tell", async () => {
    expect(await hasNoCookies(new Api(async () => Response.json({})))).toBe(false);
    expect(await hasNoCookies(new Api(async () => Response.json({ known: false })))).toBe(true);
  });

  it("not when that cannot be found out", async () => {
    expect(await hasNoCookies(answering(new TransportError("not-found")))).toBe(false);
    expect(await hasNoCookies(answering(false, new TransportError("network")))).toBe(false);
  });
});
