/** Whether the server's cookie comes back to it. Without one each request is somebody else's. */
import type { Api } from "./api";

/**
 * Asks the server twice at the most: its first answer may have brought the cookie.
 *
 * @returns false also where that cannot be found out: an older server does not tell, and one that
 *   cannot be reached is told of elsewhere.
 */
export async function hasNoCookies(api: Pick<Api, "isKnown">): Promise<boolean> {
  try {
    return !(await api.isKnown()) && !(await api.isKnown());
  } catch {
    return false;
  }
}
