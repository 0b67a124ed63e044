/** Whether the browser returns the server's cookie. Without one each request is a new visitor. */
import type { Api } from "./api";

/**
 * Asks the server at most twice: its first answer may have set the cookie.
 *
 * @returns false also where there is no result: an older server does not report it, and an
 *   unreachable one is reported elsewhere.
 */
export async function hasNoCookies(api: Pick<Api, "isKnown">): Promise<boolean> {
  try {
    return !(await api.isKnown()) && !(await api.isKnown());
  } catch {
    return false;
  }
}
