/**
 * The path of the interface: the server writes it into `<base>` of index.html.
 *
 * Two instances under one host share an origin. The browser's storage, locks and
 * channels have the path in their names.
 */

/** The path, with a slash at each end. */
export const base = baseOf(typeof document === "undefined" ? null : document.querySelector("base"));

/** The prefix of the names of storage, locks and channels. */
export const scope = base === "/" ? "dls:" : `dls:${base}:`;

/** The address of a resource of the server. */
export function at(path: string): string {
  return base + path;
}

export function baseOf(element: HTMLBaseElement | null): string {
  if (element === null) return "/";
  return new URL(".", element.href).pathname;
}
