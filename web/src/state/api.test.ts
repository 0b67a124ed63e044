import { afterEach, describe, expect, it, vi } from "vitest";
import { Api } from "./api";

afterEach(() => vi.unstubAllGlobals());

/** A server with these answers, and the requests that it received. */
function serving(...answers: (Response | Error)[]) {
  const asked: [string, RequestInit | undefined][] = [];
  const api = new Api(async (input, init) => {
    asked.push([String(input), init]);
    const answer = answers.shift();
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error("No more.");
    return answer;
  });
  return { api, asked };
}

describe("a request to the server", () => {
  const row = { id: "a b", title: "New" };
  const same = { credentials: "same-origin" };
  const patch = {
    ...same,
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: '{"title":"New"}',
  };

  it.each([
    ["lists", (api: Api) => api.listChats(), "/api/chats?", same, { chats: [], next: null }],
    ["searches", (api: Api) => api.listChats({ q: "x&y", before: "t" }), "/api/chats?q=x%26y&before=t", same, {}],
    ["opens a chat", (api: Api) => api.getChat("a b"), "/api/chats/a%20b", same, row],
    ["opens a version", (api: Api) => api.getChat("a", "m/1"), "/api/chats/a?leaf=m%2F1", same, row],
    ["renames", (api: Api) => api.rename("a b", "New"), "/api/chats/a%20b", patch, row],
  ])("%s", async (_, call, path, init, answer) => {
    const { api, asked } = serving(Response.json(answer));
    expect(await call(api)).toEqual(answer);
    expect(asked).toEqual([[path, init]]);
  });

  it("deletes, even while the page unloads", async () => {
    const { api, asked } = serving(new Response(), new Response());
    await api.delete("c1");
    await api.delete("c1", { keepalive: true });
    const init = { credentials: "same-origin", method: "DELETE" };
    expect(asked).toEqual([
      ["/api/chats/c1", init],
      ["/api/chats/c1", { ...init, keepalive: true }],
    ]);
  });

  it("makes and uses links, and signs out", async () => {
    const { api, asked } = serving(Response.json({ token: "t", expires_in: 60 }), new Response(), new Response());
    expect(await api.makeLink()).toEqual({ token: "t", seconds: 60 });
    await api.useLink("t");
    await api.signOut(true);
    const json = { ...patch, method: "POST" };
    expect(asked).toEqual([
      ["/api/visitor/links", { ...same, method: "POST" }],
      ["/api/visitor/links/use", { ...json, body: '{"token":"t"}' }],
      ["/api/visitor/sign-out", { ...json, body: '{"everywhere":true}' }],
    ]);
  });

  it("lists the models", async () => {
    const { api, asked } = serving(Response.json({ models: [{ id: "m" }] }));
    expect(await api.models()).toEqual([{ id: "m" }]);
    expect(asked[0]?.[0]).toBe("/api/models");
  });

  it("recognises the browser unless the server denies it", async () => {
    const answers = [{ known: true }, { known: false }, {}].map((answer) => Response.json(answer));
    const { api, asked } = serving(...answers);
    expect([await api.isKnown(), await api.isKnown(), await api.isKnown()]).toEqual([true, false, true]);
    expect(asked[0]?.[0]).toBe("/api/visitor");
  });

  it("uses the global fetch of that moment", async () => {
    vi.stubGlobal("fetch", async () => Response.json({ known: false }));
    expect(await new Api().isKnown()).toBe(false);
  });
});

describe("a request that fails", () => {
  const cause = new TypeError("Failed to fetch");
  const headers = { "content-type": "application/problem+json" };
  const cut = new Response(new ReadableStream({ start: (c) => c.error(cause) }), { status: 503 });
  const problem = new Response('{"detail":"Sign in."}', { status: 401, headers });

  it.each([
    ["the network", cause, { kind: "network", cause }],
    ["a cut in a refusal", cut, { kind: "network", cause }],
    ["a refusal", problem, { kind: "unauthorized", message: "Sign in.", status: 401 }],
    ["a portal's page", new Response("<html>"), { kind: "not-a-stream", cause: expect.any(SyntaxError) }],
  ])("by %s says so", async (_, answer, expected) => {
    await expect(serving(answer).api.getChat("c1")).rejects.toMatchObject(expected);
  });
});
