/** Removes a page's listeners after a test, so each test has a page of its own. */
import { vi } from "vitest";

/** Records the listeners that are added from now on. Returns a function that removes them. */
export function newPage(): () => void {
  const added: (() => void)[] = [];
  for (const target of [window, document]) {
    const add = target.addEventListener.bind(target);
    vi.spyOn(target, "addEventListener").mockImplementation(
      (type: string, listener: EventListenerOrEventListenerObject, options?: unknown) => {
        add(type, listener, options as AddEventListenerOptions);
        added.push(() => target.removeEventListener(type, listener));
      },
    );
  }
  return () => {
    for (const remove of added) remove();
  };
}
