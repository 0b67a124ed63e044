/** Wherever a connection is cut, nothing is lost and nothing is duplicated. */

import { describe, expect, it } from "vitest";
import type { Answer, Ending, Fault } from "./testing/server.js";
import { answer, body, portal, refuse, unreachable } from "./testing/server.js";
import { folded, Stage, textOf } from "./testing/stage.js";
import { seeded } from "./testing/world.js";

const TEXT = "Zwölf Boxkämpfer 👋🏽 jagen Eva quer über den großen Sylter Deich, 世界 \u2028 und heim.";
const SEEDS = Array.from({ length: 400 }, (_, i) => i + 1);

/** A connection that repeats events, splits them anywhere and is cut after any byte. */
function faultyWire(random: () => number): Fault {
  const below = (limit: number) => Math.floor(random() * limit);
  const kind = random();
  if (kind < 0.1) return unreachable;
  if (kind < 0.15) return refuse(503, {}, { "retry-after": "1" });
  if (kind < 0.2) return portal;
  return (answer: Answer) => {
    const bytes = answer.frames(Math.max(0, answer.after - below(4)));
    const end = below(bytes.length + 1);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < end; ) {
      const next = Math.min(end, at + 1 + below(random() < 0.3 ? 3 : 200));
      pieces.push(bytes.slice(at, next));
      at = next;
    }
    const endings: Ending[] = ["end", "error", "hang"];
    return body(answer, pieces, endings[below(3)] ?? "end");
  };
}

describe("random cuts", () => {
  it.each(SEEDS)("lose nothing and duplicate nothing (seed %i)", async (seed) => {
    const random = seeded(seed);
    const stage = new Stage({ random });
    stage.server.log = answer(TEXT);
    const faults = Math.floor(random() * 12);
    stage.server.faults = Array.from({ length: faults }, () => faultyWire(random));
    const chunks = await stage.sendAndRead();
    expect(textOf(chunks)).toBe(TEXT);
    expect(folded(chunks)).toEqual(folded(stage.server.log));
    expect(stage.server.keys.size).toBeLessThanOrEqual(1);
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("after each byte of a short answer lose and duplicate nothing", async () => {
    const probe = new Stage();
    probe.server.log = answer("Hé 👋");
    const whole = folded(probe.server.log);
    let length = 1;
    for (let cut = 0; cut < length; cut += 1) {
      for (const ending of ["end", "error"] as const) {
        const stage = new Stage();
        stage.server.log = answer("Hé 👋");
        stage.server.faults = [
          (answer) => {
            const bytes = answer.frames();
            length = bytes.length;
            return body(answer, [bytes.slice(0, cut)], ending);
          },
        ];
        expect(folded(await stage.sendAndRead()), `cut after ${cut}, ${ending}`).toEqual(whole);
      }
    }
    expect(length).toBeGreaterThan(300);
  });
});
