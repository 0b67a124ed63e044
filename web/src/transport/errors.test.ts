import { describe, expect, it } from "vitest";
import { refusal, TransportError } from "./errors.js";

const NAME = "urn:durable-llm-streams:";

function refused(status: number, problem?: object, headers: Record<string, string> = {}) {
  const type = problem ? "application/problem+json" : "text/html";
  const response = new Response(null, { status, headers: { "content-type": type, ...headers } });
  return refusal(response, problem ? JSON.stringify(problem) : "<h1>Nginx</h1>", 0);
}

describe("a refusal", () => {
  it.each([
    [400, "invalid", false],
    [401, "unauthorized", false],
    [403, "forbidden", false],
    [404, "not-found", false],
    [405, "invalid", false],
    [408, "unavailable", true],
    [409, "conflict", false],
    [410, "cursor-lost", false],
    [413, "invalid", false],
    [415, "invalid", false],
    [422, "invalid", false],
    [425, "unavailable", true],
    [429, "unavailable", true],
    [500, "server", true],
    [501, "server", true],
    [502, "unavailable", true],
    [503, "unavailable", true],
    [504, "unavailable", true],
    [200, "not-a-stream", true],
  ])("with status %i is of kind %s", (status, kind, retryable) => {
    expect(refused(status)).toMatchObject({ status, kind, retryable });
  });

  it("has the server's message", () => {
    const problem = { type: `${NAME}chat-busy`, title: "Busy", detail: "Wait a bit.", run: "01r" };
    const error = refused(409, problem);
    expect(error.message).toBe("Wait a bit.");
    expect(error.kind).toBe("busy");
    expect(error.problem).toEqual(problem);
  });

  it.each([
    ["rate-limited", "limited", false],
    ["budget-spent", "limited", false],
    ["too-many-streams", "unavailable", true],
  ])("with the problem %s at 429 is of kind %s", (name, kind, retryable) => {
    const error = refused(429, { type: NAME + name }, { "retry-after": "1800" });
    expect(error).toMatchObject({ kind, retryable, retryAfterMs: 1_800_000 });
  });

  it("treats a cursor of no answer as lost", () => {
    expect(refused(400, { type: `${NAME}invalid-cursor`, detail: "No." }).kind).toBe("cursor-lost");
  });

  it("never has HTML, a number or an empty text as its message", () => {
    for (const error of [refused(404), refused(404, { detail: 7 }), refused(404, { detail: "" })]) {
      expect(error.message).toBe("There is no such chat, or it is not yours.");
    }
    expect(refused(404).problem).toBeUndefined();
    expect(refused(404, []).problem).toBeUndefined();
  });

  it.each([
    ["application/json", '{"detail":"Read."}', "Read."],
    ["application/problem+json", '{"detail":"Read."}', "Read."],
    ["text/html", '{"detail":"Not read."}', undefined],
    ["x-application/json", '{"detail":"Not read."}', undefined],
    ["application/json", "7", undefined],
    ["application/json", "null", undefined],
    ["application/json", '"detail"', undefined],
  ])("of type %s with the body %s has the detail %s", (type, body, detail) => {
    const response = new Response(null, { status: 404, headers: { "content-type": type } });
    expect(refusal(response, body, 0).problem).toEqual(detail && { detail });
  });

  it("accepts a truncated problem document", () => {
    const headers = { "content-type": "application/problem+json; charset=utf-8" };
    const error = refusal(new Response(null, { status: 404, headers }), '{"detail": "Ther', 0);
    expect(error).toMatchObject({ kind: "not-found", status: 404 });
  });

  it("keeps the delay that the server asked for", () => {
    expect(refused(503, {}, { "retry-after": "2" }).retryAfterMs).toBe(2000);
    expect(refused(503).retryAfterMs).toBeUndefined();
  });

  const kinds = ["unauthorized", "forbidden", "not-found", "busy", "conflict", "cursor-lost"] as const;
  const others = ["invalid", "unavailable", "server", "not-a-stream", "network"] as const;
  it.each([...kinds, ...others])("of kind %s has a readable message", (kind) => {
    expect(new TransportError(kind).message).toMatch(/^[A-Z].+\.$/);
  });

  it("is an Error with a name and a cause", () => {
    const cause = new Error("socket");
    const error = new TransportError("network", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "TransportError", cause });
  });
});
