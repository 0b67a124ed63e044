/** A page's listeners, taken away with it: the next test has a page of its own. */
import { vi } from "vitest";

/** Notes the listeners that are added from now on. Returns what takes them away. */
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
