/** Handing the visitor on to another device, and signing out. */
import { at } from "./base";
import { namesOf, onChangeElsewhere, write } from "./storage";

/** What stays when another visitor takes the place of this one: it says nothing about anybody. */
const KEPT = new Set(["theme", "sidebar"]);
const CHANGED = "visitor";
const LINK = "link";

/** The address that hands the visitor on. What follows `#` is not sent to any server. */
export function linkAddress(token: string): string {
  return new URL(`${at(LINK)}#${token}`, location.href).href;
}

/** The token in this page's address, once: it is then gone from the address and the history. */
export function takeToken(): string | null {
  if (location.pathname !== at(LINK)) return null;
  const token = location.hash.slice(1);
  history.replaceState(null, "", at(""));
  return token === "" ? null : token;
}

/** The cookie is another visitor's, or none: begin again, in all tabs, without what is kept here. */
export function beginAgain(): void {
  // Names with a slash in front are of an instance under another path.
  for (const name of namesOf("")) if (!KEPT.has(name) && !name.startsWith("/")) write(name, null);
  write(CHANGED, String(Date.now()));
  location.replace(at(""));
}

/** Do so as well when another tab did. */
export function watchVisitor(): void {
  onChangeElsewhere(CHANGED, () => location.replace(at("")));
}
