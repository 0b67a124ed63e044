// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const TOKEN = "abcdefghijklmnopqrstuv";

beforeEach(() => {
  vi.resetModules();
  localStorage.clear();
  document.head.innerHTML = "";
});
afterEach(() => history.replaceState(null, "", "/"));

function under(base: string, address: string): Promise<typeof import("./devices")> {
  document.head.innerHTML = `<base href="${base}" />`;
  history.replaceState(null, "", address);
  return import("./devices");
}

describe.each(["/", "/chat/"])("a link below %s", (base) => {
  it("has its token where browsers do not send it", async () => {
    const { linkAddress } = await under(base, `${base}c/c1?leaf=m1`);
    expect(linkAddress(TOKEN)).toBe(`${location.origin}${base}link#${TOKEN}`);
  });

  it("is read once, and then gone from the address and the history", async () => {
    const { takeToken } = await under(base, `${base}link#${TOKEN}`);
    const before = history.length;
    expect(takeToken()).toBe(TOKEN);
    expect([location.href, history.length]).toEqual([`${location.origin}${base}`, before]);
    expect(takeToken()).toBeNull();
  });
});

it.each(["/", "/c/link#x", "/linked#x", "/link", "/link#"])("at %s there is no token", async (address) => {
  const { takeToken } = await under("/", address);
  expect(takeToken()).toBeNull();
});

it("other tabs of the browser forget it too, and what they stored since", async () => {
  const { watchVisitor } = await under("/", "/#");
  const { watchStorage, write } = await import("./storage");
  watchStorage();
  watchVisitor();
  write("draft:c1", "secret");
  dispatchEvent(new StorageEvent("storage", { key: "dls:draft:c2" }));
  expect(localStorage.getItem("dls:draft:c1")).toBe("secret");
  localStorage.setItem("dls:visitor", "1");
  dispatchEvent(new StorageEvent("storage", { key: "dls:visitor" }));
  expect(localStorage.getItem("dls:draft:c1")).toBeNull();
  expect(write("draft:c1", "secret")).toBe(false);
});

it("another visitor begins without what this one left", async () => {
  const { beginAgain } = await under("/", "/#");
  for (const name of ["theme", "sidebar", "draft:c1", "outbox:m1", "seen", "model", "/chat/:draft:c2"]) {
    localStorage.setItem(`dls:${name}`, "x");
  }
  localStorage.setItem("another", "x");
  beginAgain();
  const left = Object.keys(localStorage).filter((name) => name !== "dls:visitor");
  expect(left.sort()).toEqual(["another", "dls:/chat/:draft:c2", "dls:sidebar", "dls:theme"]);
  expect(localStorage.getItem("dls:visitor")).not.toBeNull();
  const { write } = await import("./storage");
  expect(write("draft:c1", "what the page still wants to keep")).toBe(false);
  expect(localStorage.getItem("dls:draft:c1")).toBeNull();
});
