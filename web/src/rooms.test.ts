import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

/** The allowed imports of each room; CONTRIBUTING.md describes the rooms. */
const ROOMS: Record<string, readonly string[]> = {
  transport: [],
  ui: [],
  markdown: ["ui"],
  state: ["transport", "words"],
  screens: ["markdown", "state", "transport", "ui", "words"],
};

const NO_REACT = new Set(["transport", "state"]);
const source = path.join(import.meta.dirname);

function files(room: string): string[] {
  const names = readdirSync(path.join(source, room), { recursive: true, encoding: "utf8" });
  const code = names.filter((name) => /\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name));
  return code.filter((name) => !/(^|\/)(dist|testing|node_modules)\//.test(name));
}

function imports(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, name]) => name ?? "");
}

/** The room that an import of a file leads to; null for a package. */
function roomOf(file: string, name: string): string | null {
  if (name.startsWith("@/")) return name.slice(2).split("/")[0] ?? null;
  if (!name.startsWith(".")) return null;
  const target = path.relative(source, path.resolve(path.dirname(file), name));
  return target.split(path.sep)[0] ?? null;
}

it("gives every folder a room", () => {
  const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(ROOMS).sort());
});

it.each(Object.keys(ROOMS))("imports into %s only from the rooms below it", (room) => {
  const allowed = new Set([room, ...(ROOMS[room] ?? [])]);
  const wrong = files(room).flatMap((name) => {
    const file = path.join(source, room, name);
    const rooms = imports(file).map((imported) => roomOf(file, imported));
    return rooms.filter((one) => one !== null && !allowed.has(one)).map((one) => `${name}: ${one}`);
  });
  expect(files(room).length).toBeGreaterThan(0);
  expect(wrong).toEqual([]);
});

it.each([...NO_REACT])("keeps React out of %s", (room) => {
  const wrong = files(room).filter((name) =>
    imports(path.join(source, room, name)).some((imported) => /^react(-dom)?(\/|$)/.test(imported)),
  );
  expect(wrong).toEqual([]);
});
