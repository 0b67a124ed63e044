import { describe, expect, it } from "vitest";
import { TransportError } from "@/transport/index";
import { Api } from "./api";
import { hasNoCookies } from "./visitor";

/** A server with these answers, in order. */
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
  it("when the server does not recognise it twice", async () => {
    expect(await hasNoCookies(answering(false, false))).toBe(true);
  });

  it("not when the second request has one; a recognised browser asks once", async () => {
    expect(await hasNoCookies(answering(false, true))).toBe(false);
    const known = answering(true, false);
    expect(await hasNoCookies(known)).toBe(false);
    expect(known.left).toEqual([false]);
  });

  it("not when an older server does not report it", async () => {
    expect(await hasNoCookies(new Api(async () => Response.json({})))).toBe(false);
    expect(await hasNoCookies(new Api(async () => Response.json({ known: false })))).toBe(true);
  });

  it("not when the request fails", async () => {
    expect(await hasNoCookies(answering(new TransportError("not-found")))).toBe(false);
    expect(await hasNoCookies(answering(false, new TransportError("network")))).toBe(false);
  });
});
