import { type ComponentType, useEffect, useRef, useState } from "react";

/**
 * A component that is loaded at its first use.
 *
 * @param load - imports it; the same function each time.
 * @param onFailure - called when loading fails. The next use is a retry.
 * @returns null while it is not used or not loaded.
 */
export function useLoaded<P>(
  load: () => Promise<{ default: ComponentType<P> }>,
  isWanted: boolean,
  onFailure: () => void,
): ComponentType<P> | null {
  const [loaded, setLoaded] = useState<ComponentType<P> | null>(null);
  const failed = useRef(onFailure);
  failed.current = onFailure;
  const isMissing = isWanted && loaded === null;
  useEffect(() => {
    if (!isMissing) return;
    let isCurrent = true;
    load().then(
      (module) => isCurrent && setLoaded(() => module.default),
      () => isCurrent && failed.current(),
    );
    return () => {
      isCurrent = false;
    };
  }, [load, isMissing]);
  return isWanted ? loaded : null;
}
