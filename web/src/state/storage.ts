/**
 * The browser's storage between visits: drafts, the outbox, settings.
 *
 * Storage may be forbidden (private windows, policies) or full. Then values are kept in memory
 * only, and `trouble` is set: the interface warns that they will not survive a reload.
 */
import { createStore } from "zustand/vanilla";
import { scope } from "./base";

const PREFIX = scope;

export type StorageTrouble = "forbidden" | "full" | null;

export const storageTrouble = createStore<StorageTrouble>(() => null);

let isClosed = false;
const memory = new Map<string, string>();
const listeners = new Map<string, Set<() => void>>();

export function read(key: string): string | null {
  const kept = memory.get(key);
  if (kept !== undefined) return kept;
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    storageTrouble.setState("forbidden", true);
    return null;
  }
}

/** The stored names with this prefix. */
export function namesOf(prefix: string): string[] {
  const names = new Set(memory.keys());
  try {
    for (let index = 0; index < localStorage.length; index++) {
      const key = localStorage.key(index);
      if (key?.startsWith(PREFIX)) names.add(key.slice(PREFIX.length));
    }
  } catch {
    storageTrouble.setState("forbidden", true);
  }
  return [...names].filter((name) => name.startsWith(prefix));
}

/** Nothing that this page still does is stored: it is about to be loaded again for somebody else. */
export function closeStorage(): void {
  isClosed = true;
}

/** Store a value; null removes it. Returns whether it will survive a reload. */
export function write(key: string, value: string | null): boolean {
  if (isClosed) return false;
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch (error) {
    if (value === null) memory.delete(key);
    else memory.set(key, value);
    storageTrouble.setState(isFull(error) ? "full" : "forbidden", true);
    return false;
  }
  memory.delete(key);
  writeWhatWaits();
  return true;
}

/** There is room again: try to store the values that are in memory only. */
function writeWhatWaits(): void {
  try {
    for (const [key, value] of memory) {
      localStorage.setItem(PREFIX + key, value);
      memory.delete(key);
    }
    storageTrouble.setState(null, true);
  } catch {
    // the trouble continues, and is reported already
  }
}

export function readJson<T>(key: string, isT: (value: unknown) => value is T): T | null {
  const text = read(key);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isT(value) ? value : null;
  } catch {
    return null; // written by another version, or by hand
  }
}

export function writeJson(key: string, value: unknown): boolean {
  return write(key, JSON.stringify(value));
}

/** Subscribe to changes by other tabs to values with this prefix. */
export function onChangeElsewhere(prefix: string, listener: () => void): () => void {
  const known = listeners.get(prefix) ?? new Set();
  listeners.set(prefix, known.add(listener));
  return () => void known.delete(listener);
}

/** Subscribe to the other tabs, once for the page. */
export function watchStorage(): void {
  addEventListener("storage", (event) => {
    const name = event.key?.slice(PREFIX.length); // no name: everything was removed
    for (const [prefix, known] of listeners) {
      if (name === undefined || name.startsWith(prefix)) for (const listener of known) listener();
    }
  });
}

function isFull(error: unknown): boolean {
  return error instanceof DOMException && /quota/i.test(error.name);
}
