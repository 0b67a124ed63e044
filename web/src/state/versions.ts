/** The versions of a chat's messages: siblings in the tree, oldest first. */
import type { Version } from "./model";

export interface Place {
  /** The index of the message among its versions, from 0. */
  index: number;
  ids: readonly string[];
}

export class Versions {
  readonly #byId: ReadonlyMap<string, Version>;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(readonly list: readonly Version[] = []) {
    const siblings = new Map<string, string[]>();
    const places = new Map<string, Place>();
    for (const version of list) {
      const key = keyOf(version);
      const ids = siblings.get(key) ?? [];
      siblings.set(key, ids);
      places.set(version.id, { index: ids.length, ids });
      ids.push(version.id);
    }
    this.#byId = new Map(list.map((version) => [version.id, version]));
    this.#places = places;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** The position of a message among its versions; null while it is not on the server. */
  placeOf(id: string): Place | null {
    return this.#places.get(id) ?? null;
  }

  with(...more: readonly Version[]): Versions {
    const fresh = more.filter((version) => !this.has(version.id));
    return fresh.length === 0 ? this : new Versions([...this.list, ...fresh]);
  }
}

/** The versions on a branch. */
export function lineage(branch: readonly Pick<Version, "id" | "role">[]): Version[] {
  return branch.map(({ id, role }, index) => ({ id, role, parent: branch[index - 1]?.id ?? null }));
}

function keyOf(version: Version): string {
  return `${version.role} ${version.parent ?? ""}`;
}
