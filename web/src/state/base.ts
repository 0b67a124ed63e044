/**
 * Where the interface lies: the server writes its path into `<base>` of index.html.
 *
 * Two instances under one host share an origin. What a browser keeps for one of them (storage,
 * locks, channels) carries the path in its name.
 */

/** The path, with a slash at both ends. */
export const base = baseOf(typeof document === "undefined" ? null : document.querySelector("base"));

/** What the names of storage, locks and channels begin with. */
export const scope = base === "/" ? "dls:" : `dls:${base}:`;

/** The address of something of the server. */
export function at(path: string): string {
  return base + path;
}

export function baseOf(element: HTMLBaseElement | null): string {
  if (element === null) return "/";
  return new URL(".", element.href).pathname;
}
