/** Handing the visitor on to another device, and signing out. */
import { at } from "./base";
import { closeStorage, namesOf, onChangeElsewhere, read, write } from "./storage";

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
  forgetAll();
  write(CHANGED, String(Date.now()));
  leave();
}

/** Do so as well when another tab did. */
export function watchVisitor(): void {
  onChangeElsewhere(CHANGED, () => {
    if (read(CHANGED) === null) return; // a third tab is forgetting
    forgetAll(); // also what this tab stored since
    leave();
  });
}

function forgetAll(): void {
  for (const name of namesOf("")) {
    // Names with a slash in front are of an instance under another path.
    if (name !== CHANGED && !KEPT.has(name) && !name.startsWith("/")) write(name, null);
  }
}

function leave(): void {
  closeStorage(); // a draft is stored when its page goes
  location.replace(at(""));
}
