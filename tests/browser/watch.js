// Looks at the page once per frame, as a reader does, and remembers what no reader may ever see.
//
// For each answer that is mounted: was what it showed a beginning of what it shows now? Compared are
// letters and digits alone, because marks and white space change their place while Markdown grows.
// Runs before the page's own scripts, with the browser's own frames: a test may replace the timers.
(() => {
  const nextFrame = requestAnimationFrame.bind(window);
  const seen = new WeakMap();
  let frames = 0;
  let shift = 0;
  const firsts = [];
  const losses = [];
  const errors = [];
  const shifted = [];
  const shrunk = [];
  const heights = new WeakMap();

  // `$$ … $$`, and `$ … $` on one line; the last one may not be closed yet.
  const TEX = /\$\$.*?(?:\$\$|$)|\$(?=\S)[^$\n]*?(?:(?<=\S)\$(?!\d)|$)/gs;

  const answers = () => document.querySelectorAll('[data-testid="message"][data-role="assistant"]');

  // What an answer's Markdown shows, or the plain text before it, without thoughts and buttons.
  // Formulas are left out: each is set anew as a whole while it grows, and TeX until KaTeX is there.
  const shownBy = (answer) => {
    const bodies = answer.querySelectorAll('[data-testid="new-text"] > :is(.md, .whitespace-pre-wrap)');
    return [...bodies].map(lettersOf).join("");
  };

  const lettersOf = (body) => {
    const words = document.createTreeWalker(body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) => {
      if (node.nodeType === Node.TEXT_NODE) return NodeFilter.FILTER_ACCEPT;
      return node.matches(".katex") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP;
    });
    let text = "";
    while (words.nextNode()) {
      const { data, parentElement } = words.currentNode;
      text += parentElement.closest("code") ? data.replaceAll("$", "") : data;
    }
    return text.replace(TEX, "").replace(/[^\p{L}\p{N}]/gu, "");
  };

  // What stands on the screen never shrinks while an answer is written: the text of an attempt that
  // was cut off makes up for what the new one has not said yet.
  const measure = (answer) => {
    const body = answer.querySelector('[data-testid="new-text"]')?.parentElement;
    if (!body || !answer.matches("[data-live]")) return;
    // Before its renderer is there the text only keeps a place, unseen, in another height.
    if (answer.querySelector('[data-testid="new-text"] > .whitespace-pre-wrap')) return;
    const before = heights.get(answer) ?? 0;
    const now = body.getBoundingClientRect().height;
    heights.set(answer, now);
    if (now < before - 1) {
      const isCut = answer.querySelector('[data-testid="cut"]') !== null;
      shrunk.push({ before, now, isCut, kind: window.watched.state(), said: body.textContent.slice(0, 200) });
    }
  };

  const look = () => {
    frames += 1;
    for (const answer of answers()) {
      const now = shownBy(answer);
      const before = seen.get(answer);
      seen.set(answer, now);
      if (before === undefined) firsts.push(now);
      else if (!now.startsWith(before)) losses.push({ before, now });
      measure(answer);
    }
    nextFrame(look);
  };
  nextFrame(look);

  addEventListener("error", (event) => errors.push(String(event.message)));
  addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      shift += entry.value;
      for (const { node } of entry.sources) {
        const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
        shifted.push(`${entry.value.toFixed(5)} ${element?.outerHTML?.slice(0, 160) ?? "(gone)"}`);
      }
    }
  }).observe({ type: "layout-shift", buffered: true });

  window.watched = {
    report: () => ({ frames, firsts, losses, errors, shift, shifted, shrunk }),
    // Waits until what is there now has been laid out and painted.
    painted: async () => {
      for (let frame = 0; frame < 2; frame += 1) await new Promise(nextFrame);
    },
    // Waits until nothing scrolls any more.
    settled: async () => {
      const view = document.querySelector('[data-testid="scroller"]');
      for (let still = 0, top = -1; still < 10; still = view.scrollTop === top ? still + 1 : 0) {
        top = view.scrollTop;
        await new Promise(nextFrame);
      }
    },
    last: () => [...answers()].map(shownBy).at(-1) ?? "",
    state: () => [...document.querySelectorAll('[data-testid="run-state"]')].at(-1)?.dataset.kind ?? "",
  };
})();
