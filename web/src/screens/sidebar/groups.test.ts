import { expect, it } from "vitest";
import type { ChatRow } from "@/state/model";
import { groupByDay } from "./groups";

function row(id: string, time: Date): ChatRow {
  const at = time.toISOString();
  return { id, title: id, created_at: at, updated_at: at, active: false };
}

it("groups chats by the day of their last change, in order", () => {
  const now = new Date(2026, 5, 15, 9, 0);
  const at = (days: number, hour: number): Date => new Date(2026, 5, 15 - days, hour);
  const rows = [row("a", at(0, 8)), row("b", at(1, 23)), row("c", at(1, 1)), row("d", at(5, 1)), row("e", at(80, 1))];
  const groups = groupByDay(rows, now).map((group) => [group.name, group.rows.map(({ id }) => id)]);
  expect(groups).toEqual([
    ["Today", ["a"]],
    ["Yesterday", ["b", "c"]],
    ["Last 7 days", ["d"]],
    ["Older", ["e"]],
  ]);
});
