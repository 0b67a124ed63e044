// Notes what the browser reports of itself, and once per frame what the last answer shows.
// Runs before the page's own scripts. The page is asked for as little as possible: the end of one
// answer's text, backwards, until a stamp is found (content.py).
(() => {
  const nextFrame = requestAnimationFrame.bind(window);
  const STAMP = /§(\d+)§(\d{7})/g;
  const SPAN = 10_000_000;
  const LOOK_BACK = 4000;
  const LIMIT = 120_000; // ms; no wait is longer (bounds.py waits longer)

  const tasks = [];
  const shifts = [];
  const events = [];
  let frames = [];
  let lags = [];
  let keys = [];
  let begun = 0;
  let answer = null;
  let body = null;
  let composerAt = null;
  let seenMark = 0;
  let mostMounted = 0;
  let waiting = [];

  const observe = (type, into, options) =>
    new PerformanceObserver((list) => into.push(...list.getEntries())).observe({ type, buffered: true, ...options });
  observe("longtask", tasks);
  observe("layout-shift", shifts);
  observe("event", events, { durationThreshold: 16 });

  const answers = () => document.querySelectorAll('[data-testid="message"][data-role="assistant"]');

  const bodyOfLast = () => {
    if (body?.isConnected) return body;
    answer = [...answers()].at(-1) ?? null;
    body = answer?.querySelector("[data-testid=\"new-text\"] > .md, [data-testid=\"new-text\"] > .whitespace-pre-wrap") ?? null;
    return body;
  };

  // The last whole stamp that is shown.
  const lastStamp = () => {
    const shown = bodyOfLast();
    if (shown === null) return null;
    const walker = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
    let text = "";
    let node = walker.currentNode;
    while (walker.lastChild() !== null);
    for (node = walker.currentNode; node !== shown && node !== null; node = walker.previousNode()) {
      text = node.data + text;
      const found = [...text.matchAll(STAMP)].at(-1);
      if (found) return { number: Number(found[1]), at: Number(found[2]) };
      if (text.length > LOOK_BACK) return null;
    }
    return null;
  };

  const look = (now) => {
    frames.push(now);
    if (composerAt === null && document.getElementById("composer") !== null) {
      composerAt = -1;
      afterPaint((at) => (composerAt = at));
    }
    const stamp = lastStamp();
    if (stamp !== null && stamp.number !== seenMark) {
      seenMark = stamp.number;
      if (begun) lags.push((Date.now() - stamp.at + 1.5 * SPAN) % SPAN - SPAN / 2);
    }
    waiting = waiting.filter((check) => !check());
    nextFrame(look);
  };
  nextFrame(look);

  // A task after the next frame: what was drawn in it is on its way to the screen, and input is heard.
  const afterPaint = (then) =>
    nextFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => then(performance.now());
      channel.port2.postMessage(null);
    });

  addEventListener(
    "keydown",
    ({ timeStamp }) => begun && afterPaint((at) => keys.push(at - timeStamp)),
    { capture: true },
  );

  // Keeps its promise when `check` gives something. Breaks it, and tells what there is instead, when
  // that takes too long; by a timer, as a page that is not seen draws no frames.
  const whenever = (what, check) =>
    new Promise((resolve, reject) => {
      const late = () => reject(new Error(`${what}: not within ${LIMIT / 1000} s. There is: ${state()}`));
      const timer = setTimeout(late, LIMIT);
      waiting.push(() => {
        const value = check();
        if (value === false) return false;
        clearTimeout(timer);
        afterPaint((at) => resolve({ at, value }));
        return true;
      });
    });

  const state = () => {
    const chat = document.querySelector('[data-testid="chat"]');
    const text = bodyOfLast()?.textContent ?? null;
    return JSON.stringify({
      address: location.pathname,
      visibility: document.visibilityState,
      chat: chat && { ...chat.dataset },
      answers: answers().length,
      answer: answer && { ...answer.dataset },
      body: body?.className ?? null,
      seenMark,
      length: text?.length ?? null,
      end: text?.slice(-200) ?? null,
      lastFrame: frames.at(-1) ?? null,
      now: performance.now(),
    });
  };

  const mounted = () => {
    const now = document.querySelectorAll('[data-testid="message"]').length;
    mostMounted = Math.max(mostMounted, now);
    return now;
  };

  const blocked = (from) => {
    const own = tasks.filter((task) => task.startTime + task.duration > from);
    return {
      blocked: own.reduce((sum, task) => sum + Math.max(0, task.duration - 50), 0),
      longest: Math.max(0, ...own.map((task) => task.duration)),
    };
  };

  window.record = {
    begin() {
      begun = performance.now();
      frames = [];
      lags = [];
      keys = [];
    },
    end() {
      const from = begun;
      begun = 0;
      const gaps = frames.slice(1).map((at, index) => at - frames[index]);
      return {
        seconds: (frames.at(-1) - frames[0]) / 1000,
        gaps,
        lags,
        keys,
        events: events
          .filter((entry) => entry.startTime >= from && entry.name.startsWith("key"))
          .map((entry) => entry.duration),
        shift: shifts
          .filter((entry) => entry.startTime >= from && !entry.hadRecentInput)
          .reduce((sum, entry) => sum + entry.value, 0),
        ...blocked(from),
      };
    },
    // When a stamp of at least this number is shown; in `markdown`, not as the plain text before it.
    shown: (number, markdown) =>
      whenever(
        `mark ${number}${markdown ? " as Markdown" : ""}`,
        () => seenMark >= number && (!markdown || body?.classList.contains("md") === true),
      ),
    // When the last answer is whole and its chat idle.
    idle: () =>
      whenever(
        "the whole answer in an idle chat",
        () =>
          document.querySelector('[data-testid="chat"]')?.dataset.status === "ready" &&
          bodyOfLast()?.classList.contains("md") === true &&
          answer.dataset.live === undefined,
      ),
    // When the chat of this id shows its last answer.
    opened: (id) =>
      whenever(
        `the last answer of the chat ${id}`,
        () =>
          document.querySelector('[data-testid="chat"]')?.dataset.chat === id &&
          document.querySelector('[data-testid="chat"]').contains(bodyOfLast()) &&
          body.classList.contains("md"),
      ),
    numbers: () => [...(bodyOfLast()?.textContent ?? "").matchAll(STAMP)].map((found) => Number(found[1])),
    composer: () => whenever("the message box", () => composerAt !== null && composerAt > 0 && composerAt),
    paints: () =>
      Object.fromEntries(performance.getEntriesByType("paint").map((entry) => [entry.name, entry.startTime])),
    scripts: () =>
      performance
        .getEntriesByType("resource")
        .filter((entry) => entry.name.endsWith(".js"))
        .map((entry) => ({ name: new URL(entry.name).pathname, at: entry.startTime, bytes: entry.encodedBodySize })),
    shifts: () => shifts.map(({ value, hadRecentInput, sources, startTime }) => ({
      value,
      hadRecentInput,
      at: startTime,
      moved: sources.map(({ node, previousRect, currentRect }) => ({
        what: (node?.parentElement?.outerHTML ?? "(gone)").slice(0, 200),
        node: node?.nodeName ?? null,
        from: [previousRect.x, previousRect.y, previousRect.width, previousRect.height],
        to: [currentRect.x, currentRect.y, currentRect.width, currentRect.height],
      })),
    })),
    mounted,
    mostMounted: () => mostMounted,
    watchMounted: () => void new MutationObserver(mounted).observe(document.body, { childList: true, subtree: true }),
    blocked,
    scrollBack: () => document.querySelector('[data-testid="scroller"]').scrollTo(0, 0),
    // Milliseconds of a fixed piece of work, the best of five: how fast JavaScript is here and now.
    calibrate() {
      const times = [];
      for (let turn = 0; turn < 5; turn++) {
        const before = performance.now();
        let sum = 0;
        const words = [];
        for (let round = 0; round < 1_000_000; round++) {
          sum = (sum * 31 + round) % 1_000_003;
          if (round % 8 === 0) words.push(`w${sum}`);
        }
        window.calibrated = words.join(" ").split(" ").length + sum;
        times.push(performance.now() - before);
      }
      return Math.min(...times);
    },
  };
})();
