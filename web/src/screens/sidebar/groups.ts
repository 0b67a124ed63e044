import type { ChatRow } from "@/state/model";

export interface Group {
  name: string;
  rows: ChatRow[];
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Groups chats by the day of their last change and keeps their order. */
export function groupByDay(rows: readonly ChatRow[], now: Date): Group[] {
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const groups: Group[] = [];
  for (const row of rows) {
    const name = nameOf(Date.parse(row.updated_at), today);
    const last = groups.at(-1);
    if (last?.name === name) last.rows.push(row);
    else groups.push({ name, rows: [row] });
  }
  return groups;
}

function nameOf(time: number, today: number): string {
  if (time >= today) return "Today";
  if (time >= today - DAY_MS) return "Yesterday";
  if (time >= today - 7 * DAY_MS) return "Last 7 days";
  if (time >= today - 30 * DAY_MS) return "Last 30 days";
  return "Older";
}
