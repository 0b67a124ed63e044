/**
 * Links to a place in the page. `<base>` changes their addresses, so the browser would leave the page.
 * They are followed here instead.
 */
export function followAnchors(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
  const id = link?.getAttribute("href")?.slice(1);
  if (id === undefined) return;
  event.preventDefault();
  const place = document.getElementById(id);
  if (place === null) return;
  if (place.tabIndex < 0) place.tabIndex = -1; // not focusable by default
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}
