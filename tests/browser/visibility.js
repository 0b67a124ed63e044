// Headless pages are always visible. With this one, a test says when they are not:
// `setVisibility("hidden")`, `setVisibility("visible")`.
(() => {
  let state = "visible";
  Object.defineProperty(Document.prototype, "visibilityState", { get: () => state });
  Object.defineProperty(Document.prototype, "hidden", { get: () => state === "hidden" });
  window.setVisibility = (next) => {
    state = next;
    document.dispatchEvent(new Event("visibilitychange"));
  };
})();
