/** The versions of a chat's messages: siblings in the tree, oldest first. */
import type { Version } from "./model";

export interface Place {
  /** Where the message stands among its versions, from 0. */
  index: number;
  ids: readonly string[];
}

export class Versions {
  readonly #byId: ReadonlyMap<string, Version>;
  readonly #siblings: ReadonlyMap<string, readonly string[]>;

  constructor(readonly list: readonly Version[] = []) {
    const siblings = new Map<string, string[]>();
    for (const version of list) {
      const key = keyOf(version);
      const ids = siblings.get(key);
      if (ids) ids.push(version.id);
      else siblings.set(key, [version.id]);
    }
    this.#byId = new Map(list.map((version) => [version.id, version]));
    this.#siblings = siblings;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  parentOf(id: string): string | null {
    return this.#byId.get(id)?.parent ?? null;
  }

  /** Where a message stands among its versions; null while the server does not know it. */
  placeOf(id: string): Place | null {
    const version = this.#byId.get(id);
    if (!version) return null;
    const ids = this.#siblings.get(keyOf(version)) ?? [id];
    return { index: ids.indexOf(id), ids };
  }

  with(...more: readonly Version[]): Versions {
    const fresh = more.filter((version) => !this.has(version.id));
    return fresh.length === 0 ? this : new Versions([...this.list, ...fresh]);
  }
}

function keyOf(version: Version): string {
  return `${version.role} ${version.parent ?? ""}`;
}
