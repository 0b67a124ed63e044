import { describe, expect, it } from "vitest";
import { isForPeople, latest, News } from "./news";

describe("the notices of a run", () => {
  it("leave out events that only the next worker needs", () => {
    const events = ["takeover", "retry", "job"];
    expect(events.filter((event) => isForPeople({ event }))).toEqual(["takeover", "retry"]);
    expect(["rung", "judged"].every((event) => isForPeople({ event, rung: "restart" }))).toBe(true);
    expect(new News().add(null, { event: "job" }, "", 0)).toEqual({});
  });

  it("keep a takeover when the rung changes", () => {
    const takeover = { event: "takeover", attempt: 2, rung: "continue" };
    const rung = { event: "rung", rung: "restart", repeated: 12 };
    expect(latest(takeover, rung)).toEqual({ ...takeover, rung: "restart", repeated: 12 });
    expect(latest(null, rung)).toEqual(rung);
    const judged = { ...rung, event: "judged", asked: "continue", held: 80, dropped: 0 };
    expect(latest(takeover, judged)).toEqual({ ...takeover, rung: "restart", repeated: 12 });
    expect(latest(null, judged)).toEqual(rung);
  });

  it("have the time of the next attempt, but not in a replay", () => {
    const retry = { event: "retry", delay: 4 };
    expect(new News().add(null, retry, "", 1_000)).toMatchObject({ retryAt: 5_000 });
    expect(new News().add(null, retry, "", null)).toMatchObject({ retryAt: null });
    const takeover = { ...retry, event: "takeover" };
    expect(new News().add(null, takeover, "", 1_000)).toMatchObject({ retryAt: null });
  });

  it("end with the next attempt's text; a takeover does not", () => {
    const news = new News();
    const retry = { event: "retry" };
    news.add(null, retry, "One", 0);
    expect(["One", "", "O"].map((text) => news.after(retry, text))).toEqual([retry, retry, null]);
    const takeover = { event: "takeover" };
    expect(news.after(takeover, "One two")).toBe(takeover);
  });

  it("of a second failure stay until there is text after it", () => {
    const news = new News();
    const retry = { event: "retry" };
    news.add(null, retry, "One", 0);
    news.add(retry, retry, "One two", 0);
    expect(["One two", "One two three"].map((text) => news.after(retry, text))).toEqual([retry, null]);
  });

  it("of another rung end with the next text, too", () => {
    const news = new News();
    const rung = { event: "rung", rung: "continue" };
    news.add(null, rung, "One", 0);
    expect(["One", "One two"].map((text) => news.after(rung, text))).toEqual([rung, null]);
  });

  it("drop the time of the next attempt at another event", () => {
    const takeover = { event: "takeover", attempt: 2 };
    expect(new News().add({ event: "retry" }, takeover, "", 0)).toEqual({
      notice: takeover,
      retryAt: null,
    });
  });
});
