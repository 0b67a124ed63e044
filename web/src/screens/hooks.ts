import { useSyncExternalStore } from "react";
import { useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import type { StoreApi } from "zustand/vanilla";
import { transport } from "@/state/app";
import type { ConnectionState } from "@/transport/index";

export function useAll<T>(store: StoreApi<T>): T {
  return useStore(store);
}

/** A part of a store; its component renders again only when that part changes. */
export function usePart<T, P>(store: StoreApi<T>, part: (state: T) => P): P {
  return useStore(store, useShallow(part));
}

/** The state of the connection that follows a chat's answer. */
export function useConnection(chat: string): ConnectionState {
  return useSyncExternalStore(
    (listener) => transport.subscribe(chat, listener),
    () => transport.getState(chat),
  );
}
