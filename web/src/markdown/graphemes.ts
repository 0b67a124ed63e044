/** Cuts text between visible characters (grapheme clusters, UAX #29). */

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const LOOK_BACK = 64;

const plain = (code: number) => code >= 0x20 && code < 0x7f;

/**
 * The last offset at or before `index` that splits no visible character. At the end of the text, an
 * incomplete character (a lone high surrogate, a trailing joiner) is left out.
 */
export function graphemeCut(text: string, index: number): number {
  if (index <= 0) return 0;
  if (index >= text.length) return endsOpen(text) ? lastBoundary(text, text.length) : text.length;
  if (plain(text.charCodeAt(index - 1)) && plain(text.charCodeAt(index))) return index;
  return lastBoundary(text, index, index);
}

function endsOpen(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last === 0x200d || (last >= 0xd800 && last <= 0xdbff);
}

/** Only the neighbourhood is segmented: it starts between two ASCII characters where it can. */
function lastBoundary(text: string, index: number, orAt = -1): number {
  const floor = Math.max(0, index - LOOK_BACK);
  let start = index - 1;
  while (start > floor) {
    if (plain(text.charCodeAt(start)) && plain(text.charCodeAt(start - 1))) break;
    start -= 1;
  }
  let boundary = start;
  for (const { index: at } of segmenter.segment(text.slice(start, index + LOOK_BACK))) {
    if (start + at > index || (start + at === index && orAt !== index)) break;
    boundary = start + at;
  }
  return boundary;
}
