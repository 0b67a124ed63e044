import { type ComponentType, useEffect, useRef, useState } from "react";

/**
 * A component that is loaded when it is wanted for the first time.
 *
 * @param load - imports it; the same function each time.
 * @param onFailure - told when it cannot be loaded. It is tried again when it is wanted again.
 * @returns null while it is not wanted, or not there yet.
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
