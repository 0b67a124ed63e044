import { useEffect, useState } from "react";
import { api } from "@/state/app";
import type { ChatRow } from "@/state/model";

const TYPING_MS = 150;

export interface Found {
  /** The query; the rows are its result, or null during the search. */
  query: string;
  rows: readonly ChatRow[] | null;
}

/** Chats with the query in their titles, found by the server. */
export function useSearch(query: string): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  const wanted = query.trim();
  useEffect(() => {
    if (wanted === "") {
      setFound(null);
      return;
    }
    let current = true;
    const timer = setTimeout(async () => {
      try {
        const page = await api.listChats({ q: wanted, limit: 50 });
        if (current) setFound({ query: wanted, rows: page.chats });
      } catch {
        if (current) setFound({ query: wanted, rows: [] });
      }
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [wanted]);
  if (wanted === "") return null;
  return found?.query === wanted ? found : { query: wanted, rows: found?.rows ?? null };
}
