import { describe, expect, it } from "vitest";
import { TransportError } from "@/transport/index";
import { whyRefused } from "./refusal";

const NOW = new Date(2026, 0, 5, 14, 0).getTime(); // a Monday
const limited = (retryAfterMs?: number): TransportError =>
  new TransportError("limited", { message: "The limit is 3.", retryAfterMs });

describe("why a message was refused", () => {
  it("is a time of day at a limit, which stays true", () => {
    expect(whyRefused(limited(32 * 60_000), NOW, "en-GB")).toContain("can be sent from 14:32 on");
  });

  it("names the day when that is far away", () => {
    expect(whyRefused(limited(20 * 3600_000), NOW, "en-GB")).toMatch(/from Tuesday.* 10:00 on/);
  });

  it("is the server's sentence when waiting does not help, and for all else", () => {
    expect(whyRefused(limited(), NOW)).toBe("The limit is 3.");
    expect(whyRefused(new TransportError("invalid", { message: "No.", retryAfterMs: 9 }), NOW)).toBe("No.");
  });
});
