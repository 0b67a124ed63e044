import { useSyncExternalStore } from "react";
import { useStore } from "zustand";
import type { StoreApi } from "zustand/vanilla";
import { transport } from "@/state/app";
import type { ConnectionState } from "@/transport/index";

export function useAll<T>(store: StoreApi<T>): T {
  return useStore(store);
}

/** The state of the connection that follows a chat's answer. */
export function useConnection(chat: string): ConnectionState {
  return useSyncExternalStore(
    (listener) => transport.subscribe(chat, listener),
    () => transport.getState(chat),
  );
}
